"""Groups from where a job finds them: Parquet or JSON lines, a file or a folder, in any form that `group_forms` knows.

What a file is called does not matter, what it holds does. Every verb that takes ``--groups`` reads them through this
module, so that the same file is read, or refused with the same sentence, by all.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import NamedTuple

from crossrank import storage
from crossrank.errors import InputError
from crossrank.formats.fields import accepted, known_id
from crossrank.formats.file_contents import Contents, contents_of
from crossrank.formats.group_forms import OURS, GroupForm, command, form_of, refusal
from crossrank.formats.group_order import in_rank_order
from crossrank.formats.lines import read_json_lines
from crossrank.formats.parquet import holds_objects, parquet_rows, parquet_schema
from crossrank.formats.sources import JSON_LINES, PARQUET, file_name, files_of, folder_files, has_extension
from crossrank.formats.tables import BEIR_CORPUS, BEIR_QUERIES
from crossrank.records import Group, Json, Reject, Rejected
from crossrank.storage.content_hash import fingerprint_of

GROUP_FILES = (*PARQUET, *JSON_LINES)
JSON_FILES = (".json",)
"""Extensions that users of FlagEmbedding give to JSON lines, too."""
PROBED_ROWS = 100
"""First rows of JSON lines that are searched for one that shows the form of the file."""
SAVED_DATASET = ("dataset_info.json", "dataset_dict.json", "state.json")


class _Rows(NamedTuple):
    """The rows of a file, and their form."""

    form: GroupForm
    rows: Iterator[tuple[int, Json]]


def read_group_files(uri: str, reject: Reject) -> Iterator[tuple[str, int, Group]]:
    """Read the groups at `uri`, each with its file and its line there; what is no group is rejected.

    FlagEmbedding's and sentence-transformers' rows are read as they stand, with the ids that `crossrank convert` would
    give them.

    Raises:
        InputError: a file holds something else; the sentence says what, and the command or the flag for it.
    """
    for number, file in enumerate(group_files(uri)):
        for line, group in _groups(file, number, reject):
            yield file, line, group


def group_files(uri: str) -> list[str]:
    """The files at `uri` that are read. Refuses a folder that is something else as a whole."""
    if not storage.is_folder(uri):
        return files_of(uri, GROUP_FILES)
    names = {file_name(file).removesuffix(".gz") for file in folder_files(uri)}
    if {BEIR_QUERIES, BEIR_CORPUS} <= names:
        raise InputError(f"{uri} is a BEIR folder, not groups; run {command('beir', uri, uri)}")
    if not names.isdisjoint(SAVED_DATASET):
        raise InputError(f"{uri} is a saved data set, not groups; run {command('dataset', uri, uri)}")
    has_ours = any(has_extension(name, GROUP_FILES) for name in names)
    return files_of(uri, GROUP_FILES if has_ours else (*GROUP_FILES, *JSON_FILES))


def read_group_queries(uri: str) -> Iterator[str]:
    """Read the query of every group at `uri`, and of Parquet nothing else; what is no group is passed over.

    Raises:
        InputError: as `read_group_files`.
    """
    for file in group_files(uri):
        form, rows = _opened(file, _ignore, queries_alone=True)
        for _, row in rows:
            query = row.get(form.query)
            if isinstance(query, str):
                yield query


def name_of_form(uri: str) -> str | None:
    """The format that the first file at `uri` has, as `crossrank convert` calls it; None where no row can be read.

    Raises:
        InputError: as `read_group_files`.
    """
    form, rows = _opened(group_files(uri)[0], _ignore)
    return form.name if next(rows, None) is not None else None


def fingerprint_of_groups(uri: str) -> str:
    """A hash of the files that are read; others in the same folder do not matter.

    Every job needs it before it writes anything, so that this function is where files without groups are refused.

    Raises:
        InputError: as `read_group_files`.
    """
    files = group_files(uri)
    for file in files:
        _opened(file, _ignore)
    return fingerprint_of(uri, files)


def _groups(file: str, number: int, reject: Reject) -> Iterator[tuple[int, Group]]:
    form, rows = _opened(file, reject)

    def group(line: int, row: Json) -> Group:
        return form.group_of(row, f"{number}:{line}")

    groups = accepted(rows, file, reject, group, lambda row: known_id(row, "query_id"))
    return in_rank_order(groups, file)


def _opened(file: str, reject: Reject, *, queries_alone: bool = False) -> _Rows:
    if contents_of(file, command) is Contents.PARQUET:
        schema = parquet_schema(file)
        columns = schema.names
        form = form_of(columns, "docs" in columns and holds_objects(schema.field("docs").type))
        if form is None:
            raise refusal(file, columns)
        return _Rows(form, parquet_rows(file, reject, {form.query: None} if queries_alone else form.columns(columns)))
    rows = read_json_lines(file, reject)
    probed: list[tuple[int, Json]] = []
    for located in islice(rows, PROBED_ROWS):
        probed.append(located)
        row = located[1]
        form = form_of(row, _are_objects(row.get("docs")))
        if form is not None:
            return _Rows(form, chain(probed, rows))
    keys = list(dict.fromkeys(key for _, row in probed for key in row))
    if keys:
        raise refusal(file, keys)
    return _Rows(OURS, chain(probed, rows))  # nothing of it can be read, and each line says why


def _are_objects(docs: object) -> bool:
    return isinstance(docs, list) and bool(docs) and isinstance(docs[0], dict)


def _ignore(_rejected: Rejected) -> None:
    """Ignore a rejected row, which is reported when all rows are read."""
