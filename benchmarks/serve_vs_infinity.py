"""Our server against infinity: same model, same cores, same requests, one after the other, in the same run.

    make bench-serve                                     # makes infinity's environment, and runs this: half an hour
    python benchmarks/serve_vs_infinity.py --documents 10 50 --clients 1 --rounds 3 --seconds 10

Clients wait for an answer before they send their next request (closed loop), and send the same ones to both servers.
Both run one after the other in each round, with the machine to themselves; a figure is the median over rounds, a
percentile that of all requests of all rounds. Scores are compared before anything is measured. infinity has two ways to
compute, with BetterTransformer (its default) and without; each is a contender, and the better one is compared with.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from machine import DATA, WORK, machine
from models import minilm
from score_throughput import pairs_of
from servers import MODEL_NAME, crossrank_server, infinity_server

from crossrank.telemetry.progress import say

sys.path.insert(0, str(Path(__file__).parents[1]))  # serve/ is never installed
from serve.load import percentile

OURS = "crossrank"
CONTENDERS: Mapping[str, Callable[[Path], AbstractContextManager[str]]] = {
    OURS: crossrank_server,
    "infinity": infinity_server,
    "infinity plain": lambda folder: infinity_server(folder, "--no-bettertransformer"),
}
TOLERANCE = 1e-4
REQUESTS = 24
"""Different requests of each size; clients go round them, each from its own place."""
LEAST_REQUESTS = 3
"""Of each client, however long they take."""

Request = dict[str, Any]
Case = tuple[int, int]
"""Documents of a request, and clients."""


@dataclass
class Measured:
    """What one contender did in one case, over all rounds."""

    pairs_per_second: list[float] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)

    def rate(self) -> float:
        """Median over rounds."""
        return statistics.median(self.pairs_per_second)

    def ms(self, percent: float) -> float:
        """A percentile over all requests, in milliseconds."""
        return 1000 * (percentile(self.latencies_s, percent) or 0.0)


def requests_of(num_documents: int) -> list[Request]:
    """Requests of documents of mixed length, the query of each that of its first pair."""
    pairs = pairs_of("minilm", "mixed", REQUESTS * num_documents)
    slices = [pairs[start : start + num_documents] for start in range(0, len(pairs), num_documents)]
    return [
        {
            "model": MODEL_NAME,
            "query": some[0][0],
            "documents": [text for _, text in some],
            "raw_scores": True,
            "return_documents": False,
        }
        for some in slices
    ]


async def ask(session: aiohttp.ClientSession, url: str, request: Request) -> list[float]:
    """Logits, in the order of the documents."""
    async with session.post(f"{url}/rerank", json=request) as response:
        if response.status != 200:
            sys.exit(f"{url} answered {response.status}: {(await response.text())[:300]}")
        results = (await response.json())["results"]
    scores = {result["index"]: float(result["relevance_score"]) for result in results}
    return [scores[index] for index in range(len(request["documents"]))]


async def closed_loop(url: str, requests: Sequence[Request], clients: int, seconds: float) -> tuple[float, list[float]]:
    """Pairs a second, and the latency of each request."""
    latencies_s: list[float] = []
    pairs = 0
    began = time.perf_counter()

    async def client(number: int, session: aiohttp.ClientSession) -> None:
        nonlocal pairs
        sent = 0
        while sent < LEAST_REQUESTS or time.perf_counter() < began + seconds:
            request = requests[(number * len(requests) // clients + sent) % len(requests)]
            started = time.perf_counter()
            await ask(session, url, request)
            latencies_s.append(time.perf_counter() - started)
            pairs += len(request["documents"])
            sent += 1

    async with _session() as session:
        await asyncio.gather(*(client(number, session) for number in range(clients)))
    return pairs / (time.perf_counter() - began), latencies_s


async def scores_of(url: str, requests: Sequence[Request]) -> list[float]:
    """All logits of some requests; warms the server up as well."""
    async with _session() as session:
        return [score for request in requests for score in await ask(session, url, request)]


def measure(given: argparse.Namespace, folder: Path) -> tuple[dict[str, dict[Case, Measured]], dict[str, float]]:
    """What each contender did in each case, and its largest difference from our scores."""
    cases = [(documents, clients) for documents in given.documents for clients in given.clients]
    requests = {documents: requests_of(documents) for documents in given.documents}
    sample = requests[min(requests)][:6]
    measured: dict[str, dict[Case, Measured]] = {name: defaultdict(Measured) for name in given.contenders}
    differences: dict[str, float] = {}
    ours: list[float] = []
    for turn in range(given.rounds):
        for name in given.contenders:
            say(f"round {turn + 1} of {given.rounds}: {name}")
            with CONTENDERS[name](folder) as url:
                scores = asyncio.run(scores_of(url, sample))
                ours = ours or scores
                differences[name] = max(abs(one - other) for one, other in zip(scores, ours, strict=True))
                if differences[name] > TOLERANCE:
                    sys.exit(f"the scores of {name} differ by {differences[name]:.1e}; nothing was compared")
                for case in cases:
                    rate, latencies_s = asyncio.run(closed_loop(url, requests[case[0]], case[1], given.seconds))
                    measured[name][case].pairs_per_second.append(rate)
                    measured[name][case].latencies_s += latencies_s
    return measured, differences


def row(case: Case, measured: Mapping[str, Mapping[Case, Measured]]) -> dict[str, Any]:
    """One row of the table: each contender, and ours over the best of the others; of latencies, under 1 is better."""
    cells: dict[str, Any] = {"documents": case[0], "clients": case[1]}
    for name in measured:
        each = measured[name][case]
        cells |= {
            f"{name} pairs/s": round(each.rate(), 1),
            f"{name} p50 ms": round(each.ms(50), 1),
            f"{name} p99 ms": round(each.ms(99), 1),
            f"{name} requests": len(each.latencies_s),
        }
    peers = [name for name in measured if name != OURS]
    if OURS in measured and peers:
        ours = measured[OURS][case]
        best = max((measured[name][case] for name in peers), key=Measured.rate)
        cells["times pairs/s"] = round(ours.rate() / best.rate(), 2)
        cells["times p50"] = round(ours.ms(50) / best.ms(50), 2)
        cells["times p99"] = round(ours.ms(99) / min(measured[name][case].ms(99) for name in peers), 2)
    return cells


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[10, 50, 200])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each case, more where requests are long")
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    given = parser.parse_args(arguments)
    if not DATA.exists():
        sys.exit(f"the real texts are not there: {DATA}")
    measured, differences = measure(given, minilm(WORK))
    rows = [row((documents, clients), measured) for documents in given.documents for clients in given.clients]
    for key, value in machine().items():
        print(f"{key:22} {value}")
    for name, difference in differences.items():
        print(f"{name:22} differs by {difference:.1e} from the first")
    print("\n| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for each in rows:
        print("| " + " | ".join(map(str, each.values())) + " |")
    print(json.dumps({"benchmark": "serve_vs_infinity", "differences": differences, "rows": rows}))


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=600), connector=aiohttp.TCPConnector(limit=0))


if __name__ == "__main__":
    main(sys.argv[1:])
