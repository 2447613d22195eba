"""Checks of the fields of a row, which refuse it, and the one loop that turns refusals into rejections."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from crossrank.formats.lines import json_kind
from crossrank.records import Json, Reason, Reject, Rejected

Row = TypeVar("Row")
Record = TypeVar("Record")

RANK_LIMIT = 2**31 - 1
"""Largest rank, which is int32 in Parquet."""


class RowRefused(Exception):
    """A row that cannot become a record, or a group that a format cannot hold. Never leaves `crossrank.formats`."""

    def __init__(self, detail: str, reason: Reason = Reason.MALFORMED) -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason = reason

    def rejected(self, source: str, line: int | None, record_id: str | None) -> Rejected:
        """The rejection that a reader or writer hands to its caller."""
        return Rejected(source, line, record_id, self.reason, self.detail)


def accepted(
    rows: Iterable[tuple[int, Row]],
    source: str,
    reject: Reject,
    parse: Callable[[int, Row], Record],
    id_of: Callable[[Row], str | None] = lambda row: None,
) -> Iterator[tuple[int, Record]]:
    """Apply `parse` to every row; a row that it refuses is rejected, with the id that `id_of` finds in it."""
    for line, row in rows:
        try:
            record = parse(line, row)
        except RowRefused as refused:
            reject(refused.rejected(source, line, id_of(row)))
            continue
        yield line, record


def text(row: Json, key: str, prefix: str = "") -> str:
    """A string that has to be there. It may be empty."""
    value = row.get(key)
    if isinstance(value, str):
        return value
    raise RowRefused(f"{prefix}{key} is {_found(row, key)}, and a string is wanted")


def optional_text(row: Json, key: str, prefix: str = "") -> str | None:
    """A string, or None where there is none."""
    return None if row.get(key) is None else text(row, key, prefix)


def identifier(row: Json, key: str, prefix: str = "") -> str:
    """An id: a string that is not empty, or a whole number, which becomes its decimal string."""
    value = row.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        raise RowRefused(f"{prefix}{key} is {value}, and an id is a string or a whole number")
    if not isinstance(value, str):
        raise RowRefused(f"{prefix}{key} is {_found(row, key)}, and a string or a whole number is wanted")
    if not value:
        raise RowRefused(f"{prefix}{key} is empty")
    return value


def known_id(row: Json, key: str) -> str | None:
    """The id of a row that was refused, if it can be read."""
    try:
        return identifier(row, key)
    except RowRefused:
        return None


def texts(row: Json, key: str, prefix: str = "") -> list[str]:
    """A list of strings that has to be there. It may be empty."""
    values = items(row, key, prefix)
    for position, value in enumerate(values):
        if not isinstance(value, str):
            raise RowRefused(f"{prefix}{key}[{position}] is {json_kind(value)}, and a string is wanted")
    return values


def numbers(row: Json, key: str, count: int, of: str) -> list[float]:
    """A list of as many finite numbers as `of` has items."""
    values = items(row, key)
    if len(values) != count:
        raise RowRefused(f"{key} has {len(values)} numbers, and {of} has {count} texts")
    return [number(value, f"{key}[{position}]") for position, value in enumerate(values)]


def items(row: Json, key: str, prefix: str = "") -> list[Any]:
    """A list that has to be there."""
    value = row.get(key)
    if isinstance(value, list):
        return value
    raise RowRefused(f"{prefix}{key} is {_found(row, key)}, and a list is wanted")


def _found(row: Json, key: str) -> str:
    return json_kind(row[key]) if key in row else "missing"


def number(value: object, name: str) -> float:
    """A finite float. A whole number is taken if a float holds it exactly."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowRefused(f"{name} is {json_kind(value)}, and a number is wanted")
    try:
        found = float(value)
    except OverflowError:
        raise RowRefused(f"{name} is beyond what a float can hold") from None
    if not math.isfinite(found):
        raise RowRefused(f"{name} is {found}", Reason.SCORE_NOT_FINITE)
    if found != value:
        raise RowRefused(f"{name} is {value}, which a float cannot hold exactly")
    return found


def optional_number(row: Json, key: str, prefix: str = "") -> float | None:
    """A finite float, or None where there is none."""
    value = row.get(key)
    return None if value is None else number(value, prefix + key)


def optional_rank(row: Json, key: str, prefix: str = "") -> int | None:
    """A whole number from 0 that fits a rank, or None where there is none.

    ``1.0`` is one: pandas makes floats of a column that has nulls. NaN is none, as in every other column.
    """
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowRefused(f"{prefix}{key} is {json_kind(value)}, and a whole number is wanted")
    if isinstance(value, float) and not value.is_integer():
        raise RowRefused(f"{prefix}{key} is {value}, and a whole number or null is wanted")
    if abs(value) > RANK_LIMIT:
        raise RowRefused(f"{prefix}{key} is {value}, beyond {RANK_LIMIT}")
    if value < 0:
        raise RowRefused(f"{prefix}{key} is {value}, and ranks are counted from 0 or 1")
    return int(value)


def plain_number(value: float) -> int | float:
    """A label as people write it: ``1``, not ``1.0``; a grade with a fraction stays. Refuses what is not finite."""
    if not math.isfinite(value):
        raise RowRefused(f"a label is {value}", Reason.SCORE_NOT_FINITE)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
