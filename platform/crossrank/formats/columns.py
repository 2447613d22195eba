"""The columns of a file, and finding the one that is wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple

from crossrank.errors import InputError, listed, quoted
from crossrank.records import Json


class Table(NamedTuple):
    """The columns of a file, and its rows with their line (Parquet: row) from 1."""

    columns: list[str]
    rows: Iterator[tuple[int, Json]]
    may_grow: bool = False
    """Whether rows may have columns that are not among `columns`: in JSON lines, where no header names them all."""


class Column(NamedTuple):
    """A column that a reader looks for."""

    what: str
    asked: str | None
    """Name of the column, if the user gave one."""
    usual: tuple[str, ...]
    """Names that are tried in this order otherwise."""
    flag: str
    """Flag by which the user gives a name."""
    is_optional: bool = False
    """Whether a file, or in JSON lines a row, may be without it."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the column may have."""
        return (self.asked,) if self.asked is not None else self.usual

    def among(self, columns: Collection[str]) -> str | None:
        """The name of the column among `columns`; None where it is not there."""
        return next((name for name in self.names if name in columns), None)

    def find(self, uri: str, columns: Collection[str]) -> str:
        """The name of the column in a file. Refuses a file without it; the error names the columns and the flag."""
        name = self.among(columns)
        if name is not None:
            return name
        raise InputError(
            f"{uri} has no column {' or '.join(self.names)} for {self.what}; it has {listed(columns)}; "
            f"name the right one with {self.flag}"
        )


def check_columns(uri: str, columns: list[str]) -> None:
    """Refuse a header that names a column twice: one of the two would be lost."""
    twice = sorted(name for name, times in Counter(columns).items() if times > 1)
    if twice:
        raise InputError(f"{uri} has the column {quoted(twice[0])} more than once; rename or remove one of them")
