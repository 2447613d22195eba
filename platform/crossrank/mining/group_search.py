"""The mining of one group: the passages found for it, and the negatives that the filters leave of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from crossrank.corpus.ids import UNKNOWN, hash_id
from crossrank.mining.false_negatives import Alike, Drop, DropReason, Margin, answers_of
from crossrank.mining.found import FoundPassage, Stages, fused
from crossrank.mining.layout import STATS
from crossrank.mining.near_duplicates import Fingerprint, text_hash
from crossrank.mining.passages import Passages
from crossrank.records import Candidate, Group, Json
from crossrank.retrieval.query_documents import AskedQuery

FIRST_RANKS = 10
"""Ranks among which a positive is looked for, to count how well a stage finds them."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules by which negatives are taken from the passages found."""

    negatives: int
    depth: int
    skip_top: int
    margin: Margin
    alike: Alike
    rrf_k: int
    with_text: bool
    provenance: Json
    """First stage and teacher, kept in the meta of every group."""
    keep_query_document: bool = False
    """Whether the query itself may be a negative."""


@dataclass(slots=True)
class GroupMining:
    """The state of one group while its negatives are mined."""

    group: Group
    passages: Passages
    rules: Rules
    group_rows: list[int]
    """Rows of the corpus of the group's documents, -1 where it has none."""
    survivors: Iterator[FoundPassage]
    """Passages that no filter of the texts drops, best first; filtered as they are asked for."""
    stats: Counter[str]
    asked: AskedQuery | None
    """The query, to be known again among passages; None where it may itself be a negative."""
    negatives: list[Candidate] = field(default_factory=list)
    teacher_scores: dict[int, float] = field(default_factory=dict)
    """Logits of the group's own documents, by their place."""
    dropped: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def begun(
        cls, group: Group, siblings: list[dict[str, int]], stages: Stages, passages: Passages, rules: Rules
    ) -> GroupMining:
        """Start with the rows and scores that each stage found, by the name of the stage."""
        group_rows = passages.store.rows([doc.doc_id for doc in group.docs]).tolist()
        asked = None if rules.keep_query_document else AskedQuery.of(group.query_id, group.query)
        search = cls(group, passages, rules, group_rows, iter(()), Counter(), asked)
        found = fused(stages, rules.rrf_k)
        search._count_positives(found, stages)
        window = found[rules.skip_top : rules.depth]
        search.survivors = search._filtered(window, siblings)
        return search

    def _count_positives(self, found: list[FoundPassage], stages: Stages) -> None:
        positives = {
            row
            for doc, row in zip(self.group.docs, self.group_rows, strict=True)
            if doc.label is not None and doc.label > 0 and row != UNKNOWN
        }
        self.stats["judged"] = int(bool(positives))
        for name, (rows, _) in stages.items():
            self.stats[f"{name}_at_10"] = int(not positives.isdisjoint(rows[:FIRST_RANKS].tolist()))
        self.stats["fused_at_10"] = int(not positives.isdisjoint(each.row for each in found[:FIRST_RANKS]))

    def _filtered(self, window: list[FoundPassage], siblings: list[dict[str, int]]) -> Iterator[FoundPassage]:
        ids = {doc.doc_id for doc in self.group.docs}
        positives = [
            (doc.doc_id, Fingerprint.of(text))
            for doc, row in zip(self.group.docs, self.group_rows, strict=True)
            if doc.label is not None and doc.label > 0 and (text := self.passages.text_of(doc, row))
        ]
        elsewhere = _Elsewhere.of(siblings, self.passages)
        answer_in = answers_of(self.group.meta)
        texts = {text_hash(self.passages.text_of(*each)) for each in zip(self.group.docs, self.group_rows, strict=True)}
        doc_ids = self.passages.store.ids([each.row for each in window])
        for found, doc_id in zip(window, doc_ids, strict=True):
            fault = self._fault(found, doc_id, ids, positives, elsewhere, answer_in)
            letters = text_hash(self.passages.fingerprint(found.row).letters)
            if fault is None and letters and letters in texts:
                fault = Drop.REPEATED, "the text of a document that the group has already"
            if fault is None:
                texts.add(letters)
                yield found
            else:
                self.drop(found, doc_id, fault)

    def _fault(
        self,
        found: FoundPassage,
        doc_id: str,
        ids: set[str],
        positives: Sequence[tuple[str, Fingerprint]],
        elsewhere: _Elsewhere,
        answer_in: Callable[[str], str | None],
    ) -> DropReason | None:
        if doc_id in ids:
            return Drop.IN_GROUP, "the group has it already"
        if self.asked is not None:
            texts = self.passages.text_without_title(found.row), self.passages.text(found.row)
            by = self.asked.found_in(doc_id, *texts)
            if by is not None:
                return Drop.QUERY_ITSELF, f"the query itself, by its {by}"
        fingerprint = self.passages.fingerprint(found.row)
        fault = self.rules.alike.find(fingerprint, positives)
        if fault is not None:
            return fault
        if elsewhere.has(found.row, doc_id, fingerprint, self.rules.alike):
            return Drop.POSITIVE_OF_SAME_QUERY, "a positive of another group with this query"
        answer = answer_in(self.passages.text(found.row))
        return (Drop.HAS_ANSWER, f"has the answer {answer!r}") if answer is not None else None

    def drop(self, found: FoundPassage, doc_id: str, fault: DropReason) -> None:
        reason, detail = fault
        self.dropped.append(
            {
                "query_id": self.group.query_id,
                "doc_id": doc_id,
                "reason": reason,
                "detail": detail,
                "source": found.source,
                "rank": found.rank,
            }
        )

    def wanted(self) -> int:
        return self.rules.negatives - len(self.negatives)

    def take_unscored(self, number: int) -> None:
        taken = list(islice(self.survivors, number))
        for found in taken:
            self.take(found, None)
        self.stats["exhausted"] = int(len(taken) < number)

    def take(self, found: FoundPassage, teacher_score: float | None) -> None:
        [doc_id] = self.passages.store.ids([found.row])
        stages = {name: {"rank": rank, "score": round(score, 4)} for name, (rank, score) in found.of_stage.items()}
        self.negatives.append(
            Candidate(
                doc_id,
                self.passages.text(found.row) if self.rules.with_text else None,
                label=0.0,
                rank=found.rank,
                score=found.score,
                teacher_score=teacher_score,
                source=found.source,
                meta={"mined": stages},
            )
        )
        self.stats["mined"] += 1
        self.stats["both" if len(found.of_stage) > 1 else found.source] += 1

    def result(self) -> Group:
        """The group, its own documents first and as they were."""
        docs = [
            replace(
                doc,
                teacher_score=self.teacher_scores.get(place) if doc.teacher_score is None else doc.teacher_score,
                text=self._own_text(doc, row),
            )
            for place, (doc, row) in enumerate(zip(self.group.docs, self.group_rows, strict=True))
        ]
        meta = {**self.group.meta, "mined": self.rules.provenance}
        return replace(self.group, docs=(*docs, *self.negatives), meta=meta)

    def _own_text(self, doc: Candidate, row: int) -> str | None:
        if doc.text is not None or not self.rules.with_text:
            return doc.text
        return self.passages.text_of(doc, row) or None

    def figures(self) -> dict[str, int]:
        return {name: self.stats[name] for name in STATS}


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """The positives of other groups with the same query."""

    rows: frozenset[int]
    ids: frozenset[int]
    texts: frozenset[int]
    of_corpus: tuple[tuple[str, Fingerprint], ...]

    @classmethod
    def of(cls, siblings: list[dict[str, int]], passages: Passages) -> _Elsewhere:
        rows = sorted({each["row"] for each in siblings if each["row"] != UNKNOWN})
        return cls(
            frozenset(rows),
            frozenset(each["id"] for each in siblings),
            frozenset(each["text"] for each in siblings if each["text"]),
            tuple((str(row), passages.fingerprint(row)) for row in rows),
        )

    def has(self, row: int, doc_id: str, fingerprint: Fingerprint, alike: Alike) -> bool:
        if not self.ids:
            return False
        return (
            row in self.rows
            or hash_id(doc_id) in self.ids
            or text_hash(fingerprint.letters) in self.texts
            or alike.find(fingerprint, self.of_corpus) is not None
        )
