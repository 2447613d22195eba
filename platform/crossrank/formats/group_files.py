"""Groups from where a job finds them: Parquet or JSON lines, one file or a folder."""

from __future__ import annotations

from collections.abc import Iterator

from crossrank.fingerprints import fingerprint_of
from crossrank.formats import groups_jsonl, groups_parquet
from crossrank.formats.sources import JSON_LINES, PARQUET, files_of, has_extension
from crossrank.records import Group, Reject

GROUP_FILES = (*PARQUET, *JSON_LINES)


def read_group_files(uri: str, reject: Reject) -> Iterator[tuple[str, int, Group]]:
    """The groups at `uri`, each with its file and its line there; what is no group is rejected."""
    for file in files_of(uri, GROUP_FILES):
        read = groups_jsonl.read_groups if has_extension(file, JSON_LINES) else groups_parquet.read_groups
        for line, group in read(file, reject):
            yield file, line, group


def fingerprint_of_groups(uri: str) -> str:
    """Hash of the files that are read; others in the same folder do not matter."""
    return fingerprint_of(uri, files_of(uri, GROUP_FILES))
