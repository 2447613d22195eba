"""Question CSV files: ``question,answer,doc_id,doc``, the layout of the ko-reranker evaluation set.

What it holds: a query and the one document that answers it. The answer and any further column ride in `Group.meta`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from crossrank.errors import InputError
from crossrank.formats.delimited import csv_table
from crossrank.formats.fields import RowRefused, accepted
from crossrank.formats.foreign import extra_keys, plain_text, positives_and_negatives, query_id, text_id, written_keys
from crossrank.formats.lines import writing_lines
from crossrank.formats.sources import CSV, files_of
from crossrank.records import Candidate, Group, Json, Reject

COLUMNS = ("question", "answer", "doc_id", "doc")
OWN_COLUMNS = ("question", "doc_id", "doc")
"""The answer is not among them: it lives in `Group.meta` under its own name."""


def read_groups(uri: str, reject: Reject) -> Iterator[tuple[int, Group]]:
    """One group a row of a file or of the files of a folder: the document is its positive (label 1).

    An empty ``doc_id`` is replaced by a hash of the document. Rejected: rows with more or fewer columns than the
    header, and what is not CSV. Refuses a file without one of the four columns.
    """
    for number, file in enumerate(files_of(uri, CSV)):
        table = csv_table(file, reject)
        missing = [name for name in COLUMNS if table.columns and name not in table.columns]
        if missing:
            found, wanted = ", ".join(table.columns), ",".join(COLUMNS)
            raise InputError(f"{file} has no column {missing[0]}; it has {found}, and {wanted} are wanted")
        yield from _file_groups(file, number, table.rows, reject)


def write_groups(uri: str, groups: Iterable[Group], reject: Reject) -> int:
    """One row a group; returns their number. The columns after the four are those of the first group's `meta`.

    A group without an answer gets an empty one. Rejected: groups that have anything but one positive and no other
    document, `meta` that is not text or has other keys than the first group's, and documents without text.
    """
    written = 0
    header: list[str] | None = None
    with writing_lines(uri) as write:
        for group in groups:
            try:
                row = _row(group)
                if header is not None and row.keys() != set(header):
                    raise RowRefused(f"has the columns {', '.join(row)}, and the file has {', '.join(header)}")
            except RowRefused as refused:
                reject(refused.rejected(uri, None, group.query_id))
                continue
            if header is None:
                header = list(row)
                write(_csv_line(header))
            write(_csv_line([row[name] for name in header]))
            written += 1
        if header is None:
            write(_csv_line(list(COLUMNS)))
    return written


def _file_groups(
    file: str, number: int, rows: Iterator[tuple[int, Json]], reject: Reject
) -> Iterator[tuple[int, Group]]:
    def group(line: int, row: Json) -> Group:
        question, document = row["question"], row["doc"]
        positive = Candidate(row["doc_id"] or text_id(document), document, label=1.0)
        meta = extra_keys(row, OWN_COLUMNS)
        return Group(query_id(question, f"{number}:{line}"), question, (positive,), meta=meta)

    return accepted(rows, file, reject, group)


def _row(group: Group) -> dict[str, str]:
    positives, negatives = positives_and_negatives(group)
    if len(positives) != 1 or negatives:
        raise RowRefused(f"has {len(positives)} positives and {len(negatives)} negatives; a row holds one positive")
    meta = {"answer": "", **written_keys(group.meta, OWN_COLUMNS)}
    for name, value in meta.items():
        if not isinstance(value, str):
            raise RowRefused(f"meta.{name} is not text, and CSV holds nothing else")
    row = {"question": group.query, "answer": meta.pop("answer"), "doc_id": positives[0].doc_id}
    return row | {"doc": plain_text(positives[0])} | meta


def _csv_line(cells: list[str]) -> str:
    text = io.StringIO(newline="")
    # With this line end, the module quotes a cell with either of its characters.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n")
