"""A running server as a row of the table: crossrank's own, or any that speaks the dialect of Cohere or of TEI.

    base=http://127.0.0.1:8000                              crossrank or TEI: POST /rerank with raw scores
    cohere=https://api.cohere.com/v2/rerank#rerank-v3.5     Cohere, Jina, vLLM, infinity: the model after the #

The key comes from the environment: ``CROSSRANK_KEY_NAME`` for the row NAME, or ``CROSSRANK_KEY``; no manifest has it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urldefrag, urlsplit

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.evaluation.server_fit import Fitted, ServerFit
from crossrank.evaluation.server_requests import ServerFailed, ServerRefused, ServerRequests
from crossrank.scoring.interfaces import EncodedText, PlainText, Scored
from crossrank.scoring.spec import ScorerSpec
from crossrank.telemetry.progress import say

FAILURES_IN_A_ROW = 3
"""Queries in a row without an answer, after which a server is not asked any more."""
KEY = "CROSSRANK_KEY"


def is_url(model: str) -> bool:
    """Whether a model is a server."""
    return re.match(r"https?://", model) is not None


@dataclass(frozen=True, slots=True)
class ServerSpec(ScorerSpec):
    """A server that scores."""

    name: str
    """Name of the row."""
    url: str
    timeout_s: float = 60.0
    key: str | None = field(default=None, repr=False)
    refuses_tei: bool = False
    """Whether it was seen to want Cohere's dialect on a path of TEI, as infinity does on ``/rerank``."""

    @classmethod
    def of(cls, name: str, url: str, timeout_s: float) -> ServerSpec:
        """Make it with the key in the environment of this process: workers on other nodes have another environment."""
        own = re.sub(r"[^A-Z0-9]", "_", name.upper())
        return cls(name, url, timeout_s, os.environ.get(f"{KEY}_{own}") or os.environ.get(KEY))

    @property
    def revision(self) -> str:
        """The URL of the server: the revision of what runs there is not known."""
        return self.url

    def load(self, threads: int | None) -> ServerScorer:
        return ServerScorer(self)

    @property
    def speaks_tei(self) -> bool:
        """Whether the dialect is that of TEI; otherwise it is that of Cohere."""
        return not self.refuses_tei and urlsplit(urldefrag(self.url)[0]).path.rstrip("/") in ("", "/rerank")

    @property
    def gives_probabilities(self) -> bool:
        """Whether its scores lie between 0 and 1; TEI gives logits where it is asked for them."""
        return not self.speaks_tei

    def requests(self) -> ServerRequests:
        """Open a connection to the server."""
        return ServerRequests(self.url, self.speaks_tei, self.timeout_s, self.key)

    def check(self) -> ServerSpec:
        """Ask the server for one score. Returns this, or the same in Cohere's dialect where the server refuses TEI's.

        Raises:
            InputError: the server cannot be reached, or gives no score.
        """
        found = [self, *([replace(self, refuses_tei=True)] if self.speaks_tei else [])]
        failures: list[ServerFailed] = []
        for spec in found:
            try:
                spec.requests().scores("query", ["document"])
            except ServerRefused as refused:
                failures.append(refused)
            except ServerFailed as failed:
                failures.append(failed)
                break
            else:
                return spec
        raise InputError(f"{self.name}={self.url} {failures[0]}; check the URL, and the key in {KEY}") from failures[0]


class PlainTextEncoder:
    """Encoder that leaves texts as they are: the server tokenises."""

    max_length = 0
    store_key = None

    def queries(self, texts: Sequence[str]) -> list[EncodedText]:
        return [PlainText(text) for text in texts]

    def documents(self, texts: Sequence[str]) -> list[EncodedText]:
        return [PlainText(text) for text in texts]


class ServerScorer:
    """Scorer that asks a server. A query without an answer has NaN as scores, and so no ranking."""

    def __init__(self, spec: ServerSpec) -> None:
        self.encoder = PlainTextEncoder()
        self._spec = spec
        self._fit = ServerFit(spec.requests().scores)
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
        """Score the pairs, a request a query, or several where a server takes less."""
        logits_P = np.full(len(query_P), np.nan, dtype=np.float32)
        cut_P = np.zeros(len(query_P), dtype=np.int32)
        for number, query in enumerate(queries):
            places = np.flatnonzero(query_P == number)
            if len(places):
                found = self._scores(_text(query), [_text(documents[d]) for d in document_P[places]])
                if found is not None:
                    logits_P[places], cut_P[places] = found.scores_D, found.cut_D
        nothing_P = np.zeros(len(query_P), dtype=np.int32)
        return Scored(logits_P, nothing_P, nothing_P, cut_P)

    def score_windows(self, windows: Any) -> Any:
        return (self.score_encoded(*window) for window in windows)

    def _scores(self, query: str, documents: list[str]) -> Fitted | None:
        if self._failures >= FAILURES_IN_A_ROW:
            return None
        try:
            found = self._fit.scores(query, documents)
        except ServerFailed as failed:
            self._failures += 1
            more = "; it is not asked any more" if self._failures == FAILURES_IN_A_ROW else ""
            say(f"{self._spec.url} {failed}{more}")
            return None
        self._failures = 0
        return found


def _text(encoded: EncodedText) -> str:
    assert isinstance(encoded, PlainText)
    return encoded.text
