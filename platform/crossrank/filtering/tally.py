"""Counts and samples of a filter's findings: of one part, and added up over all."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from crossrank.errors import beginning
from crossrank.filtering.flags import FILTER, OF_QUERY, flags_of_filter, other_flags
from crossrank.filtering.judge import Judge
from crossrank.filtering.rules.collapse import is_negative, is_positive
from crossrank.records import Candidate, Group, Json, document_text
from crossrank.translation.origin import origin_of_document, origin_of_query

SHOWN_CHARACTERS = 1000
"""Characters of a text that a sample shows."""
COUNTS = ("groups", "documents", "reasons", "reasons_together", "queries")


@dataclass(slots=True)
class Tally:
    """Counts and samples of judged groups. `groups` adds up to all groups, `documents` to all documents."""

    groups: Counter[str] = field(default_factory=Counter)
    """Groups by state: ``clean`` has no flag of the filter; ``usable``; ``unusable`` had a positive and a negative to
    train on, and no longer has; or why a group was not judged."""
    documents: Counter[str] = field(default_factory=Counter)
    """Documents by state: ``clean``, ``flagged`` by the filter, ``flagged_by_others`` alone, or ``not_judged``: without
    an origin, or in a group that was not judged."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Documents by each reason; one may have several."""
    reasons_together: Counter[str] = field(default_factory=Counter)
    """Documents by all their reasons, joined by ``+``. Adds up to ``flagged``."""
    queries: Counter[str] = field(default_factory=Counter)
    """Queries by each reason."""
    samples: dict[str, list[tuple[str, Json]]] = field(default_factory=dict)
    """Samples by reason, the few whose key is smallest: a random draw, the same in whatever order they come."""

    def add(self, other: Tally, num_samples: int) -> None:
        """Add the counts and samples of another part."""
        for name in COUNTS:
            getattr(self, name).update(getattr(other, name))
        for reason, samples in other.samples.items():
            self._keep(reason, samples, num_samples)

    def to_json(self) -> Json:
        """The tally as JSON, for a file."""
        return {name: dict(getattr(self, name)) for name in COUNTS} | {"samples": self.samples}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Tally:
        """The inverse of `to_json`."""
        samples = {reason: [(key, sample) for key, sample in found] for reason, found in content["samples"].items()}
        return cls(**{name: Counter(content[name]) for name in COUNTS}, samples=samples)

    def _keep(self, reason: str, samples: Iterable[tuple[str, Json]], num_samples: int) -> None:
        kept = [*self.samples.get(reason, []), *samples]
        self.samples[reason] = sorted(kept, key=lambda keyed: keyed[0])[:num_samples]

    def count(self, row: int, group: Group, judge: Judge, num_samples: int, seed: int) -> None:
        """Count one group that was judged.

        Args:
            row: the group's place in the input, from 0.
        """
        why_not = judge.not_judged(group)
        for doc in group.docs:
            self.documents[_state(doc, why_not)] += 1
            ours = flags_of_filter(doc)
            self.reasons.update(ours)
            if ours:
                self.reasons_together["+".join(sorted(ours))] += 1
        self.groups[why_not or _state_of_group(group)] += 1
        of_query = [
            reason.removeprefix(OF_QUERY)
            for reason in (flags_of_filter(group.docs[0]) if group.docs else ())
            if reason.startswith(OF_QUERY)
        ]
        self.queries.update(of_query)
        for reason, place, sample in _samples(group, of_query):
            key = hashlib.sha256(f"{seed} {reason} {row} {place}".encode()).hexdigest()[:16]
            kept = self.samples.get(reason, [])
            if len(kept) < num_samples or (kept and key < kept[-1][0]):
                self._keep(reason, [(key, {"row": row, **sample})], num_samples)


def tally_of(first_row: int, groups: Iterable[Group], judge: Judge, num_samples: int, seed: int) -> Tally:
    """The tally of neighbouring groups, the first of which is row `first_row` of the input."""
    tally = Tally()
    for row, group in enumerate(groups, start=first_row):
        tally.count(row, group, judge, num_samples, seed)
    return tally


def _state(doc: Candidate, why_not: str | None) -> str:
    if flags_of_filter(doc):
        return "flagged"
    if other_flags(doc):
        return "flagged_by_others"
    return "not_judged" if why_not or origin_of_document(doc) is None else "clean"


def _state_of_group(group: Group) -> str:
    if not any(flags_of_filter(doc) for doc in group.docs):
        return "clean"
    before = [doc for doc in group.docs if not other_flags(doc)]
    after = [doc for doc in before if not doc.flags]
    return "unusable" if _trains(before) and not _trains(after) else "usable"


def _trains(docs: list[Candidate]) -> bool:
    return any(map(is_positive, docs)) and any(map(is_negative, docs))


def _samples(group: Group, of_query: list[str]) -> Iterator[tuple[str, int, Json]]:
    """Yield each reason with the place of its document, -1 for the query, and the sample that is shown."""
    for reason in of_query:
        shown = {"origin": _cut(origin_of_query(group)), "translation": _cut(group.query)}
        yield f"{OF_QUERY}{reason}", -1, {"query_id": group.query_id, **shown}
    for place, doc in enumerate(group.docs):
        for reason in flags_of_filter(doc):
            if not reason.startswith(OF_QUERY):
                yield reason, place, {"query_id": group.query_id, "doc_id": doc.doc_id, **_shown(group, doc)}


def _shown(group: Group, doc: Candidate) -> Json:
    shown: Json = {
        "label": doc.label,
        "query": _cut(group.query),
        "origin": _cut(origin_of_document(doc)),
        "translation": _cut(document_text(doc.title, doc.text)),
    }
    teacher = doc.meta[FILTER].get("teacher")
    return shown | ({"teacher": teacher} if teacher else {})


def _cut(text: str | None) -> str | None:
    return None if text is None else beginning(text, SHOWN_CHARACTERS)
