"""The contents of a file by its first bytes, whatever it is called: Parquet, JSON lines, or what is refused by kind."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum

from crossrank import storage
from crossrank.errors import InputError, in_short
from crossrank.formats.lines import BYTE_ORDER_MARK
from crossrank.formats.qa_csv import COLUMNS as QA_COLUMNS
from crossrank.formats.sources import JSON_LINES, PARQUET, has_extension

SNIFFED_BYTES = 1 << 16
_JSON_LIST = re.compile(rb"\[\s*\{")
_RUN = re.compile(r"\S+\s+Q0\s+\S+\s+[+-]?\d+\s+[-+.\deE]+\s+\S+", re.IGNORECASE)
_QRELS = re.compile(r"\S+\s+\S+\s+\S+\s+-?\d+(?:\.\d+)?")


class Contents(Enum):
    """Form in which the rows of a file are stored."""

    PARQUET = "Parquet"
    JSON_LINES = "JSON lines"


def contents_of(uri: str, command: Callable[[str, str, str], str]) -> Contents:
    """Find out in which form the rows of a file of groups are stored.

    Args:
        command: function of a format, a file and what the result is named after, that gives the command which makes
            groups of it.

    Raises:
        InputError: it is neither form; the sentence says what it is, and how groups are made of it.
    """
    with storage.open_input(uri) as stream:
        head = stream.read(SNIFFED_BYTES)
    if head.startswith(b"PAR1"):
        return Contents.PARQUET
    start = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    if start.startswith(b"{") or (has_extension(uri, JSON_LINES) and not _JSON_LIST.match(start)):
        return Contents.JSON_LINES
    if _JSON_LIST.match(start):
        raise InputError(f"{uri} is one JSON list, and one object a line is wanted; run {command('dataset', uri, uri)}")
    if not start and not has_extension(uri, PARQUET):
        return Contents.JSON_LINES
    first = start.split(b"\n", 1)[0].decode(errors="replace").strip()
    raise InputError(f"{uri} {_what(uri, first, command)}")


def _what(uri: str, first: str, command: Callable[[str, str, str], str]) -> str:
    cells = re.split(r"[,;\t]", first)
    if set(QA_COLUMNS) <= {cell.strip('" ') for cell in cells}:
        return f"is CSV of questions and answers, not groups; run {command('qa-csv', uri, uri)}"
    if _RUN.fullmatch(first):
        return "is a TREC run, which has no texts; give it as --candidates, beside --queries and --corpus"
    if cells[:2] == ["query-id", "corpus-id"] or _QRELS.fullmatch(first):
        return "holds judgements, which have no texts; give it as --qrels, beside --queries and --corpus"
    if len(cells) > 1 and first.isprintable() and "\ufffd" not in first:
        return f"is a table of text ({in_short(first, 60)}), not groups; run {command('dataset', uri, uri)}"
    return "is neither Parquet nor JSON lines, which groups are read from; crossrank convert --help names the formats"
