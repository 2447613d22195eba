"""The columns of somebody's data set that are the query, its positives and its negatives.

    query, pos, neg                       lists of texts, or one text
    anchor, positive, negative            also negative_1 and so on
    question, answer                      a pair; with label, a document of that label
    query, docs, labels                   texts and a number for each
    query, positive_passages, negative_passages     passages as {docid, title, text}

Columns that are none of these ride in `Group.meta`. Where two readings are possible, or none, the columns are refused:
a document that was taken for a positive and is none teaches a model the contrary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crossrank.errors import InputError, listed

QUERIES = ("query", "question", "anchor")
POSITIVES: tuple[tuple[str, ...], ...] = (
    ("pos", "positive", "positives", "positive_passages", "pos_passages"),
    ("passage", "document", "doc", "context"),
    ("answer", "response"),
)
"""Names of the positive, in the order in which they are tried: beside an answer, the passage is the document."""
NEGATIVES = ("neg", "negative", "negatives", "negative_passages", "neg_passages", "hard_negatives")
LISTS = ("docs", "documents", "passages")
"""Names of a list of documents of which each has its own label."""
LABELS = ("label", "labels", "relevance")
SCORES = ("score", "scores", "similarity")
"""Names of scores, which are labels in some data sets, and first-stage or teacher scores in others."""
_NUMBERED = re.compile(r"(?:neg|negative)_([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a data set by what they hold; None where there is no such column."""

    query: str
    positive: str | None = None
    negatives: tuple[str, ...] = ()
    documents: str | None = None
    """Column of texts whose labels are in `labels`."""
    labels: str | None = None
    """Column of the labels of `documents`, or of the one document in `positive`."""
    teacher_scores: tuple[tuple[str, str], ...] = ()
    """Columns of teacher scores, each with the column of its texts."""

    @property
    def own(self) -> tuple[str, ...]:
        """The columns that do not ride in `meta`."""
        names = (self.query, self.positive, *self.negatives, self.documents, self.labels)
        return (*(name for name in names if name), *(scores for scores, _ in self.teacher_scores))

    def __str__(self) -> str:
        if self.documents:
            return f"{self.query} is the query, {self.documents} its documents, {self.labels} their labels"
        parts = [f"{self.query} is the query"]
        if self.labels:
            parts.append(f"{self.positive} a document, {self.labels} its label")
        else:
            parts.append(f"{self.positive} what answers it")
        if self.negatives:
            parts.append(f"{', '.join(self.negatives)} what does not")
        parts += [f"{scores} the teacher scores of {texts}" for scores, texts in self.teacher_scores]
        return ", ".join(parts)


def columns_of(names: Sequence[str], source: str) -> Columns:
    """The reading of a data set with these columns.

    Raises:
        InputError: there is none, or more than one; the sentence says which columns there are and what is wanted.
    """
    query = _one(QUERIES, names, source, "the query")
    labels = _one(LABELS, names, source, "the labels")
    negatives = _negatives(names, source)
    if query is None:
        raise _unreadable(names, source, f"none of them is the query ({', '.join(QUERIES)})")
    documents = _one(LISTS, names, source, "the documents") if labels else None
    positive = None if documents else _positive(names, source)
    if documents:
        if negatives or _positive(names, source):
            raise _unreadable(names, source, f"{documents} with {labels} are the documents, and others are there too")
        return Columns(query, documents=documents, labels=labels)
    if positive is None:
        wanted = ", ".join(name for tier in POSITIVES for name in tier)
        raise _unreadable(names, source, f"none of them is what answers the query ({wanted})")
    if negatives:  # a label beside a triplet is of the triplet, such as a margin of two scores
        teacher = tuple((f"{name}_scores", name) for name in (positive, *negatives) if f"{name}_scores" in names)
        return Columns(query, positive, negatives, teacher_scores=teacher)
    if labels is None and (score := next((name for name in SCORES if name in names), None)):
        raise _unreadable(
            names, source, f"{score} may be the label of {positive} or only a score; rename it to label, or drop it"
        )
    teacher = ((f"{positive}_scores", positive),) if labels is None and f"{positive}_scores" in names else ()
    return Columns(query, positive, labels=labels, teacher_scores=teacher)


def _positive(names: Iterable[str], source: str) -> str | None:
    for tier in POSITIVES:
        found = _one(tier, names, source, "what answers the query")
        if found is not None:
            return found
    return None


def _negatives(names: Sequence[str], source: str) -> tuple[str, ...]:
    numbered = sorted((name for name in names if _NUMBERED.fullmatch(name)), key=_number)
    plain = _one(NEGATIVES, names, source, "the negatives")
    return tuple(numbered) if plain is None else (plain, *numbered)


def _number(name: str) -> tuple[int, str]:
    match = _NUMBERED.fullmatch(name)
    return (int(match[1]) if match else 0, name)


def _one(wanted: Iterable[str], names: Iterable[str], source: str, what: str) -> str | None:
    found = [name for name in wanted if name in names]
    if len(found) > 1:
        raise _unreadable(list(names), source, f"{' and '.join(found)} may each be {what}; drop or rename one")
    return found[0] if found else None


def _unreadable(names: Sequence[str], source: str, why: str) -> InputError:
    return InputError(f"{source} has the columns {listed(names)}, and {why}")
