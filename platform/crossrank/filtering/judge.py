"""Judge a translated group: every text by the rules, the documents against each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

from crossrank.filtering.flags import OF_QUERY, cleared, flagged
from crossrank.filtering.rules.collapse import collapsed
from crossrank.filtering.rules.language import Language, primary_code
from crossrank.filtering.rules.registry import reasons_against
from crossrank.filtering.rules.text_pair import TextPair
from crossrank.filtering.rules.thresholds import Thresholds
from crossrank.records import Candidate, Group, document_text
from crossrank.translation.apply import FLAG as FAILED
from crossrank.translation.origin import ORIGIN, origin_of_document, origin_of_query

NO_ORIGIN = "no_origin"
OTHER_LANGUAGES = "other_languages"
"""Reason for which a group is not judged: it is in other languages than those of the settings."""


@dataclass(frozen=True)
class Judge:
    """Judges translated groups, with the languages and the thresholds of the settings."""

    source: Language
    target: Language
    thresholds: Thresholds

    def not_judged(self, group: Group) -> str | None:
        """The reason why a group cannot be judged; None where it can."""
        if origin_of_query(group) is None:
            return NO_ORIGIN
        languages = (group.meta[ORIGIN].get("lang"), self.source.code), (group.lang, self.target.code)
        if any(said is not None and primary_code(str(said)) != code for said, code in languages):
            return OTHER_LANGUAGES
        return None

    def judged(self, group: Group) -> Group:
        """The group with flags on its bad documents, and on all where the query is bad; nothing is taken away.

        Flags of an earlier filter are taken off before. A document without an origin was not translated, and is only
        compared with the others.
        """
        group = cleared(group)
        if self.not_judged(group) is not None:
            return group
        of_query = [f"{OF_QUERY}{reason}" for reason in self._reasons_of_query(group)]
        docs = [flagged(doc, self._reasons(doc)) for doc in group.docs]
        against = collapsed(docs, [not doc.flags for doc in docs])
        docs = [flagged(doc, [reason]) if reason else doc for doc, reason in zip(docs, against, strict=True)]
        return replace(group, docs=tuple(flagged(doc, of_query) for doc in docs))

    def _reasons_of_query(self, group: Group) -> tuple[str, ...]:
        if FAILED in group.meta:
            return ("backend_error",)
        return self._against(origin_of_query(group) or "", group.query)

    def _reasons(self, doc: Candidate) -> tuple[str, ...]:
        origin = origin_of_document(doc)
        if origin is None:
            return ()
        if FAILED in doc.meta:
            return ("backend_error",)
        return self._against(origin, document_text(doc.title, doc.text))

    def _against(self, source: str, target: str) -> tuple[str, ...]:
        return reasons_against(TextPair(source, target, self.source, self.target, self.thresholds))
