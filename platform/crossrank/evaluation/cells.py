"""The figures of a report as the cells of its tables, and the sentences that are needed to read them."""

from __future__ import annotations

from typing import Any

from crossrank.evaluation.measures import MAIN
from crossrank.evaluation.relevance import in_words
from crossrank.evaluation.verdict import BETTER, SIGNIFICANT, WORSE, mark_of, marks_of
from crossrank.evaluation.wording import counted, graded, label_of, mean_text, note_of, number_text, p_text

Json = dict[str, Any]
Cells = list[list[str]]
"""Rows of a table, the head first."""
REPORTED_TIES = 0.01
"""Share of tied documents from which on the report mentions them."""
TABLE_TITLES = {
    "retrieved": "Candidates as retrieved",
    "injected": "Candidates with the judged documents injected",
}
TABLE_NOTES = {
    "retrieved": "What a user would get. A relevant document that the first stage missed counts as not found.",
    "injected": "Judged documents that the first stage missed are put behind those it found. It shows what a model can "
    "tell apart, and flatters what a user would get.",
}


def tables_of(results: Json) -> list[str]:
    """Names of the tables to show: without injected documents both would be the same."""
    return ["retrieved", "injected"] if results["injected"] else ["retrieved"]


def caveats_of(results: Json) -> list[str]:
    """Sentences on what is missing from the figures, or is not whole."""
    found = []
    if results["queries"] < 2:
        found.append("There is one query alone, so no interval can be given.")
    if not results["has_order"]:
        found.append("Not every document of the groups has an initial rank, so there is no row without a reranker.")
    found += [
        f"Incomplete: {row['name']} gave no scores for {counted(row['incomplete'], 'query', 'queries')}, which "
        f"{'counts' if row['incomplete'] == 1 else 'count'} 0, and it is compared with nothing. The same command again "
        f"asks once more."
        for row in results["rows"]
        if row["incomplete"]
    ]
    found += [
        f"{row['name']} gave {row['tie_rate']:.1%} of its documents the score of another of the same query, so part of "
        f"their order is not its own."
        for row in results["rows"]
        if row["tie_rate"] >= REPORTED_TIES
    ]
    if results["without_candidates"]:
        found.append(
            f"{counted(results['without_candidates'], 'judged query has', 'judged queries have')} no document of the "
            f"first stage: 0 in every measure as retrieved."
        )
    if results["without_relevant"]:
        but = " and ".join(graded(results["measures"]))
        found.append(
            f"{counted(results['without_relevant'], 'judged query has', 'judged queries have')} no document "
            f"{in_words(results['relevant_from'])}: 0 in every measure{f' but {but}' if but else ''}."
        )
    if results["query_documents"]:
        found.append(
            f"{counted(results['query_documents'], 'candidate was', 'candidates were')} the query itself, by id or "
            f"text, and left out, as in BEIR; --keep-query-document keeps them."
        )
    if results["set_aside"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(results["set_aside"].items()))
        found.append(f"Rows that were set aside: {reasons}; see _rejected/.")
    return found


def settings_of(results: Json) -> list[tuple[str, str]]:
    """Data and settings of the evaluation, as names and values."""
    found = [("data", results["about"]["data"]), ("measured", results["about"]["date"])]
    found += [("queries", f"{results['queries']:,} judged"), ("first stage", results["first_stage"])]
    return found + list(results["about"]["settings"].items())


def notes_of(results: Json) -> list[str]:
    """Sentences that are needed to read the tables."""
    takes_label = "".join(f"; {label} takes the label itself as gain" for label in graded(results["measures"]))
    found = [
        f"{BETTER} and {WORSE} mark what is better or worse by more than chance would give (p below {SIGNIFICANT}).",
        "A mark beside a mean compares it with no reranker. Without a mark a difference may be chance.",
        *(f"{note}." for note in map(note_of, results["measures"]) if note is not None),
        f"Relevant is a document {in_words(results['relevant_from'])}{takes_label}.",
        "The range beside a figure is its 95 % interval, by bootstrap over the queries.",
        "p is of a paired randomisation test, after Holm's correction for several comparisons.",
        f"Ordered by scores in float32, logits if nothing else is said; equal ones {_ties(results['has_order'])}.",
    ]
    found += [
        f"Cosine: {row['name']} is an encoder without a classification head, scored by the cosine of its vectors. A "
        f"document is encoded once, however many queries it has, but anew for the p50 and p99 of a query."
        for row in results["rows"]
        if row["scale"] == "cosine"
    ]
    found += [
        f"{row['name']} is a server: its cut documents are those that it refused as too long, halved until it took "
        f"them. What it cuts itself it does not say."
        for row in results["rows"]
        if row["model"] is not None and row["model"].startswith(("http://", "https://"))
    ]
    found += [
        f"{row['name']} gives probabilities and no logits: those that round to the same are tied, which are "
        f"{row['tie_rate']:.1%} of its documents."
        for row in results["rows"]
        if row["scale"] == "probability"
    ]
    return found


def _ties(has_order: bool) -> str:
    if has_order:
        return "keep the order of the first stage"
    return "keep the initial ranks of a group that has any, and are ordered by a hash of query and document in others"


def mean_cells(results: Json, table: str) -> Cells:
    """The means of every row, with their intervals, and how they stand against no reranker."""
    measures = results["measures"]
    means = results["tables"][table]["means"]
    marks = marks_of(results, table)
    return [["", *map(label_of, measures)]] + [
        [shown, *(_marked(marks.get((name, measure), ""), mean_text(means[name][measure])) for measure in measures)]
        for name, shown in names_of(results).items()
    ]


def names_of(results: Json) -> dict[str, str]:
    """Shown names by the names of rows: with a remark where a row is no reranker, or is not whole."""
    found = {}
    for row in results["rows"]:
        marks = ["cosine"] if row["scale"] == "cosine" else []
        marks += ["incomplete"] if row["incomplete"] else []
        found[row["name"]] = f"{row['name']} ({', '.join(marks)})" if marks else row["name"]
    return found


def difference_tables(results: Json, table: str) -> list[tuple[str, Cells]]:
    """Every comparison, query by query: a table for each row that others are compared with, with its title."""
    measures = results["measures"]
    names = names_of(results)
    found: dict[str, dict[str, dict[str, Json]]] = {}
    for each in results["tables"][table]["differences"]:
        found.setdefault(each["against"], {}).setdefault(each["row"], {})[each["measure"]] = each
    head = ["", *map(label_of, measures), f"queries by {label_of(MAIN)}"]
    return [
        (
            f"Compared with {names[against]}",
            [head, *(_difference_row(names[row], of) for row, of in rows.items())],
        )
        for against, rows in found.items()
    ]


def _difference_row(name: str, of: dict[str, Json]) -> list[str]:
    cells = [
        _marked(mark_of(each), f"{mean_text(each['difference'], is_difference=True)}, {p_text(each['p_holm'])}")
        for each in of.values()
    ]
    return [name, *cells, f"{of[MAIN]['better']:,} better, {of[MAIN]['worse']:,} worse"]


def _marked(mark: str, text: str) -> str:
    return f"{mark} {text}" if mark else text


def cost_cells(results: Json) -> Cells:
    """Cost of the scores of each model: pairs, speed, and what was cut or tied."""
    head = ["", "pairs", "pairs a second", "ms a query, p50", "ms, p99", "cut documents", "tied documents"]
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


def slice_title(results: Json, name: str) -> str:
    """Title of a table over parts of the queries."""
    return f"{label_of(MAIN)} by {name}"


def slice_cells(results: Json, slices: list[Json]) -> Cells:
    """Means of the main measure over parts of the queries."""
    head = ["", "queries", *names_of(results).values()]
    return [head] + [
        [
            each["slice"],
            f"{each['queries']:,}",
            *(f"{each['means'][row['name']][MAIN]:.3f}" for row in results["rows"]),
        ]
        for each in slices
    ]
