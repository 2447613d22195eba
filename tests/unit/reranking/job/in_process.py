"""The whole job with a stand-in for Ray: its inputs, by hand, and what it makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossrank.reranking.settings import RerankSettings
from tests.unit import in_process
from tests.unit.stand_ins import OverlapScorer, OverlapSpec

QUERIES = """\
{"_id": "q1", "text": "red cat"}
{"_id": "q2", "text": "blue dog"}
{"_id": "q3", "text": " "}
{"_id": "q1", "text": "again"}
{"_id": "q4", "text": "green bird"}
{"_id": "q5", "text": "cat"}
"""
CORPUS = """\
{"_id": "d1", "text": "a red cat"}
{"_id": "d2", "text": "a blue dog and a red dog"}
{"_id": "d3", "text": "one cat"}
not json
"""
RUN = """\
q1 Q0 d2 1 9 bm25
q1 Q0 d3 2 8 bm25
q1 Q0 d1 3 7 bm25
q2 Q0 d1 1 9 bm25
q2 Q0 d2 2 8 bm25
q5 Q0 d1 1 9 bm25
q5 Q0 d3 2 8 bm25
q9 Q0 d1 1 9 bm25
"""
RESULT = """\
q1 Q0 d1 1 2.0 crossrank
q1 Q0 d2 2 1.0 crossrank
q1 Q0 d3 3 0.99999994 crossrank
q2 Q0 d2 1 2.0 crossrank
q2 Q0 d1 2 0.0 crossrank
q5 Q0 d1 1 1.0 crossrank
q5 Q0 d3 2 0.99999994 crossrank
"""
"""Scores are the number of shared words; equal ones stay in their order of RUN,
and are a step of a float32 apart, or a reader that sorts by score would undo it. q3 is empty, q4 has no candidates."""
NUM_BLOCKS = 5
"""One for each of q1 to q5: with so few queries, 1 % is one at least."""


def measured() -> dict[str, Any]:
    """What one worker is said to be worth, so that blocks are cut alike on every machine."""
    about = OverlapScorer().describe() | {"token_budget": "64 (as many as fit)"}
    return {"pairs_per_second": 50.0, "tokens_per_pair": 6.0, "load_s": 0.0, "scorer": about}


@dataclass
class InProcess(in_process.InProcess):
    """One whose workers are as fast as `measured` says."""

    measured: dict[str, Any] | None = field(default_factory=measured)


SPEC = OverlapSpec()


def parts(settings: RerankSettings) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(settings.output).glob("part-*")}
