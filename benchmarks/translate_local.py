"""Texts a second of `--backend seq2seq` against plain `generate` over unsorted batches of 8, equal weights.

    python benchmarks/translate_local.py                     # both shapes, minutes on 2 cores
    python benchmarks/translate_local.py --shapes marian --texts 64 --threads 1

Weights are random, so what is written says nothing and would never end: the length of every output is fixed, once to
that of its source, as translations are about as long as what they translate, and once to 32 tokens for all, which
leaves no row to end early. Each round runs both contenders in turn; the ratio is that of a round, and the median over
rounds is reported, so that a machine that is busy with something else slows both. Processor time is told beside the
clock, which says little where others compute too; with --threads 1 no thread spins in it. Outputs are compared text by
text.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from machine import WORK, machine
from texts import english, source
from translation_models import MAKERS

from crossrank.translation.backends import seq2seq_writing
from crossrank.translation.backends.seq2seq import Seq2SeqBackend
from crossrank.translation.backends.seq2seq_translator import Seq2SeqTranslator

PLAIN_BATCH = 8
SAME_LENGTH = 32


def some_texts(count: int) -> list[str]:
    """Queries and sentences, in no order."""
    queries, sentences = english()
    rng = random.Random("translate_local")
    return [rng.choice(queries if rng.random() < 0.25 else sentences) for _ in range(count)]


class FixedLengths:
    """Lets every row of `generate` end at its own length, and not before."""

    def __init__(self, lengths: list[int], begins: int, end: int) -> None:
        self.lengths, self.begins, self.end = torch.tensor(lengths), begins, end

    def __call__(self, tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        ended = self.lengths <= tokens.shape[1] - self.begins
        scores[~ended, self.end] = -torch.inf
        scores[ended] = -torch.inf
        scores[ended, self.end] = 0.0
        return scores


def plain(translator: Seq2SeqTranslator, texts: list[str], lengths: list[int]) -> list[str]:
    """As a model's card says: tokenizer, `generate`, decode, eight texts at a time in the order they come in."""
    from transformers import GenerationConfig, LogitsProcessorList

    model, tokenizer = translator.model, translator.reading.tokenizer
    prefix, config = translator.reading.direction.prefix, translator.model.config
    found: list[str] = []
    for start in range(0, len(texts), PLAIN_BATCH):
        batch, wanted = texts[start : start + PLAIN_BATCH], lengths[start : start + PLAIN_BATCH]
        with torch.inference_mode():
            output = model.generate(
                **tokenizer([prefix + text for text in batch], return_tensors="pt", padding=True),
                logits_processor=LogitsProcessorList([FixedLengths(wanted, 1, config.eos_token_id)]),
                generation_config=GenerationConfig(
                    max_new_tokens=max(wanted) + 1,
                    eos_token_id=config.eos_token_id,
                    pad_token_id=config.pad_token_id,
                    decoder_start_token_id=config.decoder_start_token_id,
                    suppress_tokens=[config.pad_token_id],
                ),
            )
        found += [text.strip() for text in tokenizer.batch_decode(output, skip_special_tokens=True)]
    return found


def ours(translator: Seq2SeqTranslator, texts: list[str], lengths: list[int]) -> list[str]:
    """The same by the back-end's own steps."""
    found = [""] * len(texts)
    for place, written in translator.write(translator.encode(texts), lengths, lengths):
        found[place] = translator.decode([written.tokens])[0]
    return found


def timed(run: Callable[[], list[str]]) -> tuple[float, float, list[str]]:
    """Seconds by the clock and of the processor, and what came of it."""
    started, processor = time.perf_counter(), time.process_time()
    found = run()
    return time.perf_counter() - started, time.process_time() - processor, found


def ratios(plain_s: list[float], ours_s: list[float]) -> list[float]:
    """How many times as fast, round by round."""
    return [slow / fast for slow, fast in zip(plain_s, ours_s, strict=True)]


def compare(shape: str, kind: str, texts: list[str], rounds: int) -> dict[str, Any]:
    """One row of the table."""
    translator = Seq2SeqBackend(str(MAKERS[shape](WORK)), "en", "ko", device="cpu").load()
    assert isinstance(translator, Seq2SeqTranslator)
    source_tokens = [len(ids) for ids in translator.encode(texts)]
    lengths = source_tokens if kind == "own" else [SAME_LENGTH] * len(texts)
    ours(translator, texts[:4], [4] * 4)
    plain(translator, texts[:4], [4] * 4)
    clock: dict[str, list[float]] = {"ours": [], "plain": []}
    processor: dict[str, list[float]] = {"ours": [], "plain": []}
    found: dict[str, list[str]] = {}
    for _ in range(rounds):
        for name, contender in (("plain", plain), ("ours", ours)):
            taken, computed, found[name] = timed(lambda contender=contender: contender(translator, texts, lengths))  # type: ignore[misc]
            clock[name].append(taken)
            processor[name].append(computed)
    times, processor_times = ratios(clock["plain"], clock["ours"]), ratios(processor["plain"], processor["ours"])
    return {
        "shape": shape,
        "output lengths": "as the source" if kind == "own" else f"{SAME_LENGTH} tokens",
        "texts": len(texts),
        "source tokens": f"{statistics.mean(source_tokens):.0f} (to {max(source_tokens)})",
        "plain texts/s": round(len(texts) / statistics.median(clock["plain"]), 2),
        "ours texts/s": round(len(texts) / statistics.median(clock["ours"]), 2),
        "times": round(statistics.median(times), 2),
        "least, most": f"{min(times):.2f}, {max(times):.2f}",
        "processor s, plain": round(statistics.median(processor["plain"]), 1),
        "ours": round(statistics.median(processor["ours"]), 1),
        "processor times": round(statistics.median(processor_times), 2),
        "equal": round(sum(map(str.__eq__, found["ours"], found["plain"])) / len(texts), 4),
        "different outputs": len(set(found["ours"])),
    }


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=list(MAKERS), choices=list(MAKERS))
    parser.add_argument("--lengths", nargs="+", default=["own", "same"], choices=["own", "same"])
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    seq2seq_writing.LOOP_EVERY = sys.maxsize  # random weights do repeat themselves
    texts = some_texts(given.texts)
    rows = []
    for shape in given.shapes:
        for kind in given.lengths:
            rows.append(compare(shape, kind, texts, given.rounds))
            print(rows[-1], file=sys.stderr, flush=True)
    for key, value in {**machine(), "threads": str(given.threads), "source of texts": source()}.items():
        print(f"{key:22} {value}")
    print("\n| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    print(json.dumps({"benchmark": "translate_local", "threads": given.threads, "rows": rows}))


if __name__ == "__main__":
    main(sys.argv[1:])
