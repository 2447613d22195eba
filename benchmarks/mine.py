"""Mining on real data: what is found, what is dropped, and whether the true passage is ever taken for a negative.

    python benchmarks/mine.py                                   # all three, with shared data beside the repository
    python benchmarks/mine.py --parts korquad recall

korquad: every question of KorQuAD is mined for in its 608 paragraphs and three copies of each under other ids: the same
         text, one with other white space and case, and one with a word in twelve changed. How many of the mined
         negatives are the paragraph that answers the question, by its text? What an edit has to change to be missed?
recall:  share of the questions whose paragraph is among the first 10, for BM25 by character bigrams and by morphemes
         (kiwipiepy), and of WikiQA's questions with an answer among the first 10 of all sentences, for BM25, for the
         embedded encoder (all-MiniLM-L6-v2), and for both fused.
dense:   passages encoded a second, and exact searches a second over made-up vectors.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from machine import DATA, machine
from numpy.typing import NDArray

from crossrank.demo.encoder import encoder_folder
from crossrank.formats.groups_parquet import read_groups
from crossrank.mining.job import mine
from crossrank.mining.near_duplicates import Fingerprint, containment, jaccard, text_hash
from crossrank.mining.settings import MineSettings
from crossrank.records import document_text
from crossrank.retrieval.analysis import analyser
from crossrank.retrieval.bm25 import Bm25Index
from crossrank.retrieval.dense import DenseIndex, Shard, search
from crossrank.retrieval.encoder import find_encoder
from crossrank.retrieval.fusion import reciprocal_ranks

PARTS = ("korquad", "recall", "dense")
FIRST = 10
EDITED = 12
"""One word in so many is changed in the third copy."""
SEED = 5


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--limit", type=int, help="questions of KorQuAD, in place of all")
    given = parser.parse_args(arguments)
    results: dict[str, dict[str, Any]] = {}
    if "korquad" in given.parts:
        results |= korquad(given.limit)
    if "recall" in given.parts:
        results |= recall()
    if "dense" in given.parts:
        results["dense"] = dense()
    for key, value in machine().items():
        print(f"{key:22} {value}")
    print(f"{'load average':22} {os.getloadavg()[0]:.1f}")
    for part, figures in results.items():
        print(f"\n{part}")
        for key, value in figures.items():
            print(f"  {key:44} {value}")


@dataclass(frozen=True)
class Korquad:
    """Paragraphs and questions, each with its one paragraph."""

    texts: dict[str, str]
    questions: dict[str, str]
    right: dict[str, str]

    @classmethod
    def read(cls) -> Korquad:
        folder = DATA / "korquad"
        corpus = [json.loads(line) for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
        queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
        judged = [line.split("\t") for line in (folder / "qrels.tsv").read_text().splitlines()[1:]]
        return cls(
            {row["_id"]: document_text(row["title"], row["text"]) for row in corpus},
            {row["_id"]: row["text"] for row in queries},
            {query_id: doc_id for query_id, doc_id, _ in judged},
        )


def edited(text: str, rng: random.Random, one_in: int) -> str:
    """A text with one word in so many left out, written backwards, or preceded by another."""
    words = []
    for word in text.split():
        if rng.random() * one_in < 1:
            word = rng.choice(["", word[::-1], f"그리고 {word}"])
        words.append(word)
    return " ".join(words)


def copies_of(texts: dict[str, str]) -> dict[str, str]:
    """Three of each text, under ids that say of which and how."""
    rng = random.Random(SEED)
    made = {f"{doc_id}-exact": text for doc_id, text in texts.items()}
    made |= {f"{doc_id}-laid-out": text.upper().replace(" ", " \n ") for doc_id, text in texts.items()}
    made |= {f"{doc_id}-edited": edited(text, rng, EDITED) for doc_id, text in texts.items()}
    return made


def korquad(limit: int | None) -> dict[str, dict[str, Any]]:
    """Mine with and without copies in the corpus, and look for the right paragraph among the negatives."""
    data = Korquad.read()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        groups = Path(folder) / "groups.jsonl"
        rows = [
            {"query_id": query_id, "query": text, "docs": [{"doc_id": data.right[query_id], "label": 1.0}]}
            for query_id, text in list(data.questions.items())[:limit]
        ]
        groups.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
        for name, texts in (("korquad", data.texts), ("korquad with copies", data.texts | copies_of(data.texts))):
            corpus = Path(folder) / f"{name}.jsonl"
            lines = [json.dumps({"_id": key, "text": text}, ensure_ascii=False) for key, text in texts.items()]
            corpus.write_text("\n".join(lines), encoding="utf-8")
            settings = MineSettings(groups=str(groups), corpus=str(corpus), output=f"{folder}/{name} out")
            started = time.monotonic()
            manifest = mine(settings)
            results[name] = _looked_at(settings, texts, data, manifest) | {
                "seconds": round(time.monotonic() - started, 1)
            }
    results["an edit that is missed"] = _missed(data)
    return results


def _looked_at(
    settings: MineSettings, texts: dict[str, str], data: Korquad, manifest: dict[str, Any]
) -> dict[str, Any]:
    """Count the negatives that are the right paragraph: by the id it was copied from, and by its text."""
    by_copy, num_negatives, by_text = Counter[str](), 0, 0
    for _, group in read_groups(settings.output, _refuse):
        right = data.right[group.query_id]
        letters = text_hash(data.texts[right])
        for doc in group.docs[1:]:
            num_negatives += 1
            by_text += text_hash(texts[doc.doc_id]) == letters
            source, _, kind = doc.doc_id.partition("-")
            if source == right:
                by_copy[kind or "itself"] += 1
    dropped: Counter[str] = Counter()
    for path in Path(settings.output).glob("_dropped/*.parquet"):
        for row in pq.read_table(path, columns=["query_id", "doc_id", "reason"]).to_pylist():
            source, _, kind = row["doc_id"].partition("-")
            whose = "copy of the right one" if kind and source == data.right[row["query_id"]] else "other"
            dropped[f"{row['reason']}, {kind or 'original'}, {whose}"] += 1
    return {
        "groups": manifest["rows"]["out"],
        "negatives": num_negatives,
        "that are a copy of the right paragraph, by kind": dict(by_copy) or 0,
        "that have its text": by_text,
        "share": (by_copy.total() + by_text) / num_negatives,
        "recall@10 of the paragraph itself, BM25": manifest["recall_at_10"]["bm25"],
        **{f"dropped: {what}": count for what, count in sorted(dropped.items())},
    }


def _refuse(row: object) -> None:
    raise AssertionError(f"mining wrote what is no group: {row}")


def _missed(data: Korquad) -> dict[str, Any]:
    """Share of edited paragraphs that the filters do not know again, by how much was edited; and the likest others."""
    alike = MineSettings(groups="g", corpus="c", output="o").alike
    found: dict[str, Any] = {}
    prints = {doc_id: Fingerprint.of(text) for doc_id, text in data.texts.items()}
    for one_in in (4, 6, 8, 12, 20, 40):
        rng = random.Random(SEED)
        missed = sum(
            alike.find(Fingerprint.of(edited(text, rng, one_in)), [(doc_id, prints[doc_id])]) is None
            for doc_id, text in data.texts.items()
        )
        found[f"one word in {one_in} changed: not known again"] = f"{missed / len(prints):.4f}"
    several = list(prints.values())
    pairs = [(one, other) for place, one in enumerate(several) for other in several[:place]]
    shared = [pair for pair in pairs if not pair[0].shingles.isdisjoint(pair[1].shingles)]
    likeness = sorted(max(jaccard(*pair) / alike.jaccard, containment(*pair) / alike.containment) for pair in shared)
    over = sum(value >= 1 for value in likeness)
    found["pairs of different paragraphs that count as copies"] = f"{over} of {len(pairs):,}"
    found["the likest pair under that, as a share of the limit"] = f"{max(v for v in likeness if v < 1):.2f}"
    return found


def recall() -> dict[str, dict[str, Any]]:
    """Recall of each first stage."""
    data = Korquad.read()
    texts = list(data.texts.values())
    row_of = {doc_id: row for row, doc_id in enumerate(data.texts)}
    wanted = [{row_of[data.right[query_id]]} for query_id in data.questions]
    results: dict[str, dict[str, Any]] = {"recall@10 on KorQuAD": {}}
    for name, language in (("character bigrams", "ko"), ("kiwipiepy", "ko-kiwi")):
        started = time.monotonic()
        index = Bm25Index.build(texts, analyser(language), num_documents=len(texts))
        built = time.monotonic() - started
        hits = index.search(list(data.questions.values()), FIRST)
        searched = time.monotonic() - started - built
        told = (
            f"{_recall([rows for rows, _ in hits], wanted):.4f}, built in {built:.1f} s, searched in {searched:.1f} s"
        )
        results["recall@10 on KorQuAD"][f"BM25, {name}"] = told
    results["recall@10 on WikiQA"] = _wikiqa()
    return results


def _recall(found: Sequence[NDArray[np.int32]], wanted: Sequence[set[int]]) -> float:
    hits = [not some.isdisjoint(rows[:FIRST].tolist()) for rows, some in zip(found, wanted, strict=True)]
    return sum(hits) / len(hits)


def _wikiqa() -> dict[str, Any]:
    """All sentences of all questions are one corpus."""
    rows = [json.loads(line) for line in (DATA / "wikiqa" / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    places: dict[str, int] = {}
    for row in rows:
        for text in (*row["pos"], *row["neg"]):
            places.setdefault(text, len(places))
    texts, queries = list(places), [row["query"] for row in rows]
    wanted = [{places[text] for text in row["pos"]} for row in rows]
    bm25 = Bm25Index.build(texts, analyser("en"), num_documents=len(texts)).search(queries, 100)
    encoder = find_encoder(str(encoder_folder())).on("cpu").load(None)
    started = time.monotonic()
    shard = Shard(0, encoder.passages(texts), np.ones(len(texts), dtype=bool))
    encoded = time.monotonic() - started
    vectors = DenseIndex(encoder, [shard]).search(queries, 100)
    fused = [reciprocal_ranks([one, other])[0] for (one, _), (other, _) in zip(bm25, vectors, strict=True)]
    return {
        "questions, sentences": f"{len(queries)}, {len(texts)}",
        "BM25, English stems": f"{_recall([found for found, _ in bm25], wanted):.4f}",
        "all-MiniLM-L6-v2": f"{_recall([found for found, _ in vectors], wanted):.4f}",
        "both, reciprocal rank fusion": f"{_recall(fused, wanted):.4f}",
        "sentences encoded a second": f"{len(texts) / encoded:.0f}",
    }


def dense() -> dict[str, Any]:
    """Exact search over vectors like those of a small encoder."""
    draw = np.random.default_rng(SEED)
    vectors = draw.normal(size=(100 * 4096, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    usable = np.ones(4096, dtype=bool)
    shards = [Shard(start, vectors[start : start + 4096], usable) for start in range(0, len(vectors), 4096)]
    found: dict[str, Any] = {"passages, dimensions": f"{len(vectors):,}, {vectors.shape[1]}"}
    for num_queries in (1, 32, 256):
        queries = vectors[:num_queries] + 0.1 * draw.normal(size=(num_queries, 384)).astype(np.float32)
        started = time.monotonic()
        hits = search(queries, shards, 100)
        seconds = time.monotonic() - started
        assert [int(rows[0]) for rows, _ in hits] == list(range(num_queries))
        found[f"{num_queries} queries at once, depth 100"] = f"{num_queries / seconds:,.1f} queries/s"
        started = time.monotonic()
        for shard in shards:
            _ = queries @ shard.vectors_SW.T
        found[f"{num_queries} queries, the products alone"] = (
            f"{num_queries / (time.monotonic() - started):,.1f} queries/s"
        )
    return found


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
