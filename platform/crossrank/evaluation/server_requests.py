"""Requests to a server that reranks: what each dialect sends, when it is sent again, and how the answer is read.

This is what servers answer to a request that is too large, as their sources and documentation have it:
text-embeddings-inference 422 from 1.9 on and 413 before, for too many texts and too long ones, and 413 for the body;
infinity and other FastAPI servers 422; Cohere, Jina and vLLM 400; llama.cpp 500 with a sentence.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urldefrag, urlsplit

import requests

from crossrank.errors import in_short, kind_of

ATTEMPTS = 5
FIRST_PAUSE_S = 0.5
"""Seconds before the second attempt; each later pause is twice as long."""
AGAIN = {408, 429, 500, 502, 503, 504}
"""Statuses after which the same request is sent again."""
REFUSALS = {400, 413, 422}
"""Statuses that may mean: too many documents, or a text that is too long."""
TOO_LARGE = re.compile(r"too (large|long|many)|exceed", re.IGNORECASE)
"""Words of a server that answers 500 in such a case."""


class ServerFailed(Exception):
    """Error of a server that gave no scores; the text says what it gave."""


class ServerRefused(ServerFailed):
    """Refusal of a server that may take less: fewer documents, or shorter texts."""


@dataclass(slots=True)
class ServerRequests:
    """One connection to a server."""

    url: str
    """URL of the server, with the model after a # where it wants one."""
    speaks_tei: bool
    """Whether the dialect is that of text-embeddings-inference; otherwise it is that of Cohere."""
    timeout_s: float
    key: str | None = None
    _session: requests.Session = field(default_factory=requests.Session)

    def scores(self, query: str, documents: list[str]) -> list[float]:
        """Ask for the score of each document, by one request that is answered.

        Raises:
            ServerRefused: the server may take less.
            ServerFailed: any other failure, after `ATTEMPTS` where another attempt may help.
        """
        answer = self._answer(query, documents)
        if answer.status_code in REFUSALS or _says_too_large(answer):
            raise ServerRefused(f"answered {answer.status_code}: {self._text(answer)}")
        if not answer.ok:
            raise ServerFailed(f"answered {answer.status_code}: {self._text(answer)}")
        return self._read(answer, len(documents))

    def _answer(self, query: str, documents: list[str]) -> requests.Response:
        url, body = self._request(query, documents)
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        pause_s = FIRST_PAUSE_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._session.post(url, json=body, headers=headers, timeout=self.timeout_s)
            except requests.RequestException as error:
                if attempt == ATTEMPTS or isinstance(error, requests.Timeout):
                    raise ServerFailed(f"gave no answer ({kind_of(error)})") from error
            else:
                if answer.status_code not in AGAIN or attempt == ATTEMPTS or _says_too_large(answer):
                    return answer
                pause_s = _retry_after(answer) or pause_s
            time.sleep(min(pause_s, self.timeout_s))
            pause_s *= 2
        raise AssertionError("the last attempt returned or raised")

    def _request(self, query: str, documents: list[str]) -> tuple[str, dict[str, Any]]:
        url, model = urldefrag(self.url)
        url = url if urlsplit(url).path.strip("/") else url.rstrip("/") + "/rerank"
        body: dict[str, Any]
        if self.speaks_tei:
            body = {"query": query, "texts": documents, "raw_scores": True, "truncate": True}
        else:
            body = {"query": query, "documents": documents, "top_n": len(documents)}
        return url, body | ({"model": model} if model else {})

    def _read(self, answer: requests.Response, count: int) -> list[float]:
        """The scores of an answer, in the order of the documents."""
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
        """The text of an answer, in short and without the key: some servers repeat the key that they refuse."""
        text = answer.text if self.key is None else answer.text.replace(self.key, "***")
        return in_short(text)


def _says_too_large(answer: requests.Response) -> bool:
    return answer.status_code == requests.codes.internal_server_error and bool(TOO_LARGE.search(answer.text[:2000]))


def _retry_after(answer: requests.Response) -> float | None:
    try:
        return float(answer.headers["retry-after"])
    except (KeyError, ValueError):
        return None
