"""The groups that a job translates, read again whenever they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from crossrank import storage
from crossrank.formats.group_files import read_group_files
from crossrank.records import Group, Reason, Reject, Rejected
from crossrank.translation.settings import TranslateSettings


def read_source(settings: TranslateSettings, reject: Reject) -> Iterator[Group]:
    """The groups in their order; what is no group, or says another language, is rejected."""
    return islice(_in_language(settings, reject), settings.limit)


def _in_language(settings: TranslateSettings, reject: Reject) -> Iterator[Group]:
    for file, line, group in read_group_files(storage.absolute(settings.groups), reject):
        if group.lang is None or _same(group.lang, settings.source):
            yield group
        else:
            detail = f"the group is in {group.lang}, and {settings.source} is translated"
            reject(Rejected(file, line, group.query_id, Reason.OTHER_LANGUAGE, detail))


def _same(language: str, other: str) -> bool:
    """Whether two codes name one language: en, en-GB and eng_Latn are English."""
    first, second = (code.lower().replace("_", "-").split("-")[0] for code in (language, other))
    return first == second or (min(len(first), len(second)) == 2 and first[:2] == second[:2])
