"""`crossrank evaluate`, from settings to a report.

Each stage is gone on with: the candidates are written once, each model is a rerank job of its own, and measuring what
they gave takes seconds.
"""

from __future__ import annotations

import random
import time
from dataclasses import asdict, replace
from typing import Any

from crossrank import storage
from crossrank.corpus.store import TextStore
from crossrank.evaluation.candidates import Written, corpus_of, fingerprints, read_candidates, write_candidates
from crossrank.evaluation.question_csv import beir_of
from crossrank.evaluation.report import write_report
from crossrank.evaluation.rows import Row, first_stage_row, model_row, rerank_with, run_of
from crossrank.evaluation.server import ServerSpec, is_url
from crossrank.evaluation.settings import NO_RERANKER, EvaluateSettings
from crossrank.evaluation.table import results_of
from crossrank.evaluation.timing import Query, percentiles_ms
from crossrank.formats import trec
from crossrank.formats.lines import writing_lines
from crossrank.outputs import alone, earlier_run, manifest_of, read_json, refuse_other_settings, write_json
from crossrank.progress import Waiting, say
from crossrank.provenance import provenance
from crossrank.records import document_text
from crossrank.reranking.layout import rejected_file
from crossrank.scoring.loading import check_model, find_model
from crossrank.scoring.spec import RerankerSpec, ScorerSpec
from crossrank.settings import that_change_rows

KIND = "evaluate"
FORMAT = 1
CANDIDATES = "_candidates"
RESULTS = "results.json"


def evaluate(settings: EvaluateSettings) -> dict[str, Any]:
    """Compare rerankers, and what there is without one, on judged queries.

    Writes report.html, report.md, results.json and a TREC run of every row. Run the same command again after a kill
    and it goes on; give more --models and only those are scored.
    """
    started = time.time()
    say(str(provenance()))
    output = storage.absolute(settings.output)
    models = settings.named_models()
    with Waiting("looking at the models and the inputs"):
        for name, model in models.items():
            _check(name, model, settings)
        identity = {"format": FORMAT, "settings": _that_decide(settings), "inputs": fingerprints(settings)}
    before = earlier_run(output, KIND)
    if before is not None and not settings.overwrite:
        refuse_other_settings(output, before["identity"], identity)
    manifest = {
        "kind": KIND,
        "state": "running",
        "crossrank": asdict(provenance()),
        "settings": asdict(settings),
        "identity": identity,
        "started": started,
    }
    if before is None:
        write_json(manifest_of(output), manifest)
    with alone(output):
        if before is not None and settings.overwrite:
            for name in (CANDIDATES, "_rows", "_timing", "runs"):
                storage.delete(storage.join(output, name))
        return _run(settings, models, output, manifest)


def _that_decide(settings: EvaluateSettings) -> dict[str, Any]:
    """What has to be the same when a report is gone on with. Models may be added, and files may have moved."""
    free = {"models", "groups", "queries", "corpus", "qrels", "candidates", "eval_csv", "timeout_s", "timed_queries"}
    return {name: value for name, value in that_change_rows(settings).items() if name not in free}


def _check(name: str, model: str, settings: EvaluateSettings) -> None:
    if is_url(model):
        ServerSpec(name, model, settings.timeout_s).check()
    else:
        check_model(find_model(model))


def _run(settings: EvaluateSettings, models: dict[str, str], output: str, manifest: dict[str, Any]) -> dict[str, Any]:
    written, settings = _candidates(settings, output)
    say(f"{written.queries:,} judged queries; first stage: {written.first_stage}")
    measures = [f"success@{settings.contexts}", "mrr@10", "ndcg@10", "recall@10", "map"]
    manifests = {name: rerank_with(settings, name, model, written, output) for name, model in models.items()}
    timings = {name: _timing(settings, name, model, written, output) for name, model in models.items()}
    with Waiting("measuring"):
        rows = [first_stage_row(NO_RERANKER, written, measures)] if written.has_order else []
        rows += [model_row(name, model, written, output, manifests[name], measures) for name, model in models.items()]
        facts = [facts for _, facts in read_candidates(written)]
        results = results_of(rows, facts, measures, settings.resamples, settings.seed)
    results |= {"contexts": settings.contexts, "first_stage": written.first_stage, "set_aside": written.set_aside}
    results["has_order"] = written.has_order
    results["crossrank"] = asdict(provenance())
    results["injected"] = _num_injected(written)
    for about in results["rows"]:
        about |= timings.get(about["name"], {})
    if written.has_order:
        _write_first_run(written, run_of(output, NO_RERANKER))
    write_json(storage.join(output, RESULTS), results)
    source = corpus_of(settings)
    write_report(results, rows, written, output, source.open() if source else None)
    manifest |= {"state": "finished", "finished": time.time(), "candidates": asdict(written)}
    write_json(manifest_of(output), manifest)
    _say(results, rows, output)
    return results


def _candidates(settings: EvaluateSettings, output: str) -> tuple[Written, EvaluateSettings]:
    """The candidates, written now if they are not there yet, and the settings with the CSV as what it became."""
    folder = storage.join(output, CANDIDATES)
    note = storage.join(folder, "written.json")
    is_there = storage.exists(note)
    with rejected_file(storage.join(output, "_rejected", "rejected.parquet")) as reject:
        if settings.eval_csv is not None:
            of_csv = storage.join(folder, "csv")
            if not is_there:
                beir_of(storage.absolute(settings.eval_csv), of_csv, reject)
            settings = replace(settings, eval_csv=None, queries=of_csv, corpus=of_csv, qrels=of_csv)
        if is_there:
            return Written(**read_json(note)), settings
        with Waiting("finding the candidates"):
            written = write_candidates(settings, storage.join(folder, "groups.parquet"), reject)
    write_json(note, asdict(written))
    return written, settings


def _timing(settings: EvaluateSettings, name: str, model: str, written: Written, output: str) -> dict[str, float]:
    """p50 and p99 of one query at a time; measured once and kept."""
    if not settings.timed_queries:
        return {}
    note = storage.join(output, "_timing", f"{storage.hash_bytes(f'{name} {model}'.encode())}.json")
    if storage.exists(note):
        return read_json(note)
    from crossrank.evaluation import on_ray

    queries = _timed_queries(settings, written)
    spec: ScorerSpec
    if is_url(model):
        spec = ServerSpec(name, model, settings.timeout_s)
    else:
        folder = find_model(model)
        where = storage.absolute(model) if folder.is_local else model
        given = (settings.max_length, settings.precision, settings.instruction)
        spec = RerankerSpec(where, folder.revision, *given)
    with Waiting(f"timing {name}"):
        found = percentiles_ms(on_ray.timed(spec, queries, settings)) | {"timed_queries": len(queries)}
    write_json(note, found)
    return found


def _timed_queries(settings: EvaluateSettings, written: Written) -> list[Query]:
    source = corpus_of(settings)
    corpus = source.open() if source else None
    groups = [(group, facts) for group, facts in read_candidates(written) if facts.retrieved]
    chosen = random.Random(settings.seed).sample(groups, min(len(groups), settings.timed_queries))
    return [(group.query, _texts(group.docs[: facts.retrieved], corpus)) for group, facts in chosen]


def _texts(docs: Any, corpus: TextStore | None) -> list[str]:
    if corpus is None:
        return [document_text(doc.title, doc.text) for doc in docs]
    rows = corpus.rows([doc.doc_id for doc in docs]).tolist()
    own = [document_text(doc.title, doc.text) if doc.text is not None else None for doc in docs]
    return [text if text is not None else corpus.texts([row])[0] for text, row in zip(own, rows, strict=True)]


def _num_injected(written: Written) -> int:
    return sum(len(group.docs) - facts.retrieved for group, facts in read_candidates(written))


def _write_first_run(written: Written, uri: str) -> None:
    with writing_lines(uri) as write:
        for group, facts in read_candidates(written):
            for rank, doc in enumerate(group.docs[: facts.retrieved], start=1):
                score = doc.score if doc.score is not None else -rank
                write(f"{group.query_id} Q0 {doc.doc_id} {rank} {score!r} {trec.OUR_TAG}")


def _say(results: dict[str, Any], rows: list[Row], output: str) -> None:
    from crossrank.evaluation.report import as_text

    print(as_text(results))
    for row in rows:
        if row.incomplete:
            say(f"WARNING: {row.name} is incomplete: {row.incomplete:,} queries have no scores and count 0")
    say(f"the report: {storage.join(output, 'report.html')}")
