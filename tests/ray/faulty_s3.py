"""An S3 that throttles, stalls and drops connections: a proxy before a real server that spoils a part of the requests.

    python -m tests.ray.faulty_s3 --behind http://127.0.0.1:9000 --port 9001 --share 0.05 --seed 1

Each way to fail in turn, so that none is missing: 503 SlowDown, a connection that is closed before anything was done,
one that is closed after all was done (the answer is lost), one that is closed in the middle of its answer, and one that
says nothing for longer than a client waits.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.ray.driver import wait_for
from tests.ray.s3_server import answers, free_port

SLOW_DOWN = (
    "<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
EXPIRED = (
    "<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
)
FAULTS = ("throttled", "dropped", "answer lost", "cut off") * 8 + ("stalled",)
STALL_S = 60.0
"""Longer than any client waits."""
OF_THIS_CONNECTION = {"transfer-encoding", "connection", "content-length", "expect"}


SESSION = web.AppKey("session", aiohttp.ClientSession)


class Proxy:
    """Hands on what it does not spoil."""

    def __init__(self, behind: str, share: float, seed: int, counts: Path) -> None:
        self._behind = behind
        self._share = share
        self._random = random.Random(seed)
        self._faults = itertools.cycle(FAULTS)
        self._counts: Counter[str] = Counter()
        self._file = counts

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if expired(self._file).exists():
            return web.Response(status=403, text=EXPIRED, content_type="application/xml")
        fault = next(self._faults) if self._random.random() < self._share else "none"
        self._counts[fault] += 1
        self._file.write_text(json.dumps(self._counts))
        body = await request.read()
        if fault == "throttled":
            return web.Response(status=503, text=SLOW_DOWN, content_type="application/xml")
        if fault == "stalled":
            await asyncio.sleep(STALL_S)
        if fault in ("stalled", "dropped"):
            return self._closed(request)
        session = request.app[SESSION]
        asked = {name: value for name, value in request.headers.items() if name.lower() not in OF_THIS_CONNECTION}
        url = self._behind + request.raw_path
        async with session.request(request.method, url, data=body, headers=asked, allow_redirects=False) as answer:
            content = await answer.read()
            if fault == "answer lost":
                return self._closed(request)
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in OF_THIS_CONNECTION}
            length = answer.headers.get("Content-Length")
            if request.method == "HEAD":
                return web.Response(
                    status=answer.status, headers=headers | ({"Content-Length": length} if length else {})
                )
            if fault == "cut off":
                told = web.StreamResponse(status=answer.status, headers=headers | {"Content-Length": str(len(content))})
                await told.prepare(request)
                await told.write(content[: len(content) // 2])
                return self._closed(request)
            return web.Response(status=answer.status, headers=headers, body=content)

    def _closed(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()  # which nobody gets


def expired(counts: Path) -> Path:
    """While this file is there, every request is refused as one whose credentials have run out."""
    return counts.with_name("expired")


@contextmanager
def faulty_s3(behind: str, folder: Path, share: float = 0.05, seed: int = 1) -> Iterator[tuple[str, Path]]:
    """Start the proxy before a server; gives its endpoint, and the file in which it counts what it did."""
    port, counts = free_port(), folder / "faults.json"
    command = [sys.executable, "-m", "tests.ray.faulty_s3", "--behind", behind, "--port", str(port)]
    command += ["--share", str(share), "--seed", str(seed), "--counts", str(counts)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    try:
        wait_for(lambda: answers(port), 60, lambda: "the proxy does not answer")
        yield f"http://127.0.0.1:{port}", counts
    finally:
        process.kill()
        process.wait()


async def application(given: argparse.Namespace) -> web.Application:
    app = web.Application(client_max_size=1 << 30)
    app[SESSION] = aiohttp.ClientSession(auto_decompress=False)
    app.router.add_route("*", "/{path:.*}", Proxy(given.behind, given.share, given.seed, given.counts).handle)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--behind", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--counts", type=Path, required=True)
    given = parser.parse_args()
    web.run_app(application(given), host="127.0.0.1", port=given.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
