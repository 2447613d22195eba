"""Has a teacher decide which passages are negatives.

Shape letters: P pairs that are scored together.
"""

from __future__ import annotations

from itertools import islice

import numpy as np
from numpy.typing import NDArray

from crossrank.mining.found import FoundPassage
from crossrank.mining.group_search import GroupMining, Rules
from crossrank.mining.passages import Passages
from crossrank.mining.prepare import positives_of
from crossrank.scoring.interfaces import Scorer


class TeacherRounds:
    """Scores surviving passages in rounds, so that hardly more are scored than are needed."""

    def __init__(self, teacher: Scorer, passages: Passages, rules: Rules) -> None:
        self._teacher = teacher
        self._passages = passages
        self._rules = rules

    def teach(self, searches: list[GroupMining]) -> None:
        """Score the judged documents of every group, then survivors until each has its negatives or no more."""
        ceilings = self._ceilings(searches)
        open_ = [search for search, ceiling in zip(searches, ceilings, strict=True) if ceiling is not None]
        of = {id(search): ceiling for search, ceiling in zip(searches, ceilings, strict=True)}
        while open_:
            rounds = [(search, list(islice(search.survivors, search.wanted()))) for search in open_]
            pairs = [(search, self._passages.text(passage.row)) for search, batch in rounds for passage in batch]
            scores = iter(self._scores(pairs))
            for search, batch in rounds:
                ceiling = of[id(search)]
                assert ceiling is not None, "those without one are not open"
                search.stats["exhausted"] = int(len(batch) < search.wanted())
                for passage in batch:
                    self._judge(search, passage, next(scores), ceiling)
            open_ = [search for search in open_ if search.wanted() and not search.stats["exhausted"]]

    def _judge(self, search: GroupMining, found: FoundPassage, logit: float, ceiling: float) -> None:
        fault = self._rules.margin.find(logit, ceiling)
        if fault is None:
            search.take(found, logit)
        else:
            search.drop(found, self._passages.store.ids([found.row])[0], fault)

    def _ceilings(self, searches: list[GroupMining]) -> list[float | None]:
        """The logit for each group from which a passage is no negative; None where no positive has a finite one."""
        judged = [
            (search, place, text)
            for search in searches
            for place, (doc, row) in enumerate(zip(search.group.docs, search.group_rows, strict=True))
            if doc.label is not None and not doc.flags and (text := self._passages.text_of(doc, row))
        ]
        scores = self._scores([(search, text) for search, _, text in judged])
        for (search, place, _), score in zip(judged, scores, strict=True):
            if np.isfinite(score):
                search.teacher_scores[place] = score
        ceilings: list[float | None] = []
        for search in searches:
            positives = {id(doc) for doc in positives_of(search.group)}
            of_positives = [
                score for place, score in search.teacher_scores.items() if id(search.group.docs[place]) in positives
            ]
            search.stats["unscored"] = int(not of_positives)
            ceilings.append(self._rules.margin.ceiling(of_positives) if of_positives else None)
        return ceilings

    def _scores(self, pairs: list[tuple[GroupMining, str]]) -> list[float]:
        """Logits of pairs of a group's query and a text. Each query and each text is tokenised once."""
        if not pairs:
            return []
        queries: dict[str, int] = {}
        texts: dict[str, int] = {}
        query_P = np.array([queries.setdefault(search.group.query, len(queries)) for search, _ in pairs])
        text_P = np.array([texts.setdefault(text, len(texts)) for _, text in pairs])
        encoder = self._teacher.encoder
        scored = self._teacher.score_encoded(
            encoder.queries(list(queries)), encoder.documents(list(texts)), query_P, text_P
        )
        self._count(pairs, scored.tokens_P, scored.truncated_P)
        return [float(logit) for logit in scored.logits_P]

    @staticmethod
    def _count(
        pairs: list[tuple[GroupMining, str]], tokens_P: NDArray[np.int32], truncated_P: NDArray[np.int32]
    ) -> None:
        for (search, _), tokens, truncated in zip(pairs, tokens_P.tolist(), truncated_P.tolist(), strict=True):
            search.stats["pairs"] += 1
            search.stats["tokens"] += tokens
            search.stats["truncated"] += int(truncated > 0)
