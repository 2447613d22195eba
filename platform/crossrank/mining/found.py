"""The passages that the first stages found for a query, as one ranking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrank.retrieval.fusion import reciprocal_ranks

Stages = dict[str, tuple[NDArray[np.int32], NDArray[np.float32]]]
"""Rows and scores, best first, by the name of a stage: ``bm25``, ``dense``."""


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A passage that the first stage found for a query."""

    row: int
    rank: int
    """Rank in the fused ranking, from 1."""
    score: float
    of_stage: dict[str, tuple[int, float]]
    """Rank and score by stage, ``bm25`` and ``dense``, of the stages that found it."""

    @property
    def source(self) -> str:
        return "+".join(self.of_stage)


def fused(stages: Stages, k: int) -> list[FoundPassage]:
    """Fuse the rankings of the stages into one. A single stage keeps its own scores."""
    of_stage: dict[int, dict[str, tuple[int, float]]] = {}
    for name, (rows, scores) in stages.items():
        for rank, (row, score) in enumerate(zip(rows.tolist(), scores.tolist(), strict=True), start=1):
            of_stage.setdefault(row, {})[name] = (rank, score)
    fused_rows, fused_scores = reciprocal_ranks([rows for rows, _ in stages.values()], k)
    found = []
    for rank, (row, score) in enumerate(zip(fused_rows.tolist(), fused_scores.tolist(), strict=True), start=1):
        stages_of_it = of_stage[row]
        own = next(iter(stages_of_it.values()))[1]
        found.append(FoundPassage(row, rank, score if len(stages) > 1 else own, stages_of_it))
    return found
