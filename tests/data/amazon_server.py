"""An Amazon Translate server on the loopback: the JSON protocol that boto3 speaks, with the ways in which it fails.

    python -m tests.data.amazon_server --port 8123 --log asked.jsonl --rate 200

It is throttled by a token bucket, answers after a latency, and fails at random with 500 and 503. Every text that it is
asked for is in the log before it answers: `{"at", "text", "status", "characters"}` a line, opened for appending, so
that a count outlives the server. A translation is `translation_of`, so a test knows what to expect; a text that
`--dictionary` has (a TSV of source and translation) is translated as that says.

The access key decides what an account may do: WRONG, EXPIRED and DENIED are refused as AWS refuses them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.ray.driver import wait_for
from tests.ray.s3_server import answers, free_port

TARGET = "AWSShineFrontendService_20170701.TranslateText"
LIMIT_BYTES = 10_000
LANGUAGES = {"en", "ko", "de", "ja", "zh", "fr"}
TERMINOLOGIES = {"products"}
POISON = "poison"
"""A text with this word is never translated: an invalid request."""
BROKEN = "broken"
"""A text with this word gets 500, always."""
REFUSED_KEYS = {
    "WRONG": ("UnrecognizedClientException", "The security token included in the request is invalid."),
    "EXPIRED": ("ExpiredTokenException", "The security token included in the request is expired"),
    "DENIED": ("AccessDeniedException", "User is not authorized to perform: translate:TranslateText"),
}


def translation_of(text: str, target: str, formality: str | None = None) -> str:
    """What the server makes of a text: itself between marks that name the language."""
    return f"[{target}{'' if formality is None else ' ' + formality.lower()}] {text} [/{target}]"


class Bucket:
    """Tokens that fill at a rate, at most so many."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = self._tokens = burst
        self._since = time.monotonic()

    def take(self) -> bool:
        """Whether there was one."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._since) * self._rate)
        self._since = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Server:
    """One account with its limit."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._latency_s = given.latency_ms / 1000
        self._error_share = given.errors
        self._dictionary = dictionary_of(given.dictionary) if given.dictionary else {}
        self._bucket = Bucket(given.rate, given.burst or given.rate)
        self._random = random.Random(given.seed)
        self._log = open(given.log, "a", buffering=1, encoding="utf-8")  # noqa: SIM115 - open as long as the server

    async def handle(self, request: web.Request) -> web.Response:
        asked = await request.json()
        status, told = self._answer(request, asked)
        line = {
            "at": time.time(),
            "text": asked.get("Text"),
            "status": status,
            "characters": len(asked.get("Text", "")),
        }
        self._log.write(json.dumps(line, ensure_ascii=False) + "\n")
        await asyncio.sleep(self._latency_s * self._random.uniform(0.5, 1.5))
        return web.json_response(told, status=status, content_type="application/x-amz-json-1.1")

    def _answer(self, request: web.Request, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if request.headers.get("X-Amz-Target") != TARGET:
            return _error(400, "UnknownOperationException", str(request.headers.get("X-Amz-Target")))
        key = re.search(r"Credential=([^/]+)/", request.headers.get("Authorization", ""))
        if key is None:
            return _error(400, "MissingAuthenticationToken", "Missing Authentication Token")
        if key.group(1) in REFUSED_KEYS:
            return _error(400, *REFUSED_KEYS[key.group(1)])
        if not self._bucket.take():
            return _error(429, "TooManyRequestsException", "Rate exceeded")
        draw = self._random.random()
        if draw < self._error_share / 2:
            return _error(500, "InternalServerException", "internal error")
        if draw < self._error_share:
            return _error(503, "ServiceUnavailableException", "service unavailable")
        return self._translate(asked)

    def _translate(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        text, source, target = asked["Text"], asked["SourceLanguageCode"], asked["TargetLanguageCode"]
        if not text or POISON in text:
            return _error(400, "InvalidRequestException", "the text cannot be translated")
        if BROKEN in text:
            return _error(500, "InternalServerException", "internal error")
        if len(text.encode()) > LIMIT_BYTES:
            return _error(400, "TextSizeLimitExceededException", "Input text size exceeds limit")
        if {source, target} - LANGUAGES:
            return _error(400, "UnsupportedLanguagePairException", f"Unsupported language pair: {source} to {target}.")
        if set(asked.get("TerminologyNames", [])) - TERMINOLOGIES:
            return _error(400, "ResourceNotFoundException", "The terminology was not found.")
        formality = asked.get("Settings", {}).get("Formality")
        return 200, {
            "TranslatedText": self._dictionary.get(text) or translation_of(text, target, formality),
            "SourceLanguageCode": source,
            "TargetLanguageCode": target,
        }


def dictionary_of(path: str) -> dict[str, str]:
    """Translations by source, of lines without an escape in them."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines)


def _error(status: int, code: str, message: str) -> tuple[int, dict[str, Any]]:
    return status, {"__type": code, "message": message}


class Asked:
    """The server as a test sees it: its endpoint, and what it was asked."""

    def __init__(self, endpoint: str, log: Path) -> None:
        self.endpoint = endpoint
        self._log = log
        self._requests: list[dict[str, Any]] = []
        self._read_bytes = 0

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Every request, in the order in which they came; a line that is being written is not there yet."""
        with open(self._log, "rb") as log:  # on from where it was read to: it is looked at many times a second
            log.seek(self._read_bytes)
            whole_lines = log.read().rpartition(b"\n")
        self._requests += map(json.loads, whole_lines[0].splitlines())
        self._read_bytes += len(whole_lines[0]) + len(whole_lines[1])
        return list(self._requests)

    def translated(self) -> Counter[str]:
        """How often each text was translated, and so paid."""
        return Counter(request["text"] for request in self.requests if request["status"] == 200)

    def characters(self) -> int:
        """What was paid."""
        return sum(request["characters"] for request in self.requests if request["status"] == 200)


@contextmanager
def amazon_server(log: Path, **flags: float | str) -> Iterator[Asked]:
    """Start the server in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "tests.data.amazon_server", "--port", str(port), "--log", str(log)]
    command += [part for name, value in flags.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    log.touch()
    process = subprocess.Popen(command, env=os.environ, cwd=Path(__file__).parents[2])
    try:
        wait_for(lambda: answers(port), 60, lambda: "the translation server does not answer")
        yield Asked(f"http://127.0.0.1:{port}", log)
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--log", required=True)
    parser.add_argument("--rate", type=float, default=1000.0, help="requests a second that are let in")
    parser.add_argument("--burst", type=float, default=None, help="tokens of the bucket; default those of a second")
    parser.add_argument("--latency-ms", type=float, default=5.0)
    parser.add_argument("--errors", type=float, default=0.0, help="part of the requests that gets 500 or 503")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dictionary", help="TSV of texts and their translations")
    server = Server(parser.parse_args())
    app = web.Application(client_max_size=1 << 20)
    app.router.add_post("/", server.handle)
    web.run_app(app, host=parser.parse_args().host, port=parser.parse_args().port, print=None, access_log=None)


if __name__ == "__main__":
    main()
