"""Queries and corpora: JSONL, TSV, CSV, Parquet or a BEIR folder, as rows of an id and a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import NamedTuple

from crossrank import storage
from crossrank.errors import InputError
from crossrank.formats.columns import Column, Table
from crossrank.formats.delimited import csv_table, tsv_table
from crossrank.formats.fields import accepted, identifier, known_id, optional_text, text
from crossrank.formats.lines import read_json_lines
from crossrank.formats.parquet import as_json, parquet_rows, parquet_schema
from crossrank.formats.sources import CSV, JSON_LINES, PARQUET, TSV, file_name, folder_files, has_extension
from crossrank.records import Document, Json, Reject

KINDS = (JSON_LINES, TSV, CSV, PARQUET)
PROBED_ROWS = 100
"""First rows of JSON lines, which have no header, that show the required columns; optional ones may come in any row."""

BEIR_QUERIES = "queries.jsonl"
BEIR_CORPUS = "corpus.jsonl"


class Query(NamedTuple):
    """One row of the queries."""

    query_id: str
    text: str
    line: int
    """Line of the file (Parquet: row), from 1."""
    source: str
    """URI of the file."""
    meta: Json
    """Every other column, where they were asked for."""


def read_queries(
    uri: str,
    reject: Reject,
    *,
    query_id_column: str | None = None,
    query_column: str | None = None,
    with_meta: bool = True,
) -> Iterator[Query]:
    """The queries of a file, of a folder of files of one kind, or of a BEIR folder.

    The id is in the column asked for, or else ``_id``, ``query_id`` or ``id``; the text likewise, or else in
    ``text`` or ``query``. A TSV file without a header is ``id<TAB>text``. Whole numbers as ids become their decimal
    string. An empty text is yielded: what to do with it is for the caller to say.

    Rejected: rows that cannot be read, and those whose id or text is missing, null or of another type.

    Args:
        with_meta: whether the other columns are read, too. Otherwise those of a Parquet file are not even decoded.

    Raises:
        InputError: a column is not there, a folder without files or with files of two kinds, an unknown extension.
    """
    the_id = Column("the query id", query_id_column, ("_id", "query_id", "id"), "--query-id-column")
    the_text = Column("the query text", query_column, ("text", "query"), "--query-column")
    for file in table_files(uri, BEIR_QUERIES):
        table = _table(file, reject, (the_id, the_text), {2: ["_id", "text"]}, with_meta)
        if table.columns:
            names = the_id.find(file, table.columns), the_text.find(file, table.columns)
            yield from _queries(file, table, reject, *names, with_meta)


def read_documents(
    uri: str,
    reject: Reject,
    *,
    doc_id_column: str | None = None,
    title_column: str | None = None,
    text_column: str | None = None,
    with_meta: bool = True,
) -> Iterator[tuple[int, Document]]:
    """The documents of a corpus, each with its line (Parquet: row) from 1 in its file.

    The id is in the column asked for, or else ``_id``, ``doc_id`` or ``id``; the text likewise, or else in ``text``,
    ``contents`` or ``passage``; ``title`` may be missing, in JSON lines from any of the rows. A TSV file without a
    header is ``id<TAB>text`` or ``id<TAB>title<TAB>text``. Every other column is kept in `Document.meta`, unless
    `with_meta` is false. The rest is as in `read_queries`.
    For a folder, call it on each of `table_files(uri, BEIR_CORPUS)` to know which file a line is of.
    """
    the_id = Column("the document id", doc_id_column, ("_id", "doc_id", "id"), "--doc-id-column")
    the_title = Column("the title", title_column, ("title",), "--title-column", is_optional=True)
    the_text = Column("the document text", text_column, ("text", "contents", "passage"), "--text-column")
    headerless = {2: ["_id", "text"], 3: ["_id", "title", "text"]}
    for file in table_files(uri, BEIR_CORPUS):
        table = _table(file, reject, (the_id, the_title, the_text), headerless, with_meta)
        if table.columns:
            title = the_title.names[0] if table.may_grow else the_title.among(table.columns)
            names = the_id.find(file, table.columns), title, the_text.find(file, table.columns)
            yield from _documents(file, table, reject, *names, with_meta)


def table_files(uri: str, beir_name: str) -> list[str]:
    """The files that a URI of queries or of a corpus stands for.

    A folder that holds `beir_name` (packed or not) stands for that file alone, any other for all its files of the
    one kind it has. Refuses a folder without data files, or with two kinds.
    """
    if not storage.is_folder(uri):
        if not storage.exists(uri):
            raise storage.absent(uri)
        return [uri]
    files = folder_files(uri)
    for name in (beir_name, f"{beir_name}.gz"):
        if found := [file for file in files if file_name(file) == name]:
            return found
    present = [kind for kind in KINDS if any(has_extension(file, kind) for file in files)]
    if not present:
        raise InputError(f"{uri} holds no {beir_name} and no {_extensions()} files; name the file or its folder")
    if len(present) > 1:
        mixed = " and ".join(kind[0] for kind in present)
        raise InputError(f"{uri} holds {mixed} files and no {beir_name}; name the file, or a folder with one kind")
    return [file for file in files if has_extension(file, present[0])]


def _extensions() -> str:
    return ", ".join(extension for kind in KINDS for extension in kind)


def _table(
    uri: str, reject: Reject, columns: tuple[Column, ...], headerless: dict[int, list[str]], with_meta: bool
) -> Table:
    table = _opened(uri, reject, columns, headerless, with_meta)
    for column in columns:
        if column.asked is not None and table.columns:
            if table.may_grow and column.is_optional:
                table = table._replace(rows=_with_column_somewhere(table.rows, column, uri))
            else:
                column.find(uri, table.columns)  # what was asked for by name is missed before what is guessed
    return table


def _opened(
    uri: str, reject: Reject, columns: tuple[Column, ...], headerless: dict[int, list[str]], with_meta: bool
) -> Table:
    if has_extension(uri, JSON_LINES):
        rows = read_json_lines(uri, reject)
        probed = list(islice(rows, PROBED_ROWS))
        return Table(list(dict.fromkeys(key for _, row in probed for key in row)), chain(probed, rows), may_grow=True)
    if has_extension(uri, TSV):
        known = [name for column in columns for name in (*column.names, *column.usual)]
        asked = any(column.asked is not None for column in columns)
        # A column asked for by name implies a header; without one, the error shows what the first line holds instead.
        return tsv_table(uri, reject, known, None if asked else headerless)
    if has_extension(uri, CSV):
        return csv_table(uri, reject)
    if has_extension(uri, PARQUET):
        names = parquet_schema(uri).names
        needed = [found for column in columns if (found := column.among(names)) is not None]
        return Table(names, parquet_rows(uri, reject, None if with_meta else dict.fromkeys(needed)))
    raise InputError(f"{uri} is of no kind that is read here; {_extensions()} are (packed as .gz: all but .parquet)")


def _with_column_somewhere(rows: Iterator[tuple[int, Json]], column: Column, uri: str) -> Iterator[tuple[int, Json]]:
    """The rows; refuses the file, at its end, if none of them had the column."""
    seen: dict[str, None] = {}
    is_there = False
    for line, row in rows:
        if not is_there:
            seen |= dict.fromkeys(row)
            is_there = column.among(row) is not None
        yield line, row
    if not is_there:
        column.find(uri, list(seen))


def _others(own: frozenset[str | None], uri: str, with_meta: bool) -> Callable[[Json], Json]:
    """A function that gives the columns of a row that are kept as `meta`."""
    if not with_meta:
        return lambda _row: {}
    if has_extension(uri, PARQUET):
        return lambda row: {key: as_json(value) for key, value in row.items() if key not in own}
    return lambda row: {key: value for key, value in row.items() if key not in own}


def _queries(uri: str, table: Table, reject: Reject, id_name: str, text_name: str, with_meta: bool) -> Iterator[Query]:
    others = _others(frozenset((id_name, text_name)), uri, with_meta)

    def query(line: int, row: Json) -> Query:
        return Query(identifier(row, id_name), text(row, text_name), line, uri, others(row))

    for _, found in accepted(table.rows, uri, reject, query, lambda row: known_id(row, id_name)):
        yield found


def _documents(
    uri: str, table: Table, reject: Reject, id_name: str, title_name: str | None, text_name: str, with_meta: bool
) -> Iterator[tuple[int, Document]]:
    others = _others(frozenset((id_name, title_name, text_name)), uri, with_meta)

    def document(_line: int, row: Json) -> Document:
        title = optional_text(row, title_name) if title_name else None
        return Document(identifier(row, id_name), text(row, text_name), title, others(row))

    return accepted(table.rows, uri, reject, document, lambda row: known_id(row, id_name))
