"""What a dry run times: passages that can be used, however few there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossrank.corpus.source import CorpusSource
from crossrank.mining.dry_run import SAMPLE, _passages


def corpus_of(folder: Path, texts: list[str]) -> CorpusSource:
    path = folder / "corpus.jsonl"
    path.write_text("".join(json.dumps({"_id": f"d{row}", "text": text}) + "\n" for row, text in enumerate(texts)))
    return CorpusSource(str(path), CorpusSource.fingerprint_of(str(path)))


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("place", [0, 1, 200, 398])
def test_the_one_passage_that_can_be_used_is_timed_wherever_it_stands(tmp_path: Path, place: int) -> None:
    # Every sixth row was looked at: where all of them were empty, a speed of 0 was divided by.
    texts = [" "] * 399
    texts[place] = "a passage"
    assert _passages(corpus_of(tmp_path, texts).open()) == ["a passage"]


def test_passages_are_taken_from_all_over_the_corpus(tmp_path: Path) -> None:
    found = _passages(corpus_of(tmp_path, [str(number) for number in range(1000)]).open())
    assert len(found) == len(set(found)) == SAMPLE
    assert int(found[0]) < 50
    assert int(found[-1]) > 900


def test_of_a_small_corpus_all_are_taken(tmp_path: Path) -> None:
    assert _passages(corpus_of(tmp_path, ["a", "", "b"]).open()) == ["a", "b"]
