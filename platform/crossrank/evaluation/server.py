"""A running server as a row of the table: ours, or any that speaks the dialect of Cohere or of TEI.

    base=http://127.0.0.1:8000                              ours or TEI: POST /rerank with raw scores
    cohere=https://api.cohere.com/v2/rerank#rerank-v3.5     Cohere, Jina, vLLM, infinity: the model after the #

A key is taken from the environment: ``CROSSRANK_KEY_NAME`` for the row NAME, or ``CROSSRANK_KEY``; no manifest has it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urldefrag, urlsplit

import numpy as np
import requests
from numpy.typing import NDArray

from crossrank.errors import InputError, in_short
from crossrank.progress import say
from crossrank.scoring.scored import EncodedText, PlainText, Scored

MOST_DOCUMENTS = 1000
"""Of one request, to begin with; halved where a server refuses so many (TEI takes 32 if it is told nothing)."""
ATTEMPTS = 5
FIRST_PAUSE_S = 0.5
FAILURES_IN_A_ROW = 3
"""Queries without an answer after which a server is not asked any more."""
AGAIN = {408, 429, 500, 502, 503, 504}
TOO_MANY = {413, 422}
KEY = "CROSSRANK_KEY"


def is_url(model: str) -> bool:
    """Whether a model is a server."""
    return re.match(r"https?://", model) is not None


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """A server that scores."""

    name: str
    """Of the row."""
    url: str
    timeout_s: float = 60.0
    key: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, name: str, url: str, timeout_s: float) -> ServerSpec:
        """With its key from the environment of this process: workers on other nodes have another one."""
        own = re.sub(r"[^A-Z0-9]", "_", name.upper())
        return cls(name, url, timeout_s, os.environ.get(f"{KEY}_{own}") or os.environ.get(KEY))

    @property
    def revision(self) -> str:
        """Where it is: what runs there is not known."""
        return self.url

    def load(self, threads: int | None) -> ServerScorer:
        return ServerScorer(self)

    @property
    def speaks_tei(self) -> bool:
        """Whether it is asked as TEI is; as Cohere otherwise."""
        return urlsplit(urldefrag(self.url)[0]).path.rstrip("/") in ("", "/rerank")

    @property
    def gives_probabilities(self) -> bool:
        """Whether its scores lie between 0 and 1; TEI gives logits where it is asked for them."""
        return not self.speaks_tei

    def check(self) -> None:
        """Ask it for one score.

        Raises:
            InputError: it cannot be reached, or gives none.
        """
        try:
            _Asking(self).scores("query", ["document"])
        except ServerFailed as failed:
            raise InputError(f"{self.name}={self.url} {failed}; check the URL, and the key in {KEY}") from failed


class ServerFailed(Exception):
    """A server gave no scores; the text says what it gave."""


class AsTheyAre:
    """Texts as they are: the server tokenises."""

    max_length = 0
    store_key = None

    def queries(self, texts: Sequence[str]) -> list[EncodedText]:
        return [PlainText(text) for text in texts]

    def documents(self, texts: Sequence[str]) -> list[EncodedText]:
        return [PlainText(text) for text in texts]


class ServerScorer:
    """Scores by asking. A query that gets no answer has scores that are no numbers, and so no ranking."""

    def __init__(self, spec: ServerSpec) -> None:
        self.encoder = AsTheyAre()
        self._spec = spec
        self._asking = _Asking(spec)
        self._failures = 0

    def describe(self) -> dict[str, Any]:
        return {"server": self._spec.url}

    def score_encoded(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> Scored:
        """Score the pairs, a request a query."""
        logits_P = np.full(len(query_P), np.nan, dtype=np.float32)
        for number, query in enumerate(queries):
            places = np.flatnonzero(query_P == number)
            if len(places):
                logits_P[places] = self._scores(_text(query), [_text(documents[d]) for d in document_P[places]])
        nothing_P = np.zeros(len(query_P), dtype=np.int32)
        return Scored(logits_P, nothing_P, nothing_P, nothing_P)

    def score_windows(self, windows: Any) -> Any:
        return (self.score_encoded(*window) for window in windows)

    def _scores(self, query: str, documents: list[str]) -> NDArray[np.float32]:
        if self._failures >= FAILURES_IN_A_ROW:
            return np.full(len(documents), np.nan, dtype=np.float32)
        try:
            scores = self._asking.scores(query, documents)
        except ServerFailed as failed:
            self._failures += 1
            more = "; it is not asked any more" if self._failures == FAILURES_IN_A_ROW else ""
            say(f"{self._spec.url} {failed}{more}")
            return np.full(len(documents), np.nan, dtype=np.float32)
        self._failures = 0
        return scores


@dataclass(slots=True)
class _Asking:
    """One connection to a server."""

    spec: ServerSpec
    _session: requests.Session = field(default_factory=requests.Session)
    _most: int = MOST_DOCUMENTS

    def scores(self, query: str, documents: list[str]) -> NDArray[np.float32]:
        """The score of each document, in as few requests as the server takes.

        Raises:
            ServerFailed: after a few tries.
        """
        found: list[float] = []
        while len(found) < len(documents):
            some = documents[len(found) : len(found) + self._most]
            answer = self._answer(query, some)
            if answer.status_code in TOO_MANY and len(some) > 1:
                self._most = max(1, len(some) // 2)
                continue
            if not answer.ok:
                raise ServerFailed(f"answered {answer.status_code}: {self._text(answer)}")
            found += self._read(answer, len(some))
        return np.array(found, dtype=np.float32)

    def _answer(self, query: str, documents: list[str]) -> requests.Response:
        url, model = urldefrag(self.spec.url)
        body: dict[str, Any]
        if self.spec.speaks_tei:
            url = url if urlsplit(url).path.strip("/") else url.rstrip("/") + "/rerank"
            body = {"query": query, "texts": documents, "raw_scores": True, "truncate": True}
        else:
            body = {"query": query, "documents": documents, "top_n": len(documents)}
        body |= {"model": model} if model else {}
        headers = {"authorization": f"Bearer {self.spec.key}"} if self.spec.key else {}
        pause_s = FIRST_PAUSE_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._session.post(url, json=body, headers=headers, timeout=self.spec.timeout_s)
            except requests.RequestException as error:
                if attempt == ATTEMPTS or isinstance(error, requests.Timeout):
                    raise ServerFailed(f"gave no answer ({type(error).__name__})") from error
            else:
                if answer.status_code not in AGAIN or attempt == ATTEMPTS:
                    return answer
                pause_s = _retry_after(answer) or pause_s
            time.sleep(min(pause_s, self.spec.timeout_s))
            pause_s *= 2
        raise AssertionError("the last attempt returned or raised")

    def _read(self, answer: requests.Response, count: int) -> list[float]:
        """Scores in the order of the documents."""
        try:
            content = answer.json()
            rows = content["results"] if isinstance(content, dict) else content
            by_index = {int(row["index"]): float(row.get("relevance_score", row.get("score"))) for row in rows}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ServerFailed(f"answered what is no reranking: {self._text(answer)}") from error
        if by_index.keys() != set(range(count)):
            raise ServerFailed(f"gave scores for {len(by_index)} of {count} documents")
        return [by_index[index] for index in range(count)]

    def _text(self, answer: requests.Response) -> str:
        """What a server answered, in short. Some repeat the key that they refuse."""
        told = answer.text if self.spec.key is None else answer.text.replace(self.spec.key, "***")
        return in_short(told)


def _retry_after(answer: requests.Response) -> float | None:
    try:
        return float(answer.headers["retry-after"])
    except (KeyError, ValueError):
        return None


def _text(encoded: EncodedText) -> str:
    assert isinstance(encoded, PlainText)
    return encoded.text
