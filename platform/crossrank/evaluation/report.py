"""The report: the same figures as text for a terminal, as Markdown, and as a page of HTML."""

from __future__ import annotations

from collections.abc import Sequence

from crossrank import storage
from crossrank.corpus.store import TextStore
from crossrank.evaluation.cells import (
    TABLE_NOTES,
    TABLE_TITLES,
    Cells,
    Json,
    caveats_of,
    cost_cells,
    difference_tables,
    mean_cells,
    notes_of,
    settings_of,
    slice_cells,
    slice_title,
    tables_of,
)
from crossrank.evaluation.examples import Example, examples_of
from crossrank.evaluation.lists import Lists
from crossrank.evaluation.page import page_of
from crossrank.evaluation.rows import Row
from crossrank.evaluation.verdict import verdict_of
from crossrank.evaluation.wording import counted


def write_report(results: Json, rows: Sequence[Row], lists: Lists, output: str, corpus: TextStore | None) -> None:
    """Write report.md and report.html into the output."""
    examples = _examples(rows, lists, corpus)
    storage.write_bytes(storage.join(output, "report.md"), as_markdown(results).encode())
    storage.write_bytes(storage.join(output, "report.html"), page_of(results, examples).encode())


def _examples(rows: Sequence[Row], lists: Lists, corpus: TextStore | None) -> dict[str, dict[str, list[Example]]]:
    """Examples by model, against the first stage where it has a row, else the first model; of whole rows alone."""
    base = rows[0]
    shown = [row for row in rows if row is not base and row.model is not None]
    return {
        row.name: examples_of(row, base, lists, corpus) for row in shown if not row.incomplete and not base.incomplete
    }


def as_text(results: Json) -> str:
    """The report as text for a terminal: the tables, and the verdict last."""
    tables = [_text_table(TABLE_TITLES[table], mean_cells(results, table)) for table in tables_of(results)]
    tables += [
        _text_table(f"{title}, {TABLE_TITLES['retrieved'].lower()}", cells)
        for title, cells in difference_tables(results, "retrieved")
    ]
    judged = counted(results["queries"], "judged query", "judged queries")
    facts = [f"{judged}; first stage: {results['first_stage']}.", *caveats_of(results)]
    return "\n\n".join([*tables, "\n".join([*facts, *notes_of(results)]), verdict_of(results)])


def as_markdown(results: Json) -> str:
    """The report as Markdown, without pictures."""
    parts = [f"# {results['about']['title']}", f"**{verdict_of(results)}**"]
    parts += ["\n".join(f"- {name}: {value}" for name, value in settings_of(results))]
    if facts := caveats_of(results):
        parts += ["\n".join(f"- {fact}" for fact in facts)]
    for table in tables_of(results):
        parts += [f"## {TABLE_TITLES[table]}", TABLE_NOTES[table], _markdown_table(mean_cells(results, table))]
        for title, cells in difference_tables(results, table):
            parts += [f"### {title}", _markdown_table(cells)]
    if len(cost := cost_cells(results)) > 1:
        parts += ["## Cost", _markdown_table(cost)]
    for name, slices in results["slices"].items():
        parts += [f"## {slice_title(results, name)}", _markdown_table(slice_cells(results, slices))]
    parts += ["## How to read it", "\n".join(f"- {note}" for note in notes_of(results))]
    return "\n\n".join(parts) + "\n"


def _text_table(title: str, cells: Cells) -> str:
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([title, *lines])


def _markdown_table(cells: Cells) -> str:
    head, *rows = [[cell.replace("|", r"\|").replace("\n", " ") for cell in row] for row in cells]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])
