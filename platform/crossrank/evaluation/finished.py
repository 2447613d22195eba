"""A check of whether a finished report lacks anything that is asked for now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossrank import storage
from crossrank.evaluation.rows import folder_of, is_whole
from crossrank.evaluation.runs import run_of
from crossrank.evaluation.settings import NO_RERANKER, EvaluateSettings
from crossrank.resumable.manifest_shape import Shape, is_count, is_flag, is_text, list_of
from crossrank.scoring.spec import ScorerSpec

RESULTS = "results.json"
FILES = ("report.html", "report.md", RESULTS)
SHOWN = ("relevant_from", "timed_queries")
"""Settings that may change when a report is gone on with, and change what it says."""

READ_AGAIN: Mapping[str, Shape] = {
    "candidates": {"queries": is_count, "has_order": is_flag},
    "settings": {"models": list_of(is_text)},
}
"""What is read from the manifest of a finished job."""


def lacks_nothing(
    settings: EvaluateSettings, specs: dict[str, ScorerSpec], before: dict[str, Any], output: str
) -> bool:
    """Whether a finished report is of these models and settings, and its files and the scores behind it are there.

    Args:
        before: manifest of the run that finished the report.
    """
    shown = before["settings"]
    if list(settings.models) != shown["models"] or any(shown.get(name) != getattr(settings, name) for name in SHOWN):
        return False
    rows = [*([NO_RERANKER] if before["candidates"]["has_order"] else []), *specs]
    files = [*(storage.join(output, name) for name in FILES), *(run_of(output, name) for name in rows)]
    return all(map(storage.exists, files)) and all(
        is_whole(spec, folder_of(output, name)) for name, spec in specs.items()
    )
