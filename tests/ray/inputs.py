"""Queries, a corpus and a run of made-up words, and the ranking of them that a reader can follow."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crossrank import storage
from crossrank.storage import files

WORDS = [f"w{number}" for number in range(60)]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Texts by id, and for each query the ids of its candidates, best first."""

    queries: dict[str, str]
    documents: dict[str, str]
    candidates: dict[str, list[str]]

    @classmethod
    def made(cls, num_queries: int, depth: int, num_documents: int = 80, seed: int = 1) -> Inputs:
        """Texts of random words; the same seed gives the same ones."""
        rng = random.Random(seed)
        queries = {f"q{n}": " ".join(rng.sample(WORDS, 6)) for n in range(num_queries)}
        documents = {f"d{n}": " ".join(rng.choices(WORDS, k=rng.randint(3, 30))) for n in range(num_documents)}
        return cls(queries, documents, {query: rng.sample(list(documents), depth) for query in queries})

    def write(self, folder: str) -> dict[str, str]:
        """Files in `folder`, a path or a URI, as the settings that name them."""
        names = {"queries": "queries.jsonl", "corpus": "corpus.jsonl", "candidates": "first.trec"}
        uris = {name: storage.join(folder, file) for name, file in names.items()}
        for name, texts in (("queries", self.queries), ("corpus", self.documents)):
            lines = [json.dumps({"_id": identifier, "text": text}) for identifier, text in texts.items()]
            storage.write_bytes(uris[name], "\n".join(lines).encode())
        run = [
            f"{query} Q0 {doc} {rank} {100.5 - rank} made-up\n"
            for query, docs in self.candidates.items()
            for rank, doc in enumerate(docs, start=1)
        ]
        storage.write_bytes(uris["candidates"], "".join(run).encode())
        return uris

    def write_groups(self, uri: str) -> None:
        """The same as groups that carry their texts."""
        lines = [
            json.dumps(
                {
                    "query_id": query,
                    "query": self.queries[query],
                    "docs": [{"doc_id": doc, "text": self.documents[doc]} for doc in docs],
                }
            )
            for query, docs in self.candidates.items()
        ]
        storage.write_bytes(uri, "\n".join(lines).encode())

    def ranked(self, top_n: int) -> list[tuple[str, list[tuple[str, float, int]]]]:
        """Query id and its documents as (id, shared words, initial rank), best first, equal ones by initial rank."""
        result = []
        for query, docs in self.candidates.items():
            words = set(self.queries[query].split())
            scored = [
                (doc, float(len(words & set(self.documents[doc].split()))), rank)
                for rank, doc in enumerate(docs, start=1)
            ]
            result.append((query, sorted(scored, key=lambda doc: (-doc[1], doc[2]))[:top_n]))
        return result


def read_output(uri: str) -> pa.Table:
    """The output folder as any Parquet reader takes it, one table, by row."""
    filesystem, path = files.filesystem(uri)
    return pq.read_table(path, filesystem=filesystem).sort_by("row")


def ranked_of(table: pa.Table) -> list[tuple[str, list[tuple[str, float, int]]]]:
    """What `Inputs.ranked` gives, from an output."""
    return [
        (row["query_id"], [(doc["doc_id"], doc["score"], doc["initial_rank"]) for doc in row["docs"]])
        for row in table.to_pylist()
    ]


def part_files(output: str) -> dict[str, bytes]:
    """Content of each file of an output that is a result, by name."""
    files = storage.list_files(output, suffix=".parquet")
    return {file.uri.rsplit("/", 1)[1]: storage.read_bytes(file.uri) for file in files}


def settings_of(uris: dict[str, str], output: Any, **more: Any) -> dict[str, Any]:
    """Keywords of `RerankSettings` for a stand-in."""
    return {"model": "stand-in", "output": str(output), **uris, **more}
