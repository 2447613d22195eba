"""The columns of a file, and finding the one that is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from crossrank.errors import InputError
from crossrank.records import Json


class Table(NamedTuple):
    """The columns of a file, and its rows with their line (Parquet: row) from 1."""

    columns: list[str]
    rows: Iterator[tuple[int, Json]]


class Column(NamedTuple):
    """A column that is looked for."""

    what: str
    asked: str | None
    """Its name, if the user gave one."""
    usual: tuple[str, ...]
    """The names tried in order otherwise."""
    flag: str
    """How the user gives one."""

    @property
    def names(self) -> tuple[str, ...]:
        """What it may be called."""
        return (self.asked,) if self.asked is not None else self.usual

    def find(self, uri: str, columns: list[str]) -> str:
        """Its name in this file. Refuses a file without it, naming the columns there and the flag."""
        for name in self.names:
            if name in columns:
                return name
        raise InputError(
            f"{uri} has no column {' or '.join(self.names)} for {self.what}; it has {', '.join(columns)}; "
            f"name the right one with {self.flag}"
        )


def check_columns(uri: str, columns: list[str]) -> None:
    """Refuse a header that names a column twice: one of the two would be lost."""
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise InputError(f"{uri} has the column {twice[0]!r} more than once; rename or remove one of them")
