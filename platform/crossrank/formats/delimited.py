"""CSV and TSV files as rows of named columns."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator

from crossrank.errors import InputError, listed
from crossrank.formats.columns import Table, check_columns
from crossrank.formats.fields import RowRefused, accepted
from crossrank.formats.lines import raw_lines, read_lines
from crossrank.records import Json, Reason, Reject, Rejected

_HEADER_WORDS = """
id qid pid did docid docno query_id queryid question_id doc_id document_id passage_id corpus_id query question doc
document passage content contents text body title heading headline
"""
HEADER_WORDS = frozenset(_HEADER_WORDS.split())
"""Usual names of columns. A first line that is made of these alone is a header, whether or not we look for them."""
CSV_FIELD_LIMIT = 1 << 24
"""Most characters of a CSV field. A quote that is never closed costs at most so much before it is noticed."""


def csv_table(uri: str, reject: Reject) -> Table:
    """A CSV file with a header; a quoted field may hold newlines, and its row counts from its first line.

    A row with more or fewer columns than the header is rejected. A file without any line has no columns and no rows.
    """
    rows = _csv_rows(uri, reject)
    _, header = next(rows, (0, []))
    return Table(header, _named(rows, header, uri, reject))


def tsv_table(uri: str, reject: Reject, known: Collection[str], headerless: dict[int, list[str]] | None) -> Table:
    """A TSV file, split at tabs and nothing else: a quote is a character like any other.

    Args:
        known: names that make the first line a header if one of its columns is called so. So do `HEADER_WORDS` if all
            of them are: what was then a row, ``qid<TAB>question``, is nobody's question.
        headerless: names of the columns of a file without a header, by their number; None: the first line is a header,
            whatever it says.

    Raises:
        InputError: no header, and a number of columns that `headerless` does not have.
    """
    rows = ((number, line.split("\t")) for number, line in read_lines(uri, reject))
    first = next(rows, None)
    if first is None:
        return Table([], iter(()))
    number, cells = first
    if headerless is None or not set(cells).isdisjoint(known) or _are_names(cells):
        return Table(cells, _named(rows, cells, uri, reject))
    if len(cells) not in headerless:
        layouts = " or ".join(", ".join(names) for names in headerless.values())
        raise InputError(
            f"{uri} has no header (none of {', '.join(sorted(known))} in its first line), so its columns should be "
            f"{layouts}, and line {number} has {len(cells)} columns; add a header line"
        )
    names = headerless[len(cells)]
    return Table(names, _named(_with_first(first, rows), names, uri, reject))


def _are_names(cells: list[str]) -> bool:
    return {cell.strip().casefold().replace("-", "_") for cell in cells} <= HEADER_WORDS


def _with_first(first: tuple[int, list[str]], rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    yield first
    yield from rows


def _named(
    rows: Iterable[tuple[int, list[str]]], columns: list[str], uri: str, reject: Reject
) -> Iterator[tuple[int, Json]]:
    check_columns(uri, columns)

    def named(_line: int, cells: list[str]) -> Json:
        if len(cells) != len(columns):
            raise RowRefused(f"{len(cells)} columns, and {len(columns)} are wanted ({listed(columns)})")
        return dict(zip(columns, cells, strict=True))

    return accepted(rows, uri, reject, named)


class _Decoded:
    """The lines of a file as text for `csv.reader`, which needs every one of them to keep count.

    What is not UTF-8 comes through as surrogates and raises `spoiled`, so that the row is rejected as a whole.
    """

    def __init__(self, uri: str) -> None:
        self._raw = raw_lines(uri)
        self.spoiled = False

    def __iter__(self) -> Iterator[str]:
        for _, raw in self._raw:
            try:
                yield raw.decode()
            except UnicodeDecodeError:
                self.spoiled = True
                yield raw.decode(errors="surrogateescape")


def _csv_rows(uri: str, reject: Reject) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(max(csv.field_size_limit(), CSV_FIELD_LIMIT))  # the default of 128 Ki cuts long documents off
    decoded = _Decoded(uri)
    reader = csv.reader(decoded, strict=True)  # strict: an unclosed quote is an error, not one huge field
    header_seen = False
    while True:
        first_line, decoded.spoiled = reader.line_num + 1, False
        cells: list[str] = []
        refused = None
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            refused = RowRefused(f"not CSV: {error} (lines {first_line} to {reader.line_num})")
        if decoded.spoiled and refused is None:
            refused = RowRefused("not valid UTF-8", Reason.INVALID_UTF8)
        if refused and not header_seen:
            raise InputError(f"{uri}: the header cannot be read: {refused.detail}; the first line names the columns")
        if refused:
            reject(Rejected(uri, first_line, None, refused.reason, refused.detail))
        elif len(cells) > 1 or (cells and cells[0].strip()):
            header_seen = True
            yield first_line, cells
