"""How close a translation job comes to the limit of a throttled service, and how often it is refused.

    python benchmarks/translate_rate.py                 # 200 requests/s, 1 worker and 4: 3 minutes

The service is the Amazon Translate server of the tests, in a process of its own: a token bucket of `--burst` tokens
that fills at `--limit`, and a latency. The job is told no limit and has to find it. The share is of the requests that
the server translated, by its own log: over the whole job from the first to the last, in which the rate is first found
out, and over what came after the first ten seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import machine

from crossrank.telemetry.progress import say

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # tests/ is never installed
from tests.data import corpora  # noqa: E402
from tests.data.amazon_server import amazon_server  # noqa: E402

RISE_S = 10.0
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


def job(given: argparse.Namespace, workers: int, folder: Path) -> dict[str, Any]:
    """One job with so many workers, and what the server saw of it."""
    num_texts = int(given.limit * given.seconds)
    groups = corpora.write(folder, corpora.made(num_texts // 2, num_texts))
    flags = {"groups": groups, "source": "en", "target": "ko", "backend": "amazon", "workers": workers}
    flags |= {"concurrency": given.concurrency, "output": folder / "out", "memory": folder / "memory"}
    command = [sys.executable, "-m", "crossrank", "translate"]
    command += [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    server = {"rate": given.limit, "burst": given.burst, "latency_ms": given.latency_ms}
    with amazon_server(folder / "asked.jsonl", **server) as asked:
        env = os.environ | KEYS | {"AWS_ENDPOINT_URL_TRANSLATE": asked.endpoint}
        subprocess.run(command, env=env, check=True)
        requests = asked.requests
    translated = [request["at"] for request in requests if request["status"] == 200]
    translated = translated[1:]  # the first is asked for before Ray starts
    begin, end = translated[0], translated[-1]
    steady = [at for at in translated if at >= begin + RISE_S]
    refused = sum(request["status"] == 429 for request in requests)
    assert len(translated) == num_texts - 1, "each text once"
    return {
        "workers": workers,
        "texts": num_texts,
        "seconds": round(end - begin, 1),
        "share_of_limit": round(len(translated) / (end - begin) / given.limit, 4),
        "share_of_limit_after_10_s": round(len(steady) / (end - begin - RISE_S) / given.limit, 4),
        "refused_share": round(refused / len(requests), 5),
    }


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=200.0, help="requests a second")
    parser.add_argument("--burst", type=float, default=200.0, help="tokens of the bucket")
    parser.add_argument("--latency-ms", type=float, default=60.0)
    parser.add_argument("--seconds", type=float, default=60.0, help="of work at the limit")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    given = parser.parse_args(arguments)
    rows = []
    for workers in given.workers:
        say(f"{workers} workers")
        with tempfile.TemporaryDirectory() as folder:
            rows.append(job(given, workers, Path(folder)))
    told = machine() | {"limit": given.limit, "burst": given.burst, "latency_ms": given.latency_ms, "jobs": rows}
    for key, value in told.items():
        print(f"{key:34} {value}")
    print(json.dumps({"benchmark": "translate_rate", **told}))


if __name__ == "__main__":
    main(sys.argv[1:])
