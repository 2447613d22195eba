"""Clients that ask without pause while something happens to the server, and remember every answer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import TracebackType
from typing import Any, NamedTuple, Self

import requests

HANGS_S = 60.0
"""An answer that takes longer is counted as none."""


class Reply(NamedTuple):
    """What came of one request."""

    sent: float
    seconds: float
    outcome: str
    """The status, or "closed" or "hung"."""
    scores: dict[int, float]
    text: str
    """Of an error: what it said."""


class Asking:
    """Asks one question from several threads for as long as it is open: half keep their connection, half do not."""

    def __init__(self, url: str, body: Any, num_clients: int = 2, pause_s: float = 0.02) -> None:
        self._url = url
        self._body = body
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n % 2 == 0,)) for n in range(num_clients)]
        self.replies: list[Reply] = []

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(reply.outcome for reply in self.replies)

    @property
    def refusals(self) -> list[Reply]:
        """Everything that is not an answer."""
        return [reply for reply in self.replies if reply.outcome != "200"]

    def since(self, moment: float) -> list[Reply]:
        """Of the requests that were sent after `moment` (of `time.monotonic`)."""
        return [reply for reply in self.replies if reply.sent >= moment]

    def wait_for(self, num: int, within_s: float = HANGS_S) -> None:
        """Until so many more requests were sent from now on and have come to an end."""
        began = time.monotonic()
        while len(self.since(began)) < num:
            assert time.monotonic() < began + within_s, f"{len(self.since(began))} answers in {within_s} s"
            time.sleep(0.05)

    def _ask(self, keeps_connection: bool) -> None:
        session = requests.Session()
        while not self._stop.is_set():
            if not keeps_connection:
                session = requests.Session()
            sent = time.monotonic()
            outcome, scores, text = _outcome(session, self._url, self._body)
            self.replies.append(Reply(sent, time.monotonic() - sent, outcome, scores, text))
            self._stop.wait(self._pause_s)


def scores_of(answer: requests.Response) -> dict[int, float]:
    """The scores of an answer in TEI's dialect, by the place of their documents."""
    return {found["index"]: found["score"] for found in answer.json()}


def _outcome(session: requests.Session, url: str, body: Any) -> tuple[str, dict[int, float], str]:
    try:
        answer = session.post(url, json=body, timeout=HANGS_S)
    except requests.ReadTimeout as error:
        return "hung", {}, str(error)
    except requests.ConnectionError as error:
        return "closed", {}, str(error)
    if answer.status_code != 200:
        return str(answer.status_code), {}, answer.text[:300]
    return "200", scores_of(answer), ""
