"""`crossrank demo`: fit a small reranker, run the rerank job with it, and show what it changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from crossrank import storage
from crossrank.demo.sample import FOLDER, Sample, read_sample
from crossrank.formats.trec import read_run
from crossrank.once import made_once
from crossrank.progress import say
from crossrank.records import Rejected
from crossrank.reranking.job import rerank
from crossrank.reranking.settings import RerankSettings
from crossrank.retrieval.analysis import analyser
from crossrank.retrieval.bm25 import Bm25Index
from crossrank.settings import option

LANGUAGE = "en"
DEPTH = 50
SHOWN = 3
"""Example queries that are shown before and after."""

Run = dict[str, dict[str, float]]
"""Scores of documents by query."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoSettings:
    """Where the demo puts its results."""

    output: str = option("demo-output", help="Folder for the result; it is overwritten.")
    seed: int = option(13, help="Seed of the fitted reranker.")


def demo(settings: DemoSettings) -> dict[str, dict[str, float]]:
    """Fit a small reranker on the sample that ships with crossrank, rerank its other half, and show the difference.

    Everything is the real thing but the size: BM25, the rerank job on a local Ray, the measures of ir_measures.
    Minutes on two cores; the fitted model is kept and taken again the next time.
    """
    train, test = read_sample(LANGUAGE, "train"), read_sample(LANGUAGE, "test")
    say(
        f"the sample: {len(test.documents)} passages; {len(train.queries)} questions to fit on, "
        f"and {len(test.queries)} about other passages to measure with"
    )
    index = Bm25Index.build(test.documents.values(), analyser(LANGUAGE), num_documents=len(test.documents))
    model = _fitted_model(train, index, settings.seed)
    folder = Path(settings.output)
    queries_file = _write_test_queries(test, folder)
    run_file = folder / "reranked.trec"
    rerank(
        RerankSettings(
            model=str(model),
            queries=str(queries_file),
            corpus=str(FOLDER / LANGUAGE / "corpus.jsonl"),
            language=LANGUAGE,
            depth=DEPTH,
            top_n=0,
            with_text=True,
            output=str(folder / "reranked"),
            run=str(run_file),
            overwrite=True,
            gpus_per_worker=0.0,
        )
    )
    runs = {
        "BM25": _bm25_run(test, index),
        "BM25 + untouched encoder (cosine)": _cosine_run(test, index),
        "BM25 + fitted reranker": _read_run(str(run_file)),
    }
    table = {name: _measured(test, run) for name, run in runs.items()}
    print(_report(table, runs["BM25"], runs["BM25 + fitted reranker"], test, folder, model))
    return table


def _fitted_model(train: Sample, index: Bm25Index, seed: int) -> Path:
    """The fitted reranker, from the cache if the same code fitted it on the same sample before."""
    from crossrank.demo import fit

    key = hashlib.sha256(repr((Path(fit.__file__).read_bytes(), train, seed)).encode()).hexdigest()[:16]
    folder = storage.cache_folder() / "demo" / key
    if folder.exists():
        say(f"the reranker was fitted before: {folder}")
        return folder
    say(f"fitting a reranker on {len(train.queries)} questions")
    made_once(folder, lambda new: fit.fit(train, index, new, seed, say))
    return folder


def _write_test_queries(test: Sample, folder: Path) -> Path:
    from crossrank.formats.lines import json_line, writing_lines

    path = folder / "queries.jsonl"
    with writing_lines(str(path)) as write:
        for query_id, text in test.queries.items():
            write(json_line({"_id": query_id, "text": text}))
    return path


def _bm25_run(test: Sample, index: Bm25Index) -> Run:
    doc_ids = list(test.documents)
    hits = index.search(list(test.queries.values()), DEPTH)
    return {
        query_id: {doc_ids[row]: float(score) for row, score in zip(rows, scores, strict=True)}
        for query_id, (rows, scores) in zip(test.queries, hits, strict=True)
    }


def _cosine_run(test: Sample, index: Bm25Index) -> Run:
    from crossrank.demo.fit import cosine_scores

    cosine = cosine_scores(list(test.queries.values()), list(test.documents.values()))
    places = {doc_id: place for place, doc_id in enumerate(test.documents)}
    return {
        query_id: {doc_id: float(cosine[row][places[doc_id]]) for doc_id in candidates}
        for row, (query_id, candidates) in enumerate(_bm25_run(test, index).items())
    }


def _read_run(path: str) -> Run:
    run: Run = {}

    def reject(row: Rejected) -> None:
        raise AssertionError(f"our own run has a bad line: {row}")

    for line in read_run(path, reject):
        run.setdefault(line.query_id, {})[line.doc_id] = line.score
    return run


def _measured(test: Sample, run: Run) -> dict[str, float]:
    """Means over all test questions; one that a run lacks counts 0."""
    import ir_measures
    from ir_measures import RR, Success, nDCG

    qrels = [ir_measures.Qrel(query_id, doc_id, 1) for query_id, doc_id in test.relevant.items()]
    scored = [
        ir_measures.ScoredDoc(query_id, doc_id, score)
        for query_id, documents in run.items()
        for doc_id, score in documents.items()
    ]
    measures = [Success @ 3, RR @ 10, nDCG @ 10]
    found = ir_measures.calc_aggregate(measures, qrels, scored)
    names = {"Success@3": Success @ 3, "MRR@10": RR @ 10, "nDCG@10": nDCG @ 10}
    return {name: found[measure] for name, measure in names.items()}


def _report(
    table: dict[str, dict[str, float]], before: Run, after: Run, test: Sample, folder: Path, model: Path
) -> str:
    lines = [""]
    columns = list(next(iter(table.values())))
    width = max(map(len, table))
    lines.append(f"{'':{width}}  " + "  ".join(f"{column:>9}" for column in columns))
    lines += [
        f"{name:{width}}  " + "  ".join(f"{row[column]:>9.3f}" for column in columns) for name, row in table.items()
    ]
    found = sum(test.relevant[query_id] in before[query_id] for query_id in before) / len(before)
    lines += [
        "",
        f"Measured on {len(test.queries)} questions about passages that the fit never saw. BM25 lists the answer",
        f"for {found:.0%} of them, since most share hardly a word with their passage; no reranker gets past that.",
        _verdict(table, len(test.queries)),
        "",
    ]
    for query_id in _examples(before, after, test):
        lines.append(f'"{test.queries[query_id]}"')
        for name, run in (("BM25", before), ("reranked", after)):
            best = max(run[query_id], key=lambda doc_id: run[query_id][doc_id])
            place = _rank(run, query_id, test.relevant[query_id])
            lines.append(f"    {name:9} first: {test.documents[best][:66]}...  (the answer is at {place})")
        lines.append("")
    lines += [
        f"The ranked documents: {folder / 'reranked'} (Parquet), {folder / 'reranked.trec'} (TREC run).",
        f"The fitted model, for a --model of your own: {model}",
    ]
    return "\n".join(lines)


def _verdict(table: dict[str, dict[str, float]], num_questions: int) -> str:
    """What the table says of the fitted reranker, where the eye would rather see more."""
    *_, cosine, fitted = (row["MRR@10"] for row in table.values())
    if fitted > cosine:
        return "The fitted reranker is ahead of the encoder it was made from."
    return (
        "The fitted reranker is not ahead of the encoder it was made from: a few minutes of fitting on 192 questions\n"
        f"show that the chain works, and {num_questions} questions cannot tell so small a difference from chance."
    )


def _examples(before: Run, after: Run, test: Sample) -> list[str]:
    """The first question that got better, the first that got worse, and the first that stayed, where there are some."""

    def change(query_id: str) -> int:
        old, new = (_rank(run, query_id, test.relevant[query_id]) for run in (before, after))
        return (new > old) - (new < old)

    changes = {query_id: change(query_id) for query_id in before if before[query_id] and query_id in after}
    firsts = [next((query_id for query_id, sign in changes.items() if sign == wanted), None) for wanted in (-1, 1, 0)]
    chosen = [query_id for query_id in firsts if query_id is not None]
    return (chosen + [query_id for query_id in changes if query_id not in chosen])[:SHOWN]


def _rank(run: Run, query_id: str, doc_id: str) -> int:
    """Rank of a document, from 1; one past the end when the run lacks it."""
    ranked = sorted(run[query_id], key=lambda each: -run[query_id][each])
    return ranked.index(doc_id) + 1 if doc_id in ranked else len(ranked) + 1
