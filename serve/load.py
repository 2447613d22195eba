"""Send load to a server, at moments that do not wait for its answers, and tell what came of it.

    python serve/load.py --url http://127.0.0.1:8000 --rate 5 --documents 10:0.8,50:0.15,200:0.05 --seconds 60
    python serve/load.py --url http://127.0.0.1:8000 --pairs-rate 20 --seconds 20 --find-capacity

The last line is JSON. Any server of text-embeddings-inference's or Cohere's dialect will do. Every flag: --help.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from crossrank.cli.main import run
from crossrank.cli.options import command
from crossrank.serving.load import GRACE_S, LoadSettings, Outcome, Reply, Shot, body, find_capacity, fire, summary
from crossrank.telemetry.progress import say


def load(settings: LoadSettings) -> None:
    """Send requests at random moments, and tell goodput, latencies and errors by kind."""
    told = asyncio.run(_capacity(settings) if settings.find_capacity else once(settings))
    text = json.dumps(told)
    if settings.json is not None:
        Path(settings.json).write_text(text + "\n")
    print(text)


async def once(settings: LoadSettings) -> dict[str, Any]:
    """Fire one load, and sum up."""
    shots = settings.shots()
    say(f"{len(shots):,} requests in {settings.seconds:g} s to {settings.endpoint}")
    outcomes = await sent(settings, shots)
    told = {"rate": round(settings.requests_per_second, 3), **summary(outcomes, settings.seconds, settings.timeout_s)}
    for name, value in told.items():
        say(f"{name:26} {value}")
    return told


async def sent(settings: LoadSettings, shots: Sequence[Shot]) -> list[Outcome]:
    """Send these shots, whatever the settings themselves would fire."""
    key = settings.key or os.environ.get("CROSSRANK_API_KEY")
    # A connection is dropped before the server does it: it could do so just when a request is on its way.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
    async with aiohttp.ClientSession(
        connector=connector,
        headers={"authorization": f"Bearer {key}"} if key else {},
        timeout=aiohttp.ClientTimeout(total=settings.timeout_s + GRACE_S),
    ) as session:

        async def send(shot: Shot) -> Reply:
            return await _send(session, shot, settings)

        return await fire(shots, send)


async def _capacity(settings: LoadSettings) -> dict[str, Any]:
    steps = await find_capacity(lambda rate: once(settings.at(rate)), settings.requests_per_second)
    best = max(steps, key=lambda step: step["goodput"]["pairs_per_second"])
    say(f"capacity: {best['goodput']['pairs_per_second']} pairs/s, reached at {best['rate']} requests/s")
    return {"capacity": best["goodput"], "steps": steps}


async def _send(session: aiohttp.ClientSession, shot: Shot, settings: LoadSettings) -> Reply:
    try:
        async with session.post(settings.endpoint, json=body(shot, settings.dialect, settings.timeout_ms)) as response:
            await response.read()
            tokens = response.headers.get("x-compute-tokens", "0")
            return Reply(response.status, int(tokens), "retry-after" in response.headers)
    except TimeoutError:
        return Reply(None, failure="timeout")
    except aiohttp.ClientConnectorError:
        return Reply(None, failure="no connection")
    except aiohttp.ClientError:
        return Reply(None, failure="closed")


if __name__ == "__main__":
    run(command(LoadSettings, load))
