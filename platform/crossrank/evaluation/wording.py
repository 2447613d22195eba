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
    """What a measure says, as a sentence without its full stop; None where its name says it."""
    row, cutoff = parse(measure)
    return None if row.note is None else f"{label_of(measure)}: {row.note.format(cutoff=cutoff)}"


def graded(measures: Iterable[str]) -> list[str]:
    """Labels of those that take a document's label as its gain; the others know relevant and not."""
    return [parse(measure)[0].label for measure in measures if parse(measure)[0].of_gains is not None]


def counted(number: int, one: str, several: str) -> str:
    """How many there are of something: ``1 query has``, ``1,200 queries have``."""
    return f"{number:,} {one if number == 1 else several}"


def signed(number: float) -> str:
    """A difference with its sign, a minus and no hyphen; what rounds to nothing has none."""
    text = f"{number:+.3f}"
    return "0.000" if text in ("+0.000", "-0.000") else with_minus(text)


def with_minus(text: str) -> str:
    """A number that was written by Python, with a minus for its hyphen."""
    return text.replace("-", "−")


def mean_text(mean: dict[str, Any], *, is_difference: bool = False) -> str:
    """A mean, or a difference of two, with its interval."""
    write = signed if is_difference else "{:.3f}".format
    if mean["interval"] is None:
        return write(mean["mean"])
    low, high = mean["interval"]
    return f"{write(mean['mean'])} ({write(low)} to {write(high)})"


def p_text(p_value: float) -> str:
    """A p-value; small ones by what they are below."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def number_text(number: float | None) -> str:
    """A number as a cell has it."""
    if number is None:
        return "–"
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:,.1f}"
