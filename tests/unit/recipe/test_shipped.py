"""The recipes that are shipped: each has stages with settings that the verbs take."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import yaml

from crossrank.demo.run import RECIPE
from crossrank.demo.sample import FOLDER, read_sample
from crossrank.evaluation.job import evaluate
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.recipe.chain import stages_of
from crossrank.recipe.measured import MeasuredQueries
from crossrank.recipe.reading import read_recipe
from crossrank.recipe.stage import Stage, VerbStage

ROOT = Path(__file__).parents[3]
MSMARCO = "jobs/recipes/msmarco_to_korean.yaml"


def stages(file: str, *sets: str) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages_of(read_recipe(file, sets))}


@pytest.mark.parametrize("target", ["ko", "de"])
def test_ms_marco_to_korean_trains_as_the_original_and_another_language_is_one_word(
    monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.chdir(ROOT)
    found = stages(MSMARCO, *([f"target={target}"] if target != "ko" else []))
    assert list(found) == ["import", "translate", "filter", "corpus", "mine", "measured", "train", "evaluate"]
    settings = {name: stage.settings for name, stage in found.items() if isinstance(stage, VerbStage)}
    assert {settings[name].target for name in ("translate", "filter")} == {target}
    assert {settings[name].language for name in ("mine", "evaluate")} == {target}
    of_file = yaml.safe_load((ROOT / "jobs" / "recipes" / "ko_reranker.yaml").read_text())
    assert {key: getattr(settings["train"], key) for key in of_file} == of_file
    assert settings["evaluate"].models == ("base=BAAI/bge-reranker-large", "tuned=ko-reranker/model")


@pytest.mark.parametrize("file", [ROOT / MSMARCO, RECIPE])
def test_a_recipe_can_be_read_by_a_person_and_says_how_it_is_run(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("# ")
    assert "#   crossrank " in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_demo_trains_on_korean_questions_in_english_and_is_measured_on_english_ones_about_other_passages() -> None:
    found = stages(str(RECIPE), f"sample={FOLDER}", "encoder=E", "output=out", "train.seed=7")
    assert list(found) == [
        "import",
        "memory",
        "translate",
        "filter",
        "corpus",
        "mine",
        "measured",
        "train",
        "evaluate",
        "rerank",
    ]
    settings = {name: stage.settings for name, stage in found.items() if isinstance(stage, VerbStage)}
    assert (settings["translate"].backend, settings["train"].workers, settings["train"].seed) == ("memory", "2", 7)
    assert settings["evaluate"].models == ("encoder=E", "tuned=out/model")
    measured = found["measured"]
    assert isinstance(measured, MeasuredQueries)
    assert not measured.is_done()


def test_every_korean_text_of_the_sample_is_in_its_memory_with_the_english_that_people_wrote() -> None:
    lines = (FOLDER / "ko-en.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "source\ttranslation"
    memory = dict(line.split("\t") for line in lines[1:])
    assert len(memory) == len(lines) - 1
    halves = [(read_sample("ko", split), read_sample("en", split)) for split in ("train", "test")]
    for korean, english in halves:
        assert {query: memory[text] for query, text in korean.queries.items()} == english.queries
    pairs = zip(
        *((FOLDER / language / "corpus.jsonl").open(encoding="utf-8") for language in ("ko", "en")), strict=True
    )
    for korean_row, english_row in ((json.loads(one), json.loads(other)) for one, other in pairs):
        assert (memory[korean_row["title"]], memory[korean_row["text"]]) == (english_row["title"], english_row["text"])
    assert len(memory) == 2 * 128 + 384


def test_the_job_is_the_verb() -> None:
    names = runpy.run_path(str(ROOT / "jobs" / "evaluate_rerankers.py"), run_name="imported")
    assert names["evaluate"] is evaluate
    assert names["EvaluateSettings"] is EvaluateSettings
