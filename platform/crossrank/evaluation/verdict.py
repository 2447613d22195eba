"""Verdict: what the figures say in one sentence, and which of their differences may be chance.

A verdict is about one measure, `MAIN`, over candidates as retrieved: what a user would notice. A difference counts
where its p-value, corrected for the number of comparisons, is below `SIGNIFICANT`.
"""

from __future__ import annotations

from typing import Any

from crossrank.evaluation.measures import MAIN
from crossrank.evaluation.wording import label_of, p_text, signed, with_article

Json = dict[str, Any]

SIGNIFICANT = 0.05
"""Corrected p-value below which a difference counts."""
BETTER, WORSE = "▲", "▼"


def mark_of(difference: Json) -> str:
    """Mark of a difference: ``▲`` for a better row, ``▼`` for a worse one, empty where it may be chance."""
    if difference["p_holm"] >= SIGNIFICANT or not difference["difference"]["mean"]:
        return ""
    return BETTER if difference["difference"]["mean"] > 0 else WORSE


def marks_of(results: Json, table: str) -> dict[tuple[str, str], str]:
    """Marks of the differences from the row without a model, by row and measure; empty where there is no such row."""
    bases = {row["name"] for row in results["rows"] if row["model"] is None}
    return {
        (each["row"], each["measure"]): mark_of(each)
        for each in results["tables"][table]["differences"]
        if each["against"] in bases
    }


def verdict_of(results: Json) -> str:
    """The verdict, a sentence or two."""
    means = {name: found[MAIN]["mean"] for name, found in results["tables"]["retrieved"]["means"].items()}
    models = [row["name"] for row in results["rows"] if row["model"] is not None]
    whole = [row["name"] for row in results["rows"] if row["model"] is not None and not row["incomplete"]]
    base = next((row["name"] for row in results["rows"] if row["model"] is None), None)
    label = label_of(MAIN)
    if not models:
        assert base is not None, "a report has a row"
        return f"{label} of the first stage alone is {means[base]:.3f}; no reranker was compared with it."
    if not whole:
        return f"No verdict: {_listed(models)} gave no scores for some queries."
    best = max(whole, key=lambda name: means[name])
    against = {
        each["against"]: each
        for each in results["tables"]["retrieved"]["differences"]
        if each["row"] == best and each["measure"] == MAIN
    }
    of = (
        f"the best of {len(whole)} models"
        if whole == models
        else f"the best of the {len(whole)} models with all scores"
    )
    subject = f"{best}, {of}," if len(whole) > 1 else best
    text = _against_none(subject, means[best], means.get(base or ""), against.get(base or ""), label)
    first = models[0]
    if best != first and first in against:
        text += f" {_against_first(first, against[first])}"
    return text


def _against_none(subject: str, mean: float, without: float | None, difference: Json | None, label: str) -> str:
    if without is None or difference is None:
        return f"{subject} has {with_article(MAIN)} of {mean:.3f}; what there is without a reranker is not known."
    step = f"{label} {mean:.3f} against {without:.3f}, {p_text(difference['p_holm'])}"
    mark = mark_of(difference)
    if not mark:
        return f"{subject} cannot be told from no reranker: {step}, which may be chance."
    return f"{subject} ranks {'better' if mark == BETTER else 'worse'} than no reranker: {step}."


def _against_first(first: str, difference: Json) -> str:
    step = f"{signed(difference['difference']['mean'])}, {p_text(difference['p_holm'])}"
    mark = mark_of(difference)
    if mark == BETTER:
        return f"It is better than {first} too ({step})."
    return f"It cannot be told from {first} ({step})."


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
