"""Requests that a server takes: fewer documents at a time, shorter ones, and none that are blank.

A server that refuses a request seldom says which document was too long, so the request is halved until that document is
found, and the document is halved until it is taken. What was cut is counted.

Shape letters: D documents of a query.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrank.evaluation.server_requests import ServerRefused

MOST_DOCUMENTS = 1000
"""Documents of the first request; fewer where a server refuses so many (TEI takes 32 if nobody says more)."""
LEAST_CHARACTERS = 32
"""Characters below which a text is not cut any further: it was not its length that was refused."""
UNSEEN = {"Cc", "Cf", "Zl", "Zp", "Zs"}
"""Categories of Unicode without anything to see."""

Ask = Callable[[str, list[str]], list[float]]
"""Function that asks for the scores of documents by one request; it raises `ServerRefused` where less may be taken."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The scores of a query's documents, and what they cost in text."""

    scores_D: NDArray[np.float32]
    cut_D: NDArray[np.int32]
    """Words that were cut off the document and off the query; the server alone knows their tokens."""


class ServerFit:
    """Requests to one server, which remember how many documents it takes."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._most = MOST_DOCUMENTS

    def scores(self, query: str, documents: list[str]) -> Fitted:
        """Ask for the score of each document. A blank one is not sent, and stands below all others.

        Some servers refuse a blank document, others leave it out and number the rest anew.

        Raises:
            ServerFailed: the server gives no scores, whatever is cut.
        """
        scores_D = np.zeros(len(documents), dtype=np.float32)
        cut_D = np.zeros(len(documents), dtype=np.int32)
        sent = [place for place, document in enumerate(documents) if not is_blank(document)]
        if sent:
            found, cut_off_query = self._with_shorter_query(query, [documents[place] for place in sent])
            scores_D[:] = np.nextafter(np.float32(min(score for score, _ in found)), np.float32(-np.inf))
            scores_D[sent] = [score for score, _ in found]
            cut_D[sent] = [cut + cut_off_query for _, cut in found]
        return Fitted(scores_D, cut_D)

    def _with_shorter_query(self, query: str, documents: list[str]) -> tuple[list[tuple[float, int]], int]:
        """Scores with the words cut off each document, and the words cut off the query, the same for all."""
        asked = query
        while True:
            try:
                return self._in_parts(asked, documents), _words_lost(query, asked)
            except _QueryTooLong:
                asked = _halved(asked)

    def _in_parts(self, query: str, documents: list[str]) -> list[tuple[float, int]]:
        if len(documents) > self._most:
            found: list[tuple[float, int]] = []
            while len(found) < len(documents):
                found += self._in_parts(query, documents[len(found) : len(found) + self._most])
            return found
        try:
            return [(score, 0) for score in self._ask(query, documents)]
        except ServerRefused as refused:
            if len(documents) == 1:
                return [self._shorter(query, documents[0], refused)]
        half = (len(documents) + 1) // 2
        found = self._in_parts(query, documents[:half]) + self._in_parts(query, documents[half:])
        if not any(cut for _, cut in found):
            self._most = min(self._most, half)  # nothing was too long, so they were too many
        return found

    def _shorter(self, query: str, document: str, refused: ServerRefused) -> tuple[float, int]:
        cut = document
        while len(cut) > LEAST_CHARACTERS or len(query) > LEAST_CHARACTERS:
            if len(query) > len(cut):
                raise _QueryTooLong from refused
            cut = _halved(cut)
            try:
                [score] = self._ask(query, [cut])
            except ServerRefused:
                continue
            return score, _words_lost(document, cut)
        raise refused


class _QueryTooLong(Exception):
    """The query is longer than a document that was refused with it."""


def is_blank(text: str) -> bool:
    """Whether there is nothing to see: white space, control characters, or spaces without a width."""
    return all(unicodedata.category(character) in UNSEEN for character in text)


def _halved(text: str) -> str:
    return text[: max(len(text) // 2, 1)].rstrip()


def _words_lost(text: str, cut: str) -> int:
    return 0 if cut == text else max(1, len(text.split()) - len(cut.split()))
