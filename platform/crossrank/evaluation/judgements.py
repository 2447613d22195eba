"""Judgements as users have them: TREC qrels, BEIR's table of three columns, or a BEIR folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from crossrank import storage
from crossrank.errors import InputError
from crossrank.formats import beir, trec
from crossrank.formats.beir import QRELS_FILE, QRELS_FOLDER
from crossrank.formats.lines import read_lines
from crossrank.formats.set_aside import SetAside
from crossrank.formats.sources import TSV, file_name, has_extension
from crossrank.formats.trec import Qrel
from crossrank.records import Reject

PROBED_LINES = 100
"""Lines from which the format is recognised, at most."""
TREC_LINE = re.compile(r"\S+\s+\S+\s+\S+\s+[+-]?\d\S*")
TEST = "test"
"""Split that is measured on where a folder has several."""

Labels = dict[str, dict[str, float]]
"""Labels of judged documents, by query and document, in the order of the file."""


def read_judgements(uri: str, reject: Reject) -> Labels:
    """The labels of all judged documents. Memory grows with the judgements, about 200 bytes each.

    Raises:
        InputError: one document is judged twice for a query, and not alike; or nothing is judged relevant.
    """
    found: Labels = {}
    lines: dict[tuple[str, str], int] = {}
    file = file_of(uri)
    set_aside = SetAside(reject)
    for row in _rows(file, set_aside):
        labels = found.setdefault(row.query_id, {})
        earlier = labels.setdefault(row.doc_id, row.relevance)
        first = lines.setdefault((row.query_id, row.doc_id), row.line)
        if earlier != row.relevance:
            raise InputError(
                f"{file} judges document {row.doc_id} for query {row.query_id} as {earlier:g} in line {first} and as "
                f"{row.relevance:g} in line {row.line}; leave one of them"
            )
    if not found:
        raise set_aside.nothing_usable(file, "judgements")
    if not any(label > 0 for labels in found.values() for label in labels.values()):
        others = f" ({set_aside.in_words()})" if set_aside.counts else ""
        raise InputError(f"{file} judges no document as relevant, so every measure would be 0{others}; check the file")
    return found


def file_of(uri: str) -> str:
    """The file with the judgements; in a BEIR folder with several splits that of ``test``."""
    if not storage.is_folder(uri):
        return uri
    files = [file.uri for file in storage.list_files(storage.join(uri, QRELS_FOLDER)) if has_extension(file.uri, TSV)]
    files += [file.uri for file in storage.list_files(uri) if file_name(file.uri).removesuffix(".gz") == QRELS_FILE]
    splits = {file_name(file).removesuffix(".gz").removesuffix(".tsv"): file for file in files}
    if len(splits) == 1:
        return files[0]
    if TEST in splits:
        return splits[TEST]
    content = f"the judgements {', '.join(sorted(splits))}" if splits else "no judgements"
    raise InputError(
        f"{uri} has {content}; name the file itself, such as {storage.join(uri, QRELS_FOLDER, 'test.tsv')}"
    )


def _rows(file: str, reject: Reject) -> list[Qrel]:
    read = beir.read_qrels if _is_table(content for _, content in read_lines(file, lambda _: None)) else trec.read_qrels
    return list(read(file, reject))


def _is_table(lines: Iterable[str]) -> bool:
    """Whether the first line in either format is in BEIR's; a title or a comment above it decides nothing."""
    for line in islice(lines, PROBED_LINES):
        if len(line.split("\t")) == len(beir.HEADER):
            return True
        if TREC_LINE.fullmatch(line.strip()):
            return False
    return False
