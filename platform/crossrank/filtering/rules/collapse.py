"""Documents that became the same text: two English passages, one Korean, and labels that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence

from crossrank.filtering.rules.text_pair import normalized
from crossrank.records import Candidate, document_text

EQUAL = "positive_equals_negative"
DUPLICATE = "duplicate_text"


def collapsed(docs: Sequence[Candidate], usable: Sequence[bool]) -> list[str | None]:
    """The reason against each document of a group, or None.

    Texts that differ in case, punctuation and white space alone are equal. Of equal texts a positive is kept before
    others, and then the first: a document equal to a positive that is none itself would teach the opposite.

    Args:
        usable: whether nothing else is against each document. Bad texts, such as two empty ones, are not compared.
    """
    keys = [
        normalized(document_text(doc.title, doc.text)) if is_usable else ""
        for doc, is_usable in zip(docs, usable, strict=True)
    ]
    positives = {key for key, doc in zip(keys, docs, strict=True) if is_positive(doc)}
    seen: set[tuple[str, bool]] = set()
    found: list[str | None] = []
    for key, doc in zip(keys, docs, strict=True):
        if not key:
            found.append(None)
        elif key in positives and not is_positive(doc):
            found.append(EQUAL)
        else:
            found.append(DUPLICATE if (key, is_positive(doc)) in seen else None)
            seen.add((key, is_positive(doc)))
    return found


def is_positive(doc: Candidate) -> bool:
    """Whether a document is labelled above 0."""
    return doc.label is not None and doc.label > 0


def is_negative(doc: Candidate) -> bool:
    """Whether a document is judged, and not relevant."""
    return doc.label is not None and doc.label <= 0
