"""Training at scale: what half a million groups cost a rank before its first step, once they are converted.

    python benchmarks/train_scale.py                            # both parts, about ten minutes on 2 cores
    python benchmarks/train_scale.py --parts ids --groups 50000

ids:   500,000 groups that name 8 of 100,000 passages each; the passages are in a corpus, tokenised once.
texts: 50,000 groups that bring the texts of their 8 documents.

One process converts groups, corpus and tokens. Then fresh ones, first with cold and then with warm files, measure the
seconds to open them, what that adds to their memory, and the micro-batches of the first 10 steps of 128 groups. The
goal is under 5 s and under 500 MB. Resident memory holds the pages of mapped files that were read, which the ranks of a
machine share and the system takes back when it needs them; anonymous memory is a rank's own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from machine import machine

from crossrank.corpus.source import CorpusSource
from crossrank.formats.group_files import fingerprint_of_groups
from crossrank.training.groups import GroupSource

NUM_DOCUMENTS = 8
NUM_PASSAGES = 100_000
GROUPS_PER_STEP = 128
NUM_STEPS = 10
MAX_LENGTH = 128
BUDGET = 8_192
"""Token slots of a micro-batch."""
WORDS = 5_000


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["ids", "texts"], choices=["ids", "texts"])
    parser.add_argument("--groups", type=int, help="groups of each part, in place of its own number")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.measure:
        print(json.dumps(_measure(json.loads(given.measure))))
        return
    results = {part: _part(part, given.groups or {"ids": 500_000, "texts": 50_000}[part]) for part in given.parts}
    for key, value in machine().items():
        print(f"{key:22} {value}")
    print(f"{'load average':22} {os.getloadavg()[0]:.1f}")
    for part, figures in results.items():
        print(f"\n{part}")
        for key, value in figures.items():
            print(f"    {key:42} {value}")
    print(json.dumps({"benchmark": "train_scale", **results}))


def _part(part: str, num_groups: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        request = _write(folder, part, num_groups)
        environment = os.environ | {"CROSSRANK_CACHE": str(folder / "cache")}

        def fresh() -> dict[str, Any]:
            command = [sys.executable, __file__, "--measure", json.dumps(request)]
            said = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
            found: dict[str, Any] = json.loads(said.splitlines()[-1])
            return found

        first = fresh()
        files = [file for file in (folder / "cache").rglob("*") if file.is_file()]
        _drop_from_memory(files)
        cold, warm = fresh(), fresh()
        return {
            "groups": num_groups,
            "documents": num_groups * NUM_DOCUMENTS,
            "groups_file_mb": round(Path(request["groups"]).stat().st_size / 1e6),
            "converted_mb": round(sum(file.stat().st_size for file in files) / 1e6),
            "seconds_to_convert": first["seconds_to_open"],
            "seconds_to_open_cold": cold["seconds_to_open"],
            "seconds_to_open_warm": warm["seconds_to_open"],
            **{name: warm[name] for name in warm if name != "seconds_to_open"},
        }


def _measure(request: dict[str, Any]) -> dict[str, Any]:
    """One rank: from nothing to the micro-batches of its first steps."""
    from crossrank.scoring.encoding import SpliceEncoder
    from crossrank.training.sampler import Sampler
    from crossrank.training.steps import Batcher

    source = _source(request)
    encoder = SpliceEncoder(_tokenizer(), MAX_LENGTH, "words")
    before = _memory()
    _forget_peak()
    started = time.perf_counter()
    store = source.open()
    batcher = Batcher(store, encoder, Sampler(len(store), GROUPS_PER_STEP, 42), NUM_DOCUMENTS, BUDGET, "padded")
    opened = time.perf_counter()
    after_opening = _memory()
    seconds, pairs = [], 0
    for step in range(NUM_STEPS):
        began = time.perf_counter()
        pairs += sum(len(batch.ids_P) for batch in batcher.micro_batches(step))
        seconds.append(time.perf_counter() - began)
    peak = _peak()
    assert pairs == NUM_STEPS * GROUPS_PER_STEP * NUM_DOCUMENTS, "nothing was set aside"
    after_steps = _memory()
    return {
        "seconds_to_open": round(opened - started, 2),
        **{f"{kind}_mb_to_open": round((after_opening[kind] - before[kind]) / 1e6) for kind in before},
        **{f"{kind}_mb_after_{NUM_STEPS}_steps": round((after_steps[kind] - before[kind]) / 1e6) for kind in before},
        "resident_mb_at_most": round((peak - before["resident"]) / 1e6),
        "seconds_of_the_first_step": round(seconds[0], 3),
        "seconds_of_another_step": round(sum(seconds[1:]) / len(seconds[1:]), 3),
    }


def _memory() -> dict[str, int]:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    found = {name: int(size.split()[0]) * 1024 for name, size in (line.split(":") for line in lines)}
    return {"resident": found["Rss"], "anonymous": found["Anonymous"]}


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """The most that was resident since `_forget_peak`, which a temporary array may have been a part of."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _tokenizer() -> Any:
    """A token a word; what is measured is how texts and ids are found, not how they are split."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    from crossrank.scoring.encoding import Tokenizer

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: number for number, word in enumerate([*special, *_words(random.Random(0))])}
    backend = Backend(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return Tokenizer(
        PreTrainedTokenizerFast(
            tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
        )
    )


def _source(request: dict[str, Any]) -> GroupSource:
    corpus = request["corpus"]
    return GroupSource(
        request["groups"],
        request["groups_fingerprint"],
        "train",
        CorpusSource(corpus, request["corpus_fingerprint"]) if corpus else None,
    )


def _write(folder: Path, part: str, num_groups: int) -> dict[str, Any]:
    """Groups, and their corpus where they name it: what `_measure` is asked with."""
    rng = random.Random(1)
    words = _words(random.Random(0))
    groups, corpus = folder / "groups.jsonl", folder / "corpus.jsonl"
    with open(groups, "w") as lines:
        for number in range(num_groups):
            query = " ".join(rng.choices(words, k=8))
            docs = ", ".join(_by_id(rng) if part == "ids" else _with_text(rng, words))
            print(f'{{"query_id": "q{number}", "query": "{query}", "docs": [{docs}]}}', file=lines)
    request: dict[str, Any] = {
        "groups": str(groups),
        "groups_fingerprint": fingerprint_of_groups(str(groups)),
        "corpus": None,
    }
    if part == "ids":
        with open(corpus, "w") as lines:
            for number in range(NUM_PASSAGES):
                print(json.dumps({"_id": f"d{number}", "text": " ".join(rng.choices(words, k=75))}), file=lines)
        request |= {"corpus": str(corpus), "corpus_fingerprint": CorpusSource.fingerprint_of(str(corpus))}
    return request


def _by_id(rng: random.Random) -> Iterator[str]:
    for place, passage in enumerate(rng.sample(range(NUM_PASSAGES), NUM_DOCUMENTS)):
        yield f'{{"doc_id": "d{passage}", "label": {int(place == 0)}}}'


def _with_text(rng: random.Random, words: list[str]) -> Iterator[str]:
    for place in range(NUM_DOCUMENTS):
        text = " ".join(rng.choices(words, k=75))
        yield f'{{"doc_id": "d{place}", "label": {int(place == 0)}, "text": "{text}"}}'


def _words(rng: random.Random) -> list[str]:
    made = {"".join(rng.choices("abcdefghij", k=rng.randint(2, 9))) for _ in range(WORDS)}
    return sorted(made)


def _drop_from_memory(files: list[Path]) -> None:
    """Take files out of the page cache, as they are on a machine that was just started."""
    for file in files:
        with open(file, "rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main(sys.argv[1:])
