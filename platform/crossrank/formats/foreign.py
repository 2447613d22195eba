"""Code that the foreign formats share: ids made from texts, keys that a record has no place for, and the write loop.

**What is kept.** A key that a row has beyond its format's own (``prompt``, ``qid``) rides in the group's `meta` and is
written back. What a row says without a value, as ``"neg_scores": null`` does, is noted under `SHAPE` in `meta`,
so that what was absent, null or empty is so again.

**What is left out, what is refused.** A format leaves out what it has no place for (ids, ranks, languages), and its
file says so. But where the rest would then say something else, the group is refused: an unjudged document
or one that a filter flagged would be read as a negative or a positive, a text that is not there as an empty one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any

from crossrank.formats.fields import RowRefused, accepted
from crossrank.formats.lines import json_line, read_json_lines, writing_lines
from crossrank.formats.sources import JSON_LINES, files_of
from crossrank.records import Candidate, Group, Json, Reason, Reject, document_text

SHAPE = "_shape"
"""Key of `Group.meta`: which fields of the row were ``absent``, ``null`` or ``empty``, where the record cannot say."""


def text_id(text: str) -> str:
    """The id of a document that has none: 16 hex digits that depend on its text alone."""
    return blake2b(text.encode(), digest_size=8).hexdigest()


def query_id(query: str, place: str) -> str:
    """The id of a query that has none: from its text and its place in the file, so equal queries stay two."""
    return text_id(f"{query}\n{place}")


def read_json_groups(
    uri: str, reject: Reject, parse: Callable[[Json, str], Group], extensions: tuple[str, ...] = JSON_LINES
) -> Iterator[tuple[int, Group]]:
    """Read one group per line of a JSON lines file, or of each such file of a folder, with its line in that file.

    `parse` gets the row and its place, which no other row of the input has.
    """
    for number, file in enumerate(files_of(uri, extensions)):
        yield from _file_groups(file, number, reject, parse)


def _file_groups(
    file: str, number: int, reject: Reject, parse: Callable[[Json, str], Group]
) -> Iterator[tuple[int, Group]]:
    def parsed(line: int, row: Json) -> Group:
        return parse(row, f"{number}:{line}")

    return accepted(read_json_lines(file, reject), file, reject, parsed)


def write_json_groups(
    uri: str, groups: Iterable[Group], reject: Reject, render: Callable[[Group], Iterable[Json]]
) -> int:
    """Write what `render` makes of each group, a row a line; see `write_groups_as`."""
    return write_groups_as(uri, groups, reject, lambda group: map(row_line, render(group)))


def row_line(row: Json) -> str:
    """A row as one line of JSON. Refuses a number that is not finite, which JSON does not have."""
    try:
        return json_line(row)
    except ValueError:
        raise RowRefused("holds a number that is not finite", Reason.SCORE_NOT_FINITE) from None


def write_groups_as(uri: str, groups: Iterable[Group], reject: Reject, render: Callable[[Group], Iterable[str]]) -> int:
    """Write the lines that `render` makes of each group. A group that it refuses is rejected, none of its lines
    written. Returns the number of groups written."""
    written = 0
    with writing_lines(uri) as write:
        for group in groups:
            try:
                lines = list(render(group))
            except RowRefused as refused:
                reject(refused.rejected(uri, None, group.query_id))
                continue
            for line in lines:
                write(line)
            written += 1
    return written


def extra_keys(row: Json, own: Iterable[str]) -> Json:
    """The keys of a row beyond the format's own, for `Group.meta`."""
    if SHAPE in row:
        raise RowRefused(f"has the key {SHAPE}, which crossrank uses itself; rename it")
    return {key: value for key, value in row.items() if key not in own}


def written_keys(meta: Json, own: Iterable[str]) -> Json:
    """The inverse of `extra_keys`. Refuses a key that the format would take for one of its own."""
    for key in own:
        if key in meta:
            raise RowRefused(f"meta holds {key}, which means something else in this format")
    return {key: value for key, value in meta.items() if key != SHAPE}


def shape_of(row: Json, key: str) -> Json:
    """The note that `key` is absent, null or empty, if so. For fields of which the record keeps only the items."""
    if key not in row:
        return {key: "absent"}
    if row[key] is None:
        return {key: "null"}
    return {} if row[key] else {key: "empty"}


def shaped(group: Group, key: str, usual: str) -> Json:
    """The field `key` of a row that has no items to put there: as it was read, or else as is usual."""
    notes = group.meta.get(SHAPE)
    noted = notes.get(key, usual) if isinstance(notes, dict) else usual
    values: dict[str, Any] = {"null": {key: None}, "empty": {key: []}}
    return values.get(noted, {})


def noted(meta: Json, notes: Json) -> Json:
    """`meta` with the notes of `shape_of`, if there are any."""
    return {**meta, SHAPE: notes} if notes else meta


def judged(text: str, label: float, teacher_score: float | None = None) -> Candidate:
    """A document that comes as its text alone."""
    return Candidate(text_id(text), text, label=label, teacher_score=teacher_score)


def plain_text(candidate: Candidate) -> str:
    """A document as its text alone; a title goes in front as the model reads it. Refuses one without text."""
    if candidate.text is None:
        raise RowRefused(f"document {candidate.doc_id} has no text; fill the texts in from the corpus first")
    return document_text(candidate.title, candidate.text) if candidate.title else candidate.text


def trusted_label(candidate: Candidate) -> float:
    """The label of a document for a format in which every document counts. Refuses unjudged and flagged ones."""
    if candidate.label is None:
        raise RowRefused(f"document {candidate.doc_id} is unjudged, and this format would make it a negative")
    if candidate.flags:
        raise RowRefused(f"document {candidate.doc_id} is flagged {', '.join(candidate.flags)}; remove it first")
    return candidate.label


def positives_and_negatives(group: Group) -> tuple[list[Candidate], list[Candidate]]:
    """The documents with a label above 0, and the others, each in their order."""
    positives: list[Candidate] = []
    negatives: list[Candidate] = []
    for candidate in group.docs:
        (positives if trusted_label(candidate) > 0 else negatives).append(candidate)
    return positives, negatives
