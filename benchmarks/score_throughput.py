"""Pairs a second of `Reranker.score` against `sentence_transformers.CrossEncoder.predict`: same pairs, same weights.

    python benchmarks/score_throughput.py                # both models, minutes on 2 cores
    python benchmarks/score_throughput.py --models minilm --rounds 5

Each round runs every contender once, in turn, so that a machine that slows down slows all of them; the figure is the
median over rounds. Scores are compared as well: a faster wrong answer is none.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import WORK, machine
from models import minilm, xlmr_base
from texts import english, korean, source

from crossrank import Reranker

Pairs = list[tuple[str, str]]
PEER_BATCH_SIZES = (4, 8, 16, 32)
"""32 is the peer's default; the others are where its best was found."""
PAIRS = {
    **{("minilm", lengths): 480 if lengths == "short" else 160 for lengths in ("short", "mixed", "long")},
    **{("xlmr-base", lengths): 128 for lengths in ("short", "mixed", "long")},
}
"""At least four batches of the peer's default, so that it can sort by length as it does; seconds a contender."""


def pairs_of(kind: str, lengths: str, count: int) -> Pairs:
    """Pairs whose documents have so many sentences: short 1, long 12 to 16, mixed anything between.

    English for MiniLM, Korean for XLM-R.
    """
    queries, sentences = english() if kind == "minilm" else korean()
    rng = random.Random(f"{kind} {lengths}")
    choices = {"short": [1], "long": [12, 14, 16], "mixed": [1, 1, 2, 3, 4, 6, 9, 14]}[lengths]
    return [(rng.choice(queries), " ".join(rng.sample(sentences, rng.choice(choices)))) for _ in range(count)]


def measure(
    contenders: dict[str, Callable[[], np.ndarray[Any, Any]]], rounds: int
) -> tuple[dict[str, float], dict[str, np.ndarray[Any, Any]]]:
    """Median seconds of each contender, and its scores."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    scores = {}
    for _ in range(rounds):
        for name, run in contenders.items():
            started = time.perf_counter()
            scores[name] = run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}, scores


def compare(folder: Path, pairs: Pairs, rounds: int) -> dict[str, Any]:
    """One row of the table."""
    from sentence_transformers import CrossEncoder

    reranker = Reranker.load(str(folder), device="cpu")
    peer = CrossEncoder(str(folder), device="cpu", max_length=512)

    def predict(batch_size: int) -> Callable[[], np.ndarray[Any, Any]]:
        return lambda: peer.predict(pairs, batch_size=batch_size, activation_fn=torch.nn.Identity())

    contenders = {"crossrank": lambda: reranker.score(pairs)}
    contenders |= {f"peer {size}": predict(size) for size in PEER_BATCH_SIZES}
    reranker.score(pairs[:16])
    peer.predict(pairs[:16])
    seconds, scores = measure(contenders, rounds)
    rate = {name: len(pairs) / value for name, value in seconds.items()}
    best = max(PEER_BATCH_SIZES, key=lambda size: rate[f"peer {size}"])
    difference = np.abs(scores["crossrank"] - scores["peer 32"]) / np.maximum(1, np.abs(scores["peer 32"]))
    tokenizer = reranker._scorer.encoder.tokenizer.hf
    tokens = np.mean([len(tokenizer(*pair, truncation="only_second", max_length=512)["input_ids"]) for pair in pairs])
    return {
        "tokens_per_pair": round(float(tokens), 1),
        "crossrank": round(rate["crossrank"], 2),
        "peer_default": round(rate["peer 32"], 2),
        "peer_best": round(rate[f"peer {best}"], 2),
        "peer_best_batch_size": best,
        "times_default": round(rate["crossrank"] / rate["peer 32"], 3),
        "times_best": round(rate["crossrank"] / rate[f"peer {best}"], 3),
        "largest_difference": float(difference.max()),
    }


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["minilm", "xlmr-base"])
    parser.add_argument("--lengths", nargs="+", default=["short", "mixed", "long"])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    makers = {"minilm": minilm, "xlmr-base": xlmr_base}
    rows: list[dict[str, Any]] = []
    for name in given.models:
        folder = makers[name](WORK)
        for lengths in given.lengths:
            num_pairs = PAIRS[name, lengths]
            row = compare(folder, pairs_of(name, lengths, num_pairs), given.rounds)
            rows.append({"model": name, "lengths": lengths, "pairs": num_pairs, **row})
            print({key: rows[-1][key] for key in ("model", "lengths", "times_default", "times_best")}, file=sys.stderr)
    for key, value in {**machine(), "texts": source()}.items():
        print(f"{key:22} {value}")
    print("\n| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print(
            "| "
            + " | ".join(f"{value:.2g}" if key == "largest_difference" else f"{value}" for key, value in row.items())
            + " |"
        )
    print(json.dumps({"benchmark": "score_throughput", "rows": rows}))


if __name__ == "__main__":
    main(sys.argv[1:])
