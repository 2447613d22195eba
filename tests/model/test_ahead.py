"""On a GPU texts are tokenised while those before them are scored: shown on a CPU that is taken for one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossrank import Reranker
from crossrank.errors import InputError
from crossrank.scoring import pair_scorer
from crossrank.scoring import reranker as reranker_module
from crossrank.scoring.interfaces import Window
from crossrank.scoring.pair_scorer import PairScorer
from tests.model.reference import assert_same_scores
from tests.model.tiny_models import TEXTS

QUERY = "How long does it take to charge?"
PAIRS = [(QUERY, text) for text in TEXTS[:12]]

Tiny = Callable[[str], Path]


@pytest.fixture(params=["bert", "qwen3"])
def reranker(request: pytest.FixtureRequest, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Reranker:
    """One that splices tokens, and one whose prompt is tokenised whole for each pair."""
    reranker = Reranker.load(str(tiny(request.param)), device="cpu", max_length=320)
    monkeypatch.setattr(reranker_module, "CHUNK_PAIRS", 4)
    monkeypatch.setattr(pair_scorer, "WINDOW_PAIRS", 4)
    return reranker


def each_waits_for_the_next(reranker: Reranker, monkeypatch: pytest.MonkeyPatch, num_windows: int) -> None:
    """Let every window but the last be scored for as long as the one after it is not tokenised."""
    monkeypatch.setattr(PairScorer, "runs_ahead", True)
    made = [threading.Event() for _ in range(num_windows)]
    make_pairs, score_window = reranker._scorer.encoder.pairs, reranker._scorer._score_window
    num_made = num_scored = 0

    def pairs(*parts: Any) -> Any:
        nonlocal num_made
        found = make_pairs(*parts)
        made[num_made].set()
        num_made += 1
        return found

    def score(encoded: Any) -> Any:
        nonlocal num_scored
        num_scored += 1
        assert made[min(num_scored, num_windows - 1)].wait(20), "nothing was tokenised while the model scored"
        return score_window(encoded)

    monkeypatch.setattr(reranker._scorer.encoder, "pairs", pairs)
    monkeypatch.setattr(reranker._scorer, "_score_window", score)


def test_the_windows_of_plain_pairs(reranker: Reranker, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = reranker.score(PAIRS)
    each_waits_for_the_next(reranker, monkeypatch, num_windows=3)
    assert_same_scores(reranker.score(PAIRS), expected)


def test_the_windows_of_a_job_one_after_another(reranker: Reranker, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = reranker.score(PAIRS)
    each_waits_for_the_next(reranker, monkeypatch, num_windows=4)
    encoder = reranker._scorer.encoder

    def window(texts: list[str]) -> Window:
        places = np.arange(len(texts))
        return Window(encoder.queries([QUERY]), encoder.documents(texts), np.zeros_like(places), places)

    # Of 6, 3 and 3 pairs: the first is computed in two pieces of 4 and 2.
    texts = TEXTS[:12]
    scored = list(reranker._scorer.score_windows(window(part) for part in (texts[:6], texts[6:9], texts[9:])))
    assert [len(each.logits_P) for each in scored] == [6, 3, 3]
    assert_same_scores(np.concatenate([each.logits_P for each in scored]), expected)


def test_what_goes_wrong_while_the_next_is_made_ready_is_raised(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    reranker = Reranker.load(str(tiny("bert")), device="cpu", max_length=64)
    monkeypatch.setattr(PairScorer, "runs_ahead", True)
    monkeypatch.setattr(reranker_module, "CHUNK_PAIRS", 2)
    monkeypatch.setattr(pair_scorer, "WINDOW_PAIRS", 2)
    with pytest.raises(InputError, match="pair 5 is 'oops'"):
        reranker.score(iter([*PAIRS[:5], "oops"]))  # type: ignore[arg-type]
