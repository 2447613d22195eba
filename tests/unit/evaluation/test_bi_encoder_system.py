"""An encoder without a head as a row: vectors of texts whose cosines a reader can compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrank.evaluation import bi_encoder_system
from crossrank.evaluation.bi_encoder_system import CosineSpec
from crossrank.scoring.interfaces import Scored, Scorer
from tests.unit.mining.in_process import WordSpec


@dataclass
class Compass:
    """Stands in for a model: a text is a direction in degrees. It keeps what it was asked."""

    asked: list[list[str]] = field(default_factory=list)

    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._vectors(texts)

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.append(list(texts))
        return self._vectors(texts)

    @staticmethod
    def _vectors(texts: Sequence[str]) -> NDArray[np.float32]:
        angles = np.radians(np.array([float(text) for text in texts], dtype=np.float64))
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@dataclass(frozen=True)
class CompassSpec(WordSpec):
    compass: Compass = field(default_factory=Compass)

    def load(self, threads: int | None) -> Any:
        return self.compass


def scored(scorer: Scorer, queries: list[str], documents: list[str], pairs: list[tuple[int, int]]) -> Scored:
    encoded = scorer.encoder.queries(queries), scorer.encoder.documents(documents)
    query_P, document_P = (np.array(side) for side in zip(*pairs, strict=True))
    return scorer.score_encoded(*encoded, query_P, document_P)


def test_the_score_is_the_cosine_of_the_angle_between_query_and_document() -> None:
    scorer = CosineSpec(CompassSpec()).load(None)
    found = scored(scorer, ["0", "90"], ["0", "60", "180"], [(0, 1), (0, 2), (1, 0), (1, 1), (0, 0)])
    assert found.logits_P == pytest.approx([0.5, -1, 0, np.sqrt(3) / 2, 1], abs=1e-6)
    assert found.logits_P.dtype == np.float32
    assert found.truncated_P.tolist() == [0] * 5


def test_a_document_of_many_queries_is_encoded_once_unless_it_is_timed() -> None:
    kept, forgotten = CompassSpec(), CompassSpec()
    scorer = CosineSpec(kept).load(None)
    for _ in range(2):
        scored(scorer, ["0"], ["10", "20"], [(0, 0), (0, 1)])
    assert [text for texts in kept.compass.asked for text in texts] == ["10", "20"]
    scorer = CosineSpec(forgotten, keeps=False).load(None)
    for _ in range(2):
        scored(scorer, ["0"], ["10", "20"], [(0, 0), (0, 1)])
    assert forgotten.compass.asked == [["10", "20"], ["10", "20"]]


def test_vectors_that_are_kept_stay_under_a_limit_and_the_scores_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bi_encoder_system, "KEPT_BYTES", 10 * 8)
    scorer = cast(bi_encoder_system.CosineScorer, CosineSpec(CompassSpec()).load(None))
    for start in range(0, 200, 5):
        found = scored(scorer, ["0"], [str(start + n) for n in range(5)], [(0, n) for n in range(5)])
        assert found.logits_P == pytest.approx(np.cos(np.radians(start + np.arange(5))), abs=1e-6)
        assert len(scorer._kept) <= 15


def test_more_pairs_than_are_multiplied_at_once_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bi_encoder_system, "CHUNK_PAIRS", 3)
    found = scored(
        CosineSpec(CompassSpec()).load(None), ["0"], [str(n) for n in range(10)], [(0, n) for n in range(10)]
    )
    assert found.logits_P == pytest.approx(np.cos(np.radians(np.arange(10))), abs=1e-6)


def test_no_pairs_have_no_scores() -> None:
    scorer = CosineSpec(WordSpec()).load(None)
    nothing = np.zeros(0, dtype=np.int64)
    assert scorer.score_encoded([], [], nothing, nothing).logits_P.tolist() == []


def test_it_is_another_row_than_the_same_encoder_under_another_revision() -> None:
    assert CosineSpec(WordSpec("a")).revision != CosineSpec(WordSpec("b")).revision
