"""Numbers and names as people write them."""

from __future__ import annotations

from typing import Any


def label_of(measure: str) -> str:
    """A measure as people write it."""
    kind, _, cutoff = measure.partition("@")
    names = {"success": "has right in contexts", "mrr": "MRR", "ndcg": "nDCG", "recall": "Recall", "map": "MAP"}
    return f"{names[kind]}@{cutoff}" if cutoff else names[kind]


def an(word: str) -> str:
    """The word with its article, as it is spoken: an MRR, an nDCG, a MAP."""
    return f"{'an' if word.startswith(('MRR', 'nDCG')) else 'a'} {word}"


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
