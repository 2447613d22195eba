"""The report as one page of HTML that needs no network: tables, and pictures drawn as SVG.

The texts of queries and documents come from anywhere, so the template escapes everything; the page runs no script.
"""

from __future__ import annotations

from pathlib import Path

from crossrank.evaluation.cells import (
    TABLE_NOTES,
    TABLE_TITLES,
    Json,
    caveats_of,
    cost_cells,
    difference_tables,
    mean_cells,
    names_of,
    notes_of,
    settings_of,
    slice_cells,
    slice_title,
    tables_of,
)
from crossrank.evaluation.examples import Example
from crossrank.evaluation.pictures import HEIGHT, WIDTH, distribution, forest, reliability, speed
from crossrank.evaluation.verdict import verdict_of

TEMPLATE = Path(__file__).parent / "page.html.j2"


def page_of(results: Json, examples: dict[str, dict[str, list[Example]]]) -> str:
    """The HTML of the report.

    Args:
        examples: queries won and lost, by the name of a row.
    """
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    names = names_of(results)
    return template.render(
        title=results["about"]["title"],
        verdict=verdict_of(results),
        settings=settings_of(results),
        facts=caveats_of(results),
        notes=notes_of(results),
        forest=forest(results),
        tables=[
            {
                "name": table,
                "title": TABLE_TITLES[table],
                "note": TABLE_NOTES[table],
                "means": mean_cells(results, table),
                "differences": difference_tables(results, table),
            }
            for table in tables_of(results)
        ],
        cost=cost_cells(results),
        slices=[(slice_title(results, name), slice_cells(results, each)) for name, each in results["slices"].items()],
        speed=speed(results),
        examples={names[name]: of for name, of in examples.items()},
        distributions=[distribution(names[name], of) for name, of in results["scores"].items() if of["edges"]],
        reliability=[reliability(names[name], of) for name, of in results["scores"].items() if of["reliability"]],
        size=(WIDTH, HEIGHT),
        made=f"crossrank {results['crossrank']['version']}, {results['crossrank']['commit'] or 'no commit'}",
    )
