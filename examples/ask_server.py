"""Ask a running server from Python, with only requests.

python examples/ask_server.py [URL]        # http://localhost:8000 by itself; a key in CROSSRANK_KEY
"""

from __future__ import annotations

import os
import sys
import time

import requests

TRIES = 5
QUERY = "how often should I wash the filter?"
DOCUMENTS = [
    "How often the robot cleans is set in the app.",
    "The battery has a warranty of two years.",
    "Rinse the dust filter under cold water once a week.",
]


def rerank(url: str, query: str, documents: list[str], top_n: int | None = None) -> list[tuple[int, float]]:
    """The place of each document in `documents` with its probability, best first."""
    body = {"query": query, "documents": documents, "top_n": top_n}
    headers = {"Authorization": f"Bearer {os.environ.get('CROSSRANK_KEY', 'none')}"}
    for left in reversed(range(TRIES)):
        answer = requests.post(f"{url}/v2/rerank", json=body, headers=headers, timeout=60)
        # 429: too much is waiting to be answered in time; 503: a new version is starting. Both say when to come back.
        if answer.status_code not in (429, 503) or not left:
            break
        time.sleep(float(answer.headers.get("Retry-After", 1)))
    if not answer.ok:
        raise SystemExit(f"{answer.status_code}: {answer.text}")
    return [(found["index"], found["relevance_score"]) for found in answer.json()["results"]]


if __name__ == "__main__":
    for place, probability in rerank(sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8000", QUERY, DOCUMENTS):
        print(f"{probability:.3f}  {DOCUMENTS[place]}")
