"""The documents of a query in requests that a server takes: fewer at a time, shorter, and none that are blank.

A server that refuses a request says seldom which document was too long, so the request is halved until the one is
found, and that one is halved until it is taken. What was cut is counted.

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
"""Documents of one request, to begin with; fewer where a server refuses so many (TEI takes 32 if nobody says more)."""
LEAST_CHARACTERS = 32
"""A text of so many is not cut any further: it was not its length that was refused."""
UNSEEN = {"Cc", "Cf", "Zl", "Zp", "Zs"}
"""Categories of Unicode without anything to see."""

Ask = Callable[[str, list[str]], list[float]]
"""From a query and documents to their scores, by one request; raises `ServerRefused` where less may be taken."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The scores of a query's documents, and what they cost in text."""

    scores_D: NDArray[np.float32]
    cut_D: NDArray[np.int32]
    """Words that were cut off the document, and off the query; their tokens are known to the server alone."""


class ServerFit:
    """Asks one server, and remembers how many documents it takes."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._most = MOST_DOCUMENTS

    def scores(self, query: str, documents: list[str]) -> Fitted:
        """The score of each document. One without anything to see is not sent, and stands below all others.

        Some servers refuse a blank document, others leave it out and number the rest anew.

        Raises:
            ServerFailed: the server gives none whatever is cut.
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
        """Scores with the words cut off each document, and those cut off the query: one length of it for them all."""
        asked = query
        while True:
            try:
                return self._some(asked, documents), _words_lost(query, asked)
            except _QueryTooLong:
                asked = _halved(asked)

    def _some(self, query: str, documents: list[str]) -> list[tuple[float, int]]:
        if len(documents) > self._most:
            found: list[tuple[float, int]] = []
            while len(found) < len(documents):
                found += self._some(query, documents[len(found) : len(found) + self._most])
            return found
        try:
            return [(score, 0) for score in self._ask(query, documents)]
        except ServerRefused as refused:
            if len(documents) == 1:
                return [self._shorter(query, documents[0], refused)]
        half = (len(documents) + 1) // 2
        found = self._some(query, documents[:half]) + self._some(query, documents[half:])
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
