"""Documents that are the query itself.

In ArguAna and in Quora the queries are documents of the corpus. A first stage finds each at its own query at once,
where it answers nothing: BEIR leaves out what has the id of the query. The same document may have another id, so its
text counts too.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

LONGEST_SHARE = 4
"""Ratio of lengths from which two texts are not compared: a Hangul syllable is written as up to three letters."""

By = Literal["id", "text"]


def folded(text: str) -> str:
    """A text without differences of case, white space, and Unicode's ways of writing a letter.

    Signs stay: "what is C++" and "what is C#" are two questions.
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(frozen=True, slots=True)
class AskedQuery:
    """A query, to be known again among documents."""

    query_id: str
    length: int
    text: str

    @classmethod
    def of(cls, query_id: str, query: str) -> AskedQuery:
        return cls(query_id, len(query.strip()), folded(query))

    def found_in(self, doc_id: str, *texts: str | None) -> By | None:
        """The way in which a document is this query, by its id or its text; None for any other document.

        Args:
            texts: texts of the document, without its title and with it.
        """
        if doc_id == self.query_id:
            return "id"
        return "text" if any(text is not None and self._is_same(text) for text in texts) else None

    def _is_same(self, text: str) -> bool:
        length = len(text)
        if length * LONGEST_SHARE < self.length or not self.text:
            return False
        if length > LONGEST_SHARE * self.length and len(text.strip()) > LONGEST_SHARE * self.length:
            return False
        return folded(text) == self.text
