"""Results of an evaluation as `results.json` holds them: means with intervals, differences with p-values, slices.

Shape letters: Q queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.evaluation.facts import Facts
from crossrank.evaluation.intervals import Mean, mean_of, paired_difference
from crossrank.evaluation.relevance import are_relevant
from crossrank.evaluation.rows import TABLES, Row
from crossrank.evaluation.significance import holm, randomisation_test

TOSSES_PER_RESAMPLE = 5
SLICES = 3
"""Slices by a length: thirds of the queries."""
LEAST_OF_A_SLICE = 10
"""Queries of a slice at least; fewer say nothing."""
BINS = 10
"""Bins of the reliability curve."""

Json = dict[str, Any]


def results_of(rows: Sequence[Row], facts: Sequence[Facts], measures: list[str], resamples: int, seed: int) -> Json:
    """All figures of the report.

    Args:
        rows: each model is compared with the first stage, where its row is there, and with the first model, the base.
    """
    found: Json = {"measures": measures, "queries": len(facts), "tables": {}, "rows": [_about(row) for row in rows]}
    for table in TABLES:
        found["tables"][table] = {
            "means": {row.name: _means(row, table, measures, resamples, seed) for row in rows},
            "differences": _differences(rows, table, measures, resamples, seed),
        }
    found["slices"] = _slices(rows, facts, measures)
    found["scores"] = {row.name: _score_figures(row) for row in rows if row.scores is not None}
    return found


def _about(row: Row) -> Json:
    manifest = row.manifest
    return {
        "name": row.name,
        "model": row.model,
        "scale": row.scale if row.model is not None else None,
        "revision": manifest.get("identity", {}).get("model_revision"),
        "pairs": manifest.get("pairs"),
        "pairs_per_second": manifest.get("pairs_per_second"),
        "truncated_documents": manifest.get("truncated_documents"),
        "tie_rate": row.tie_rate,
        "incomplete": row.incomplete,
    }


def _means(row: Row, table: str, measures: list[str], resamples: int, seed: int) -> Json:
    return {name: _as_json(mean_of(row.values[table][name], seed, resamples)) for name in measures}


def _differences(rows: Sequence[Row], table: str, measures: list[str], resamples: int, seed: int) -> list[Json]:
    """Each model against the first stage, and each against the first model; none where queries lack scores."""
    models = [row for row in rows if row.model is not None]
    bases = [row for row in rows if row.model is None] + models[:1]
    pairs = [(row, base) for base in bases for row in models if row is not base]
    pairs = [(row, base) for row, base in pairs if not row.incomplete and not base.incomplete]
    found = []
    for name in measures:
        p_values = []
        of_measure = []
        for row, base in pairs:
            a_Q, b_Q = row.values[table][name], base.values[table][name]
            p_values.append(randomisation_test(a_Q, b_Q, seed, resamples * TOSSES_PER_RESAMPLE))
            difference = paired_difference(a_Q, b_Q, seed, resamples)
            of_measure.append(
                {
                    "measure": name,
                    "row": row.name,
                    "against": base.name,
                    "difference": _as_json(difference)
                    if difference
                    else {"mean": float((a_Q - b_Q).mean()), "interval": None},
                    "better": int((a_Q > b_Q).sum()),
                    "worse": int((a_Q < b_Q).sum()),
                }
            )
        for each, p_value, adjusted in zip(of_measure, p_values, holm(p_values), strict=True):
            found.append(each | {"p_value": p_value, "p_holm": adjusted})
    return found


def _slices(rows: Sequence[Row], facts: Sequence[Facts], measures: list[str]) -> Json:
    """Means of the retrieved table over thirds by length, and by source."""
    found: Json = {}
    for name, values in (
        ("query length", [each.query_characters for each in facts]),
        ("document length", [each.document_characters for each in facts]),
    ):
        groups = _thirds(values)
        if groups:
            found[name] = [_slice(rows, label, rows_Q, measures) for label, rows_Q in groups]
    sources = sorted({each.source for each in facts if each.source is not None})
    by_source = [(source, np.array([each.source == source for each in facts])) for source in sources]
    large = [(source, rows_Q) for source, rows_Q in by_source if rows_Q.sum() >= LEAST_OF_A_SLICE]
    if len(large) > 1:
        found["source"] = [_slice(rows, source, rows_Q, measures) for source, rows_Q in large]
    return found


def _thirds(values: Sequence[int | None]) -> list[tuple[str, NDArray[np.bool_]]]:
    known_Q = np.array([value is not None for value in values])
    lengths_Q = np.array([-1 if value is None else value for value in values])
    if known_Q.sum() < SLICES * LEAST_OF_A_SLICE:
        return []
    edges = np.quantile(lengths_Q[known_Q], np.linspace(0, 1, SLICES + 1), method="inverted_cdf").astype(int)
    found = []
    for place in range(SLICES):
        low, high = int(edges[place]) + (1 if place else 0), int(edges[place + 1])
        rows_Q = known_Q & (lengths_Q >= low) & (lengths_Q <= high)
        if rows_Q.sum() >= LEAST_OF_A_SLICE:
            found.append((f"{low:,} to {high:,} characters", rows_Q))
    return found if len(found) > 1 else []


def _slice(rows: Sequence[Row], label: str, rows_Q: NDArray[np.bool_], measures: list[str]) -> Json:
    means = {row.name: {name: float(row.values["retrieved"][name][rows_Q].mean()) for name in measures} for row in rows}
    return {"slice": label, "queries": int(rows_Q.sum()), "means": means}


def _score_figures(row: Row) -> Json:
    """Histograms of the scores of relevant and of other documents, and the reliability curve.

    The reliability curve takes the sigmoid of a logit for the probability that the document is relevant, in bins of a
    tenth, over judged documents alone; unjudged ones are not known to be wrong. A cosine foretells no probability.
    """
    assert row.scores is not None
    scores_P, labels_P = row.scores.scores_P, row.scores.labels_P
    is_judged_P = ~np.isnan(labels_P)
    is_relevant_P = are_relevant(labels_P, row.scores.relevant_from)
    if not len(scores_P):
        return {"edges": [], "relevant": [], "other": [], "reliability": []}
    low, high = np.quantile(scores_P, [0.001, 0.999])
    edges = np.linspace(low, max(high, low + 1e-6), 41)
    clipped_P = np.clip(scores_P, edges[0], edges[-1])
    found = {
        "edges": edges.tolist(),
        "relevant": np.histogram(clipped_P[is_relevant_P], edges)[0].tolist(),
        "other": np.histogram(clipped_P[~is_relevant_P], edges)[0].tolist(),
    }
    if row.scale == "cosine":
        return found | {"reliability": []}
    scores_P = scores_P.astype(np.float64)
    logistic_P = 1 / (1 + np.exp(-np.clip(scores_P, -60, 60)))
    probability_P = logistic_P if row.scale == "logit" else np.clip(scores_P, 0.0, 1.0)
    bins_P = np.minimum((probability_P * BINS).astype(int), BINS - 1)
    reliability = []
    for number in range(BINS):
        in_bin_P = is_judged_P & (bins_P == number)
        if in_bin_P.any():
            predicted, right = float(probability_P[in_bin_P].mean()), float(is_relevant_P[in_bin_P].mean())
            reliability.append({"predicted": predicted, "relevant": right, "documents": int(in_bin_P.sum())})
    return found | {"reliability": reliability}


def _as_json(mean: Mean) -> Json:
    return {"mean": mean.value, "interval": list(mean.interval) if mean.interval else None}
