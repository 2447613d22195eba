"""Numbers and names as people write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from crossrank.evaluation.measures import parse


def label_of(measure: str) -> str:
    """A measure as people write it."""
    row, cutoff = parse(measure)
    return f"{row.label}@{cutoff}" if cutoff else row.label


def with_article(measure: str) -> str:
    """A measure as people write it, with its article as it is spoken: an MRR, an nDCG, a MAP."""
    return f"{parse(measure)[0].article} {label_of(measure)}"


def note_of(measure: str) -> str | None:
    """The meaning of a measure, as a sentence without its full stop; None where its name says it."""
    row, cutoff = parse(measure)
    return None if row.note is None else f"{label_of(measure)}: {row.note.format(cutoff=cutoff)}"


def graded(measures: Iterable[str]) -> list[str]:
    """Names of the measures that take a label as its gain; the others know nothing but relevant and not."""
    return [parse(measure)[0].label for measure in measures if parse(measure)[0].of_gains is not None]


def counted(number: int, one: str, several: str) -> str:
    """A number with its noun: ``1 query has``, ``1,200 queries have``."""
    return f"{number:,} {one if number == 1 else several}"


def signed(number: float) -> str:
    """A difference with its sign, which is a minus and no hyphen; without one where it rounds to 0."""
    text = f"{number:+.3f}"
    return "0.000" if text in ("+0.000", "-0.000") else with_minus(text)


def with_minus(text: str) -> str:
    """The text of a number with a minus in place of the hyphen that Python writes."""
    return text.replace("-", "−")


def mean_text(mean: dict[str, Any], *, is_difference: bool = False) -> str:
    """A mean, or a difference of two, with its interval."""
    write = signed if is_difference else "{:.3f}".format
    if mean["interval"] is None:
        return write(mean["mean"])
    low, high = mean["interval"]
    return f"{write(mean['mean'])} ({write(low)} to {write(high)})"


def p_text(p_value: float) -> str:
    """A p-value; a small one as the bound that it is below."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def number_text(number: float | None) -> str:
    """A number as a cell of a table has it; a dash for None."""
    if number is None:
        return "–"
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:,.1f}"
