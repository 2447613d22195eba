"""Teacher consistency: a reranker that reads both languages scores each pair before and after translation.

One comparison finds two faults. A positive that scores much lower in the target language was translated badly. A
negative that scores as high as a positive in the source, where no translator was at work, is no negative.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from crossrank.filtering.flags import flagged, scored
from crossrank.filtering.rules.collapse import is_negative, is_positive
from crossrank.records import Group, document_text
from crossrank.scoring.interfaces import Scorer, Window
from crossrank.translation.origin import origin_of_document, origin_of_query

DROP = "teacher_drop"
FALSE_NEGATIVE = "teacher_false_negative"
NOT_FINITE = "teacher_not_finite"
WINDOW_PAIRS = 2048
"""Pairs that are tokenised and sorted by length together, at least."""

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Margins:
    """Distances of scores, in logits, from which a document is flagged."""

    drop: float
    """Logits that a positive may lose by translation."""
    negative: float
    """Logits that a negative has to be under the worst positive, in the source language."""


def documents_to_score(group: Group) -> list[int]:
    """Places of the documents that a teacher scores: translated, and with nothing against them."""
    if origin_of_query(group) is None:
        return []
    return [place for place, doc in enumerate(group.docs) if not doc.flags and origin_of_document(doc) is not None]


def pairs_of(group: Group) -> list[Pair]:
    """The pairs of a group: the original and then the translation of each document to score."""
    query = origin_of_query(group) or ""
    pairs: list[Pair] = []
    for place in documents_to_score(group):
        doc = group.docs[place]
        pairs += (query, origin_of_document(doc) or ""), (group.query, document_text(doc.title, doc.text))
    return pairs


def scores_of(scorer: Scorer, pairs_of_groups: Sequence[Sequence[Pair]]) -> Iterator[list[float]]:
    """Yield the logits of each group's pairs, scored in windows that the scorer cuts into token-budget batches."""
    windows = list(_windows(pairs_of_groups))
    results = scorer.score_windows(_window(scorer, pairs_of_groups[window]) for window in windows)
    for window, result in zip(windows, results, strict=True):
        logits = result.logits_P.tolist()
        start = 0
        for pairs in pairs_of_groups[window]:
            yield logits[start : start + len(pairs)]
            start += len(pairs)


def _windows(pairs_of_groups: Sequence[Sequence[Pair]]) -> Iterator[slice]:
    """Neighbouring groups with `WINDOW_PAIRS` pairs together, or a few more."""
    start = num_pairs = 0
    for place, pairs in enumerate(pairs_of_groups, start=1):
        num_pairs += len(pairs)
        if num_pairs >= WINDOW_PAIRS or place == len(pairs_of_groups):
            yield slice(start, place)
            start, num_pairs = place, 0


def _window(scorer: Scorer, groups: Sequence[Sequence[Pair]]) -> Window:
    pairs = [pair for group in groups for pair in group]
    queries = {query: None for query, _ in pairs}
    documents = {document: None for _, document in pairs}
    places_q = {query: place for place, query in enumerate(queries)}
    places_d = {document: place for place, document in enumerate(documents)}
    return Window(
        scorer.encoder.queries(list(queries)),
        scorer.encoder.documents(list(documents)),
        np.array([places_q[query] for query, _ in pairs], dtype=np.int64),
        np.array([places_d[document] for _, document in pairs], dtype=np.int64),
    )


def compared(group: Group, logits: Sequence[float], margins: Margins) -> Group:
    """The group with its teacher's scores, and with flags where they speak against a document.

    Args:
        logits: logits of the group's pairs, in the order of `pairs_of`.
    """
    docs = list(group.docs)
    sources: dict[int, float] = {}
    for place, (source, target) in zip(
        documents_to_score(group), zip(logits[::2], logits[1::2], strict=True), strict=True
    ):
        if not (math.isfinite(source) and math.isfinite(target)):
            docs[place] = flagged(docs[place], [NOT_FINITE])
            continue
        sources[place] = source
        docs[place] = scored(docs[place], source, target)
        if is_positive(docs[place]) and target < source - margins.drop:
            docs[place] = flagged(docs[place], [DROP])
    worst = min((sources[place] for place in sources if is_positive(group.docs[place])), default=math.inf)
    for place, source in sources.items():
        if is_negative(group.docs[place]) and source >= worst - margins.negative:
            docs[place] = flagged(docs[place], [FALSE_NEGATIVE])
    return replace(group, docs=tuple(docs))
