"""Queries that a model made better or worse, with their texts: what a table of means hides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossrank.corpus.ids import UNKNOWN
from crossrank.corpus.store import TextStore
from crossrank.errors import beginning
from crossrank.evaluation.lists import Lists
from crossrank.evaluation.measures import MAIN
from crossrank.evaluation.relevance import is_relevant
from crossrank.evaluation.rows import Row
from crossrank.records import Candidate, Group, document_text

SHOWN = 5
"""Queries of each kind and model, at most."""
CHARACTERS = 400
"""Characters of a document that are shown."""


@dataclass(frozen=True, slots=True)
class Example:
    """A query before and after a model ranked its documents."""

    query: str
    before: int
    """Rank of the first relevant document among those retrieved; 0 where none was retrieved."""
    after: int
    """Rank of the first relevant document in the order of the model; 0 where none was retrieved."""
    relevant: str
    """Text of a relevant document."""
    first: str | None
    """Text of the document that the model puts first; None where that is relevant."""


def examples_of(row: Row, base: Row, lists: Lists, corpus: TextStore | None) -> dict[str, list[Example]]:
    """The queries that gained and lost the most against `base`, at most `SHOWN` of each."""
    change_Q = row.values["retrieved"][MAIN] - base.values["retrieved"][MAIN]
    order_Q = np.argsort(-change_Q, kind="stable")
    wins = [int(q) for q in order_Q[:SHOWN] if change_Q[q] > 0]
    losses = [int(q) for q in order_Q[::-1][:SHOWN] if change_Q[q] < 0]
    found = {
        q: _example(group, int(row.tops_Q[q]), int(base.ranks_Q[q]), int(row.ranks_Q[q]), corpus, lists.relevant_from)
        for q, group in lists.groups_at({*wins, *losses}).items()
    }
    return {"wins": [found[q] for q in wins], "losses": [found[q] for q in losses]}


def _example(
    group: Group, top: int, before: int, after: int, corpus: TextStore | None, relevant_from: float | None
) -> Example:
    relevant = next(doc for doc in group.docs if is_relevant(doc.label, relevant_from))
    first = group.docs[top] if top >= 0 and not is_relevant(group.docs[top].label, relevant_from) else None
    return Example(group.query, before, after, _text(relevant, corpus), _text(first, corpus) if first else None)


def _text(doc: Candidate, corpus: TextStore | None) -> str:
    text = document_text(doc.title, doc.text)
    if doc.text is None and corpus is not None:
        [row] = corpus.rows([doc.doc_id]).tolist()
        text = corpus.texts([row])[0] if row != UNKNOWN else ""
    return beginning(text, CHARACTERS)
