"""What a report wants to know of a query beside its documents; it rides in the `meta` of its group."""

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
    """What is known of a query beside its documents."""

    retrieved: int
    """Documents of the first stage, which stand first."""
    elsewhere: dict[str, float]
    """Labels of judged documents that are not among the documents: the corpus lacks them."""
    query_characters: int
    document_characters: int | None
    """Of the first document labelled above 0; None where no text is at hand."""
    source: str | None

    @classmethod
    def of(cls, group: Group) -> Facts:
        """What was written of a group."""
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
        text: of a document.
    """
    ranked = tuple(replace(doc, rank=rank) for rank, doc in enumerate(docs, start=1))
    relevant = next((doc for doc in ranked if is_relevant(doc.label)), None)
    found = text(relevant) if relevant is not None else None
    source = group.meta.get("source") or group.split
    facts = Facts(retrieved, elsewhere, len(group.query), None if found is None else len(found), source)
    return replace(group, docs=ranked, meta={FACTS: asdict(facts)})


def text_of(corpus: TextStore, doc_id: str) -> str | None:
    """The text of a document of the corpus; None where it lacks it."""
    [row] = corpus.rows([doc_id]).tolist()
    return corpus.texts([row])[0] if row != UNKNOWN else None
