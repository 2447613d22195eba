"""A corpus as JSON lines, ``{"_id", "title", "text"}``: the passages of groups, each once, to search negatives in.

What it holds: ids, titles and texts. Queries, labels and everything else have no place and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from crossrank.formats.fields import RowRefused
from crossrank.formats.foreign import row_line, write_groups_as
from crossrank.records import Candidate, Group, Json, Reason, Reject


def write_groups(uri: str, groups: Iterable[Group], reject: Reject) -> int:
    """Write one line for each document of the groups; returns the number of groups whose documents are in it.

    A document of several groups is written once. One that a filter flagged is left out, unless another group has it
    without a flag, and so is one without text. Memory is about 150 bytes for each document.

    Rejected: groups of which no document is left, and those with a document that had another text under its id before.
    """
    passages = _Passages()
    return write_groups_as(uri, groups, reject, passages.new_lines)


class _Passages:
    """The passages that are written already: the hash of each id, with that of its text."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def new_lines(self, group: Group) -> list[str]:
        """The lines of the documents that are not there yet."""
        usable = [doc for doc in group.docs if doc.text is not None and not doc.flags]
        if not usable:
            raise RowRefused("has no document with a text and without a flag", Reason.NO_CANDIDATES)
        new: dict[int, int] = {}
        lines = []
        for doc in usable:
            key, line = _hash(doc.doc_id), row_line(_row(doc))
            content = _hash(line)
            before = self._seen.get(key, new.get(key))
            if before is None:
                new[key] = content
                lines.append(line)
            elif before != content:
                raise RowRefused(f"the document {doc.doc_id} had another text or title before", Reason.DUPLICATE_ID)
        self._seen |= new
        return lines


def _row(doc: Candidate) -> Json:
    title = {} if doc.title is None else {"title": doc.title}
    return {"_id": doc.doc_id, **title, "text": doc.text}


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
