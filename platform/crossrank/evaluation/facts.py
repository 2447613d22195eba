"""Facts about a query that a report needs beside its documents; the `meta` of its group carries them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace

from crossrank.corpus.ids import UNKNOWN
from crossrank.corpus.store import TextStore
from crossrank.evaluation.relevance import is_relevant
from crossrank.records import Candidate, Group

INJECTED = "injected"
"""`source` of a document that the first stage did not find."""
FACTS = "evaluation"
"""Key of `Group.meta` for the facts."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about a query, beside its documents."""

    retrieved: int
    """Number of documents of the first stage, which stand first."""
    elsewhere: dict[str, float]
    """Labels of judged documents that the corpus lacks, by id."""
    query_characters: int
    document_characters: int | None
    """Length of the first document labelled above 0; None where no text is at hand."""
    source: str | None
    """Source or split that the group names, for the slices of the report."""

    @classmethod
    def of(cls, group: Group) -> Facts:
        """The facts that were written into a group."""
        return cls(**group.meta[FACTS])


def with_facts(
    group: Group,
    docs: Iterable[Candidate],
    retrieved: int,
    elsewhere: dict[str, float],
    text: Callable[[Candidate], str | None],
) -> Group:
    """The group with these documents, ranked in their order, and its facts.

    Args:
        retrieved, elsewhere: as those of `Facts`.
        text: function that gives the text of a document; None where there is none.
    """
    ranked = tuple(replace(doc, rank=rank) for rank, doc in enumerate(docs, start=1))
    relevant = next((doc for doc in ranked if is_relevant(doc.label)), None)
    relevant_text = text(relevant) if relevant is not None else None
    source = group.meta.get("source") or group.split
    facts = Facts(retrieved, elsewhere, len(group.query), None if relevant_text is None else len(relevant_text), source)
    return replace(group, docs=ranked, meta={FACTS: asdict(facts)})


def text_of(corpus: TextStore, doc_id: str) -> str | None:
    """The text of a document of the corpus; None where the corpus lacks the document."""
    [row] = corpus.rows([doc_id]).tolist()
    return corpus.texts([row])[0] if row != UNKNOWN else None
