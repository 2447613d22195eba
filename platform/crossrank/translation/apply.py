"""A group in another language: its texts put in place of what they were, which is kept in `meta`.

A text that could not be translated stays as it was, and every document that it is part of gets a flag, so that nobody
trains on it: the document itself, or all of them where it is the query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from crossrank.records import Candidate, Group
from crossrank.translation.backend import Outcome
from crossrank.translation.origin import with_origin

FLAG = "translation_error"
"""Flag of a document that must not be trained on; its `meta` has the reason under this key."""


@dataclass(slots=True)
class Figures:
    """Counts over groups."""

    groups: int = 0
    documents: int = 0
    translated_documents: int = 0
    flagged_documents: int = 0
    failed_queries: int = 0
    documents_without_text: int = 0
    """Documents that only name a row of a corpus, so that there is nothing to translate."""

    @classmethod
    def of(cls, groups: Iterable[Group]) -> Figures:
        """Count groups that were translated before."""
        found = cls()
        for group in groups:
            query_failed = FLAG in group.meta
            found.groups += 1
            found.failed_queries += query_failed
            for doc in group.docs:
                found.documents += 1
                found.documents_without_text += doc.text is None
                found.translated_documents += doc.text is not None and FLAG not in doc.meta
                found.flagged_documents += query_failed or FLAG in doc.meta
        return found


def texts_of(group: Group) -> Iterator[str]:
    """The texts of a group that are translated; one that is empty or white space has no translation."""
    if group.query.strip():
        yield group.query
    for doc in group.docs:
        yield from (text for text in (doc.title, doc.text) if text is not None and text.strip())


def translated(group: Group, outcomes: Mapping[str, Outcome], source: str, target: str, figures: Figures) -> Group:
    """The group with its translations.

    Args:
        outcomes: the outcome of every text that `texts_of` gives.
        figures: counts to which the group is added.
    """
    query, error = _of(group.query, outcomes)
    meta = with_origin(group.meta, lang=group.lang or source, query=group.query)
    if error is not None:
        meta[FLAG] = f"query: {error}"
        figures.failed_queries += 1
    docs = tuple(_document(doc, outcomes, error is not None, figures) for doc in group.docs)
    figures.groups += 1
    return replace(group, query=query, lang=target, docs=docs, meta=meta)


def _document(doc: Candidate, outcomes: Mapping[str, Outcome], query_failed: bool, figures: Figures) -> Candidate:
    figures.documents += 1
    errors = []
    changed: dict[str, str | None] = {}
    for name, before in (("title", doc.title), ("text", doc.text)):
        if before is None:
            changed[name] = None
            continue
        changed[name], error = _of(before, outcomes)
        if error is not None:
            errors.append(f"{name}: {error}")
    meta = doc.meta
    if doc.text is not None or doc.title is not None:
        meta = with_origin(meta, title=doc.title, text=doc.text)
    if doc.text is None:
        figures.documents_without_text += 1
    elif not errors:
        figures.translated_documents += 1
    if errors:
        meta = {**meta, FLAG: "; ".join(errors)}
    flags = doc.flags
    if errors or query_failed:
        figures.flagged_documents += 1
        flags = flags if FLAG in flags else (*flags, FLAG)
    return replace(doc, title=changed["title"], text=changed["text"], flags=flags, meta=meta)


def _of(text: str, outcomes: Mapping[str, Outcome]) -> tuple[str, str | None]:
    """The translation of a text, or the text itself and why there is none."""
    if not text.strip():
        return text, None
    outcome = outcomes[text]
    if outcome.text is None:
        return text, outcome.error or "no reason was given"
    return outcome.text, None
