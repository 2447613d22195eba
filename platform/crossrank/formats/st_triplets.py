"""The triplets of sentence-transformers: JSON lines of ``anchor``, ``positive`` and ``negative`` or ``negative_1`` on.

What it holds: the query, one positive, its negatives, and any other key of the row, which rides in `Group.meta`.
A group with several positives becomes as many rows, each with all negatives, and as many groups when read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from crossrank.formats.fields import RowRefused, text
from crossrank.formats.foreign import (
    SHAPE,
    extra_keys,
    judged,
    noted,
    plain_text,
    positives_and_negatives,
    query_id,
    read_json_groups,
    write_json_groups,
    written_keys,
)
from crossrank.records import Group, Json, Reason, Reject

_NEGATIVE = re.compile(r"negative(_[1-9][0-9]*)?")
NUMBERED = {"negative": "numbered"}
"""Note under `SHAPE`: a single negative was called ``negative_1``."""


def read_groups(uri: str, reject: Reject) -> Iterator[tuple[int, Group]]:
    """One group a line, of a file or of the files of a folder: the positive and then the negatives.

    A row without negatives is a pair, and fine. Rejected: anything but a string among them, and negatives
    with a number left out or called both ``negative`` and ``negative_1``.
    """
    return read_json_groups(uri, reject, group_of_row)


def write_groups(uri: str, groups: Iterable[Group], reject: Reject) -> int:
    """One line for each positive of a group; returns the number of groups.

    Rejected: groups without a positive, and documents without text, unjudged or flagged.
    """
    return write_json_groups(uri, groups, reject, _rows)


def is_own(key: str) -> bool:
    """Whether a key is of the format, and does not ride in `Group.meta`."""
    return key in ("anchor", "positive") or _NEGATIVE.fullmatch(key) is not None


def group_of_row(row: Json, place: str) -> Group:
    """The group of a row; `place` is where it stands, which no other row of the input has."""
    keys = [key for key in row if _NEGATIVE.fullmatch(key)]
    names = keys if keys == ["negative"] else [f"negative_{number}" for number in range(1, len(keys) + 1)]
    if set(names) != set(keys):
        raise RowRefused(f"has {', '.join(sorted(keys))}; negatives are called negative, or negative_1 and so on")
    query = text(row, "anchor")
    docs = (judged(text(row, "positive"), 1.0), *(judged(text(row, name), 0.0) for name in names))
    meta = noted(extra_keys(row, ["anchor", "positive", *names]), NUMBERED if names == ["negative_1"] else {})
    return Group(query_id(query, place), query, docs, meta=meta)


def _rows(group: Group) -> list[Json]:
    positives, negatives = positives_and_negatives(group)
    if not positives:
        raise RowRefused("has no positive, and a triplet needs one", Reason.NO_CANDIDATES)
    single = len(negatives) == 1 and group.meta.get(SHAPE) != NUMBERED
    names = ["negative"] if single else [f"negative_{number}" for number in range(1, len(negatives) + 1)]
    reserved = [key for key in group.meta if _NEGATIVE.fullmatch(key)]
    shared = dict(zip(names, map(plain_text, negatives), strict=True))
    shared |= written_keys(group.meta, ["anchor", "positive", *reserved])
    return [{"anchor": group.query, "positive": plain_text(positive), **shared} for positive in positives]
