"""The figures of a report as the cells of its tables, and the sentences that are needed to read them."""

from __future__ import annotations

from typing import Any

from crossrank.evaluation.relevance import in_words

Json = dict[str, Any]
Cells = list[list[str]]
"""Rows of a table, the head first."""
TABLE_TITLES = {
    "retrieved": "Candidates as retrieved",
    "injected": "Candidates with the judged documents injected",
}
TABLE_NOTES = {
    "retrieved": "What a user would get: a relevant document that the first stage missed counts as not found.",
    "injected": "Judged documents that the first stage missed stand behind those it found. This says what a model can "
    "tell apart, and is better than what a user would get.",
}


def tables_of(results: Json) -> list[str]:
    """The tables that say something: without injected documents both would be the same."""
    return ["retrieved", "injected"] if results["injected"] else ["retrieved"]


def label_of(measure: str) -> str:
    """A measure as people write it."""
    kind, _, cutoff = measure.partition("@")
    names = {"success": "has right in contexts", "mrr": "MRR", "ndcg": "nDCG", "recall": "Recall", "map": "MAP"}
    return f"{names[kind]}@{cutoff}" if cutoff else names[kind]


def told_of(results: Json) -> list[str]:
    """What was measured, and what of it is not whole."""
    found = [f"{results['queries']:,} judged queries; first stage: {results['first_stage']}."]
    if results["queries"] < 2:
        found.append("One query alone: no interval can be given.")
    if not results["has_order"]:
        found.append(
            "The documents of the groups have no initial rank, so nothing is said of what there is without a reranker."
        )
    found += [
        f"Incomplete: {row['name']} gave no scores for {row['incomplete']:,} queries. They count 0, and it is compared "
        f"with nothing. The same command again asks for them once more."
        for row in results["rows"]
        if row["incomplete"]
    ]
    if results["without_candidates"]:
        found.append(
            f"{results['without_candidates']:,} judged queries have no document of the first stage. They count 0 as "
            f"retrieved."
        )
    if results["without_relevant"]:
        found.append(
            f"{results['without_relevant']:,} judged queries have no document {in_words(results['relevant_from'])}. "
            f"They count 0 in all measures but nDCG."
        )
    if results["set_aside"]:
        told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(results["set_aside"].items()))
        found.append(f"Set aside: {told}; see _rejected/.")
    return found


def notes_of(results: Json) -> list[str]:
    """How the tables are read."""
    contexts = results["contexts"]
    found = [
        f"has right in contexts@{contexts}: a relevant document is among the first {contexts} (Success@{contexts}).",
        f"Relevant is a document {in_words(results['relevant_from'])}; nDCG takes the label itself as gain.",
        "In parentheses 95 % intervals by bootstrap over the queries; p by a paired randomisation test, after Holm.",
        "Ordered by scores in float32, logits if nothing else is said; equal ones keep the order of the first stage.",
    ]
    found += [
        f"Cosine: {row['name']} is an encoder without a classification head, scored by the cosine of its vectors. A "
        f"document is encoded once, however many queries it has, but anew for the p50 and p99 of a query."
        for row in results["rows"]
        if row["scale"] == "cosine"
    ]
    found += [
        f"{row['name']} gives probabilities and no logits: those that round to the same are tied."
        for row in results["rows"]
        if row["scale"] == "probability"
    ]
    return found


def mean_cells(results: Json, table: str) -> Cells:
    """The means of every row, with their intervals."""
    measures = results["measures"]
    head = ["", *map(label_of, measures)]
    means = results["tables"][table]["means"]
    return [head] + [
        [shown, *(mean_text(means[name][measure]) for measure in measures)] for name, shown in names_of(results).items()
    ]


def names_of(results: Json) -> dict[str, str]:
    """By the name of a row, how it is shown: with what it is, where it is no reranker, or not whole."""
    found = {}
    for row in results["rows"]:
        marks = ["cosine"] if row["scale"] == "cosine" else []
        marks += ["incomplete"] if row["incomplete"] else []
        found[row["name"]] = f"{row['name']} ({', '.join(marks)})" if marks else row["name"]
    return found


def difference_cells(results: Json, table: str) -> Cells:
    """Every comparison, query by query: a row each, by all measures."""
    measures = results["measures"]
    main = measures[1]
    names = names_of(results)
    found: dict[tuple[str, str], dict[str, Json]] = {}
    for each in results["tables"][table]["differences"]:
        found.setdefault((each["row"], each["against"]), {})[each["measure"]] = each
    head = ["difference", *map(label_of, measures), f"{label_of(main)} better, worse"]
    return [head] + [
        [
            f"{names[row]} less {names[against]}",
            *(f"{mean_text(of[name]['difference'], '+')}, {p_text(of[name]['p_holm'])}" for name in measures),
            f"{of[main]['better']:,}, {of[main]['worse']:,}",
        ]
        for (row, against), of in found.items()
    ]


def cost_cells(results: Json) -> Cells:
    """What the scores of each model took."""
    head = ["", "pairs", "pairs/s", "p50 of a query, ms", "p99, ms", "cut documents", "tied documents"]
    names = names_of(results)
    return [head] + [
        [
            names[row["name"]],
            number_text(row["pairs"]),
            number_text(row["pairs_per_second"]),
            number_text(row.get("p50_ms")),
            number_text(row.get("p99_ms")),
            number_text(row["truncated_documents"]),
            f"{row['tie_rate']:.2%}",
        ]
        for row in results["rows"]
        if row["model"] is not None
    ]


def slice_cells(results: Json, slices: list[Json]) -> Cells:
    """One measure over parts of the queries."""
    measure = results["measures"][1]
    head = [label_of(measure), "queries", *names_of(results).values()]
    return [head] + [
        [
            each["slice"],
            f"{each['queries']:,}",
            *(f"{each['means'][row['name']][measure]:.3f}" for row in results["rows"]),
        ]
        for each in slices
    ]


def mean_text(mean: Json, sign: str = "") -> str:
    """A mean with its interval."""
    if mean["interval"] is None:
        return f"{mean['mean']:{sign}.3f}"
    low, high = mean["interval"]
    return f"{mean['mean']:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def p_text(p_value: float) -> str:
    """A p-value; small ones by what they are below."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def number_text(number: float | None) -> str:
    """A number as a cell has it."""
    if number is None:
        return "–"
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:,.1f}"
