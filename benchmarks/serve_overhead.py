"""What HTTP and the queue add to a forward: one request at a time, against the same batch scored in this process.

    python benchmarks/serve_overhead.py                  # minutes on 2 cores
    python benchmarks/serve_overhead.py --rounds 10 --documents 10

The bare forward is `PairScorer.launch` and `read` of ready token ids, on as many threads as the server has. Both go
over the same requests in turn, block by block, so that a machine that slows down slows both.

Two figures say what is added. "difference" is that of the percentiles of both. "over" is paired: percentiles of the
latency of a request less the median of its own bare forwards. It is the harder one at p99, since a forward that is slow
by itself counts as overhead: "bare_over" says how much of that the bare forwards have among themselves. "noop" is a
request that nothing is done for (`/health/live`), through the same proxy: what this machine takes for HTTP alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import torch
from machine import DATA, WORK, machine
from models import minilm
from score_throughput import pairs_of
from servers import crossrank_server

from crossrank import Reranker
from crossrank.serving.encode import EncodedRequest, encode
from crossrank.serving.request import ScoringRequest
from crossrank.telemetry.progress import say

sys.path.insert(0, str(Path(__file__).parents[1]))  # serve/ is never installed
from serve.load import percentile

REQUESTS = 50
"""Different requests, each sent once in a round."""
WARM_UP = 10
TIMES = ("x-tokenization-time", "x-queue-time", "x-inference-time", "x-total-time")
"""What the server tells of itself, in milliseconds."""


def asks(num_documents: int) -> list[ScoringRequest]:
    """Requests of short documents, one sentence each."""
    pairs = pairs_of("minilm", "short", REQUESTS * num_documents)
    slices = [pairs[start : start + num_documents] for start in range(0, len(pairs), num_documents)]
    return [ScoringRequest(queries=(some[0][0],), documents=tuple(text for _, text in some)) for some in slices]


def bare_forwards(reranker: Reranker, requests: Sequence[ScoringRequest]) -> list[Callable[[], Any]]:
    """For each request, its forward."""

    def forward(encoded: EncodedRequest) -> Any:
        return reranker._scorer.read(reranker._scorer.launch(encoded.ids_U, encoded.first_U))

    return [partial(forward, encode(ask, reranker._scorer.encoder)) for ask in requests]


def time_bare(forwards: Sequence[Callable[[], Any]]) -> list[float]:
    """Milliseconds of each."""
    spent = []
    for forward in [*forwards[:WARM_UP], *forwards]:
        started = time.perf_counter()
        forward()
        spent.append(1000 * (time.perf_counter() - started))
    return spent[WARM_UP:]


async def time_http(url: str, requests: Sequence[ScoringRequest], told: dict[str, list[float]]) -> list[float]:
    """Milliseconds of each over one connection; what the server tells of its own times goes into `told`."""
    spent = []
    async with aiohttp.ClientSession() as session:
        for number, ask in enumerate([*requests[:WARM_UP], *requests]):
            body = {"query": ask.queries[0], "documents": ask.documents}
            started = time.perf_counter()
            async with session.post(f"{url}/v2/rerank", json=body) as response:
                await response.json()
            spent.append(1000 * (time.perf_counter() - started))
            if response.status != 200:
                sys.exit(f"the server answered {response.status}")
            if number >= WARM_UP:
                for name in TIMES:
                    told[name].append(float(response.headers[name]))
    return spent[WARM_UP:]


async def time_noop(url: str, num_requests: int) -> list[float]:
    """Milliseconds of each request that nothing is done for, over one connection."""
    spent = []
    async with aiohttp.ClientSession() as session:
        for _ in range(WARM_UP + num_requests):
            started = time.perf_counter()
            async with session.get(f"{url}/health/live") as response:
                await response.read()
            spent.append(1000 * (time.perf_counter() - started))
    return spent[WARM_UP:]


def compare(num_documents: int, rounds: int) -> dict[str, Any]:
    """All figures, in milliseconds."""
    folder = minilm(WORK)
    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    requests = asks(num_documents)
    forwards = bare_forwards(Reranker.load(str(folder), device="cpu"), requests)
    bare: list[list[float]] = []
    http: list[list[float]] = []
    noop: list[float] = []
    told: dict[str, list[float]] = defaultdict(list)
    with crossrank_server(folder, threads) as url:
        for turn in range(rounds):
            say(f"round {turn + 1} of {rounds}")
            bare.append(time_bare(forwards))
            http.append(asyncio.run(time_http(url, requests, told)))
            noop += asyncio.run(time_noop(url, len(requests)))
    told_of = {"documents": num_documents, "threads": threads}
    return figures(np.array(bare), np.array(http), np.array(noop), told) | told_of


def figures(bare: Any, http: Any, noop: Any, told: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Percentiles; rows are rounds, columns requests."""
    usual = np.median(bare, axis=0)
    over = {"over": (http - usual).ravel(), "bare_over": (bare - usual).ravel()}
    rows = {"bare": bare.ravel(), "http": http.ravel(), "noop": noop, **over}
    spread = {
        f"{name}_p{percent}_ms": round(percentile(values.tolist(), percent) or 0.0, 2)
        for name, values in rows.items()
        for percent in (50, 99)
    }
    return {
        **spread,
        "difference_p50_ms": round(spread["http_p50_ms"] - spread["bare_p50_ms"], 2),
        "difference_p99_ms": round(spread["http_p99_ms"] - spread["bare_p99_ms"], 2),
        **{f"server_{name.removeprefix('x-')}_p50_ms": statistics.median(values) for name, values in told.items()},
        "requests": http.size,
    }


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args(arguments)
    if not DATA.exists():
        sys.exit(f"the real texts are not there: {DATA}")
    told = compare(given.documents, given.rounds)
    for key, value in (machine() | told).items():
        print(f"{key:38} {value}")
    print(json.dumps({"benchmark": "serve_overhead", **told}))


if __name__ == "__main__":
    main(sys.argv[1:])
