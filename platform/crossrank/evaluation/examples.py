"""Queries that a model made better or worse, with their texts: what a table of means hides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossrank.corpus.ids import UNKNOWN
from crossrank.corpus.store import TextStore
from crossrank.evaluation.candidates import Written
from crossrank.evaluation.rows import Row, ranked
from crossrank.records import Candidate, Group, document_text

SHOWN = 5
"""Queries of each kind and model."""
MEASURE = "mrr@10"
CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Example:
    """One query before and after."""

    query: str
    before: int
    """Rank of the first relevant document among those retrieved; 0 where none was retrieved."""
    after: int
    relevant: str
    first: str | None
    """What the model puts first, where that is another document."""


def examples_of(
    row: Row, base: Row, written: Written, folder: str, corpus: TextStore | None
) -> dict[str, list[Example]]:
    """The queries that gained and lost the most against `base`, at most `SHOWN` of each."""
    change_Q = row.values["retrieved"][MEASURE] - base.values["retrieved"][MEASURE]
    order_Q = np.argsort(-change_Q, kind="stable")
    wins = [int(q) for q in order_Q[:SHOWN] if change_Q[q] > 0]
    losses = [int(q) for q in order_Q[::-1][:SHOWN] if change_Q[q] < 0]
    wanted = {*wins, *losses}
    found: dict[int, Example] = {}
    for place, (group, facts, docs) in enumerate(ranked(written, folder)):
        if place in wanted:
            kept = [doc for doc in docs or [] if doc.rank is not None and doc.rank <= facts.retrieved]
            found[place] = _example(group, kept, int(base.places_Q[place]), int(row.places_Q[place]), corpus)
    return {"wins": [found[q] for q in wins], "losses": [found[q] for q in losses]}


def _example(group: Group, docs: Sequence[Candidate], before: int, after: int, corpus: TextStore | None) -> Example:
    by_id = {doc.doc_id: doc for doc in group.docs}
    relevant = next(doc for doc in group.docs if (doc.label or 0) > 0)
    first = by_id[docs[0].doc_id] if docs and (docs[0].label or 0) <= 0 else None
    return Example(group.query, before, after, _text(relevant, corpus), _text(first, corpus) if first else None)


def _text(doc: Candidate, corpus: TextStore | None) -> str:
    text = document_text(doc.title, doc.text)
    if doc.text is None and corpus is not None:
        [row] = corpus.rows([doc.doc_id]).tolist()
        text = corpus.texts([row])[0] if row != UNKNOWN else ""
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"
