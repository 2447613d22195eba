"""Rows of a query with a list of positive and a list of negative texts: what FlagEmbedding and MS MARCO share."""

from __future__ import annotations

from crossrank.formats.fields import RowRefused, numbers, text, texts
from crossrank.formats.foreign import (
    extra_keys,
    judged,
    noted,
    plain_text,
    positives_and_negatives,
    query_id,
    shape_of,
    shaped,
    written_keys,
)
from crossrank.records import Candidate, Group, Json

SCORES = {"pos": "pos_scores", "neg": "neg_scores"}


def own_keys(scored: bool) -> list[str]:
    """The keys that the format itself has."""
    return ["query", "pos", "neg", *(SCORES.values() if scored else ())]


def group_of(row: Json, place: str, *, scored: bool) -> Group:
    """The positives (label 1) and then the negatives (label 0), in their order; scores become teacher scores.

    ``neg`` and the scores may be absent or null. Refuses a row without ``query`` or ``pos``, lists of anything
    but strings, and scores that are not one number for each text.
    """
    query = text(row, "query")
    notes: Json = {}
    docs: list[Candidate] = []
    for key, label in (("pos", 1.0), ("neg", 0.0)):
        passages = texts(row, key) if key == "pos" or row.get(key) is not None else []
        if row.get(key) is None:
            notes |= shape_of(row, key)
        scores: list[float] | list[None] = [None] * len(passages)
        if scored and SCORES[key] in row:
            notes |= shape_of(row, SCORES[key])
            if row[SCORES[key]] is not None:
                scores = numbers(row, SCORES[key], len(passages), key)
        docs += [judged(passage, label, score) for passage, score in zip(passages, scores, strict=True)]
    return Group(query_id(query, place), query, tuple(docs), meta=noted(extra_keys(row, own_keys(scored)), notes))


def row_of(group: Group, *, scored: bool) -> Json:
    """The inverse of `group_of`. Left out: ids, ranks and first-stage scores, and how far above 0 a label is.

    Refuses documents without text, unjudged or flagged, and scores that some of a list have and others have not.
    """
    row: Json = {"query": group.query}
    for key, docs in zip(SCORES, positives_and_negatives(group), strict=True):
        passages = [plain_text(doc) for doc in docs]
        row |= {key: passages} if passages else shaped(group, key, "empty")
        if scored:
            row |= _scores(group, SCORES[key], docs)
    return row | written_keys(group.meta, own_keys(scored))


def _scores(group: Group, key: str, docs: list[Candidate]) -> Json:
    scores = [doc.teacher_score for doc in docs]
    missing = scores.count(None)
    if missing == len(scores):
        return shaped(group, key, "absent")
    if missing:
        raise RowRefused(f"{missing} of {len(scores)} documents have no teacher score, and {key} needs all or none")
    return {key: scores}
