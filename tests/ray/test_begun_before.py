"""Outputs that an earlier version of crossrank began are gone on with; `begun/README.md` says how they were made."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crossrank.evaluation.job import evaluate
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.filtering.job import filter as filter_groups
from crossrank.filtering.settings import FilterSettings
from crossrank.mining.job import mine
from crossrank.mining.settings import MineSettings
from crossrank.reranking.job import rerank
from crossrank.reranking.settings import RerankSettings
from crossrank.training.job import train
from crossrank.training.settings import TrainSettings
from crossrank.translation.job import translate
from crossrank.translation.settings import TranslateSettings

ARCHIVE = Path(__file__).parent / "begun" / "outputs-18bb01a.tar.xz"
WRITTEN_AT = "/srv/begun"
QUERIES = 16

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of inputs and outputs, which the flags name by relative paths."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    for file in tmp_path.rglob("*.json"):
        file.write_text(file.read_text().replace(WRITTEN_AT, str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path, pattern: str) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.glob(pattern)}


def gone_on_with(
    begun: Path, run: Callable[[Any], dict[str, Any]], settings: Any, parts: str = "part-*.parquet"
) -> dict[str, Any]:
    """Run a verb over what it left, to its end; what was there stays as it was, byte for byte."""
    before = contents(begun / settings.output, parts)
    assert before, "the fixture is half done"
    assert json.loads((begun / settings.output / "_manifest.json").read_text())["state"] == "running"
    run(settings)
    manifest: dict[str, Any] = json.loads((begun / settings.output / "_manifest.json").read_text())
    assert manifest["state"] == "finished"
    after = contents(begun / settings.output, parts)
    assert {file: after[file] for file in before} == before
    return manifest


def each_query_is_there_once(output: Path) -> None:
    found = pq.read_table(output).column("query_id").to_pylist()
    assert len(found) == len(set(found)) == QUERIES


def test_a_rerank_job_of_an_earlier_version_is_gone_on_with(begun: Path) -> None:
    settings = RerankSettings(
        output="rerank", model="model", queries="queries.jsonl", corpus="corpus.jsonl", depth=10, top_n=5, workers="1"
    )
    manifest = gone_on_with(begun, rerank, settings)
    assert manifest["rows"]["resumed"] == 3
    each_query_is_there_once(begun / "rerank")


def test_a_translation_of_an_earlier_version_is_gone_on_with(begun: Path) -> None:
    settings = TranslateSettings(
        output="translate", groups="groups.jsonl", source="ko", target="en", backend="memory", memory="memory"
    )
    gone_on_with(begun, translate, settings)
    each_query_is_there_once(begun / "translate")


def test_a_filter_job_of_an_earlier_version_is_gone_on_with(begun: Path) -> None:
    settings = FilterSettings(output="filter", groups="translated", source="ko", target="en", workers="1")
    gone_on_with(begun, filter_groups, settings)
    each_query_is_there_once(begun / "filter")


def test_a_mining_job_of_an_earlier_version_is_gone_on_with(begun: Path) -> None:
    settings = MineSettings(
        output="mine", groups="groups.jsonl", corpus="corpus.jsonl", teacher="model", negatives=4, workers="1"
    )
    gone_on_with(begun, mine, settings)
    each_query_is_there_once(begun / "mine")


def test_a_training_of_an_earlier_version_goes_on_at_its_checkpoint(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = TrainSettings(
        output="train",
        base="model",
        groups="groups.jsonl",
        eval_fraction=0.2,
        workers="1",
        max_length=96,
        groups_per_step=4,
        save_steps=4,
        num_train_epochs=5,
        learning_rate=1e-4,
    )
    first = json.loads((begun / "train/_checkpoint/step-00000004/history.json").read_text())
    manifest = gone_on_with(begun, train, settings, parts="_checkpoint/step-00000004/history.json")
    assert manifest["steps"] == 15
    assert manifest["level"]["why_not"] == "the run began under an earlier version, which kept no groups apart for it"
    assert manifest["groups"]["validate"]["groups"] == 4, "as it was"
    last = json.loads((begun / "train/_checkpoint/step-00000015/history.json").read_text())
    assert [row for row in last if "loss" in row][:4] == [row for row in first if "loss" in row]
    assert "step 4" in capsys.readouterr().err


def test_an_evaluation_of_an_earlier_version_is_gone_on_with(begun: Path) -> None:
    settings = EvaluateSettings(
        output="evaluate",
        queries="queries.jsonl",
        corpus="corpus.jsonl",
        qrels="qrels.tsv",
        models=("tiny=model",),
        depth=10,
        timed_queries=2,
        workers="1",
    )
    gone_on_with(begun, evaluate, settings, parts="_rows/tiny/part-*.parquet")
    each_query_is_there_once(begun / "evaluate" / "_rows" / "tiny")
    results = json.loads((begun / "evaluate" / "results.json").read_text())
    assert {row["name"] for row in results["rows"]} == {"no reranker", "tiny"}


def test_a_finished_output_of_an_earlier_version_is_left_alone(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = TranslateSettings(
        output="translated", groups="groups.jsonl", source="ko", target="en", backend="memory", memory="memory"
    )
    before = contents(begun / "translated", "*.parquet")
    assert translate(settings)["state"] == "finished"
    assert "nothing to do" in capsys.readouterr().err
    assert contents(begun / "translated", "*.parquet") == before
