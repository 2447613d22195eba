"""`crossrank evaluate`, from settings to a report.

Each stage is gone on with: the candidates are written once, each model is a rerank job of its own, and measuring what
they gave takes seconds. A report that lacks nothing is left as it is.
"""

from __future__ import annotations

import random
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from crossrank import storage
from crossrank.corpus.store import TextStore
from crossrank.errors import InputError
from crossrank.evaluation.about import about
from crossrank.evaluation.bi_encoder_system import CosineSpec
from crossrank.evaluation.candidates import WrittenCandidates, say_candidates, write_candidates
from crossrank.evaluation.dry_run import dry_run
from crossrank.evaluation.finished import READ_AGAIN, RESULTS, lacks_nothing
from crossrank.evaluation.inputs import corpus_of, fingerprints
from crossrank.evaluation.lists import Lists, Rankings
from crossrank.evaluation.measures import reported
from crossrank.evaluation.question_csv import beir_of
from crossrank.evaluation.report import write_report
from crossrank.evaluation.rows import Row, first_stage_row, folder_of, model_row, rerank_with
from crossrank.evaluation.runs import write_runs
from crossrank.evaluation.settings import NO_RERANKER, EvaluateSettings
from crossrank.evaluation.systems import spec_of
from crossrank.evaluation.table import results_of
from crossrank.evaluation.timing import Query, percentiles_ms, time_queries
from crossrank.evaluation.usable import refuse_unusable
from crossrank.evaluation.wording import counted
from crossrank.formats.group_order import glancing
from crossrank.provenance import provenance
from crossrank.records import document_text
from crossrank.resumable.job import Job, Run, announce, begin
from crossrank.resumable.joining import join_if_named
from crossrank.resumable.output import read_json, write_json
from crossrank.resumable.rejects import rejected_file
from crossrank.resumable.settings import that_affect_output
from crossrank.retrieval.encoder import EncoderSpec, find_encoder
from crossrank.scoring.spec import ScorerSpec
from crossrank.storage.content_hash import hash_bytes
from crossrank.storage.lease import Lease
from crossrank.telemetry.progress import Waiting, say, show
from crossrank.telemetry.verb_scope import verb_scope

KIND = "evaluate"
FORMAT = 1
CANDIDATES = "_candidates"
WRITTEN = (CANDIDATES, "_rows", "_timing", "_rejected", "runs")
"""Folders that a job fills, and that are removed where it starts afresh."""


@verb_scope(KIND)
def evaluate(settings: EvaluateSettings, encoder: EncoderSpec | None = None) -> dict[str, Any]:
    """Compare rerankers, and what there is without one, on judged queries.

    Writes report.html, report.md, results.json and a TREC run of every row. Run the same command again after a kill
    and it goes on; a finished job does nothing and says so. Give more --models and only those are scored.
    """
    started = announce()
    output = storage.absolute(settings.output)
    with Waiting("looking at the models and the inputs"):
        specs = {name: spec_of(name, model, settings) for name, model in settings.named_models().items()}
        if encoder is None and settings.encoder is not None:
            encoder = find_encoder(
                settings.encoder, query_prompt=settings.query_prompt, passage_prompt=settings.passage_prompt
            )
        identity = {
            "format": FORMAT,
            "settings": _that_decide(settings),
            "encoder_revision": encoder.revision if encoder else None,
            "inputs": fingerprints(settings),
        }
    job = Job.of(KIND, settings, identity, started, READ_AGAIN)
    if job.is_finished and not settings.dry_run:
        if lacks_nothing(settings, specs, job.kept, output):
            return _nothing_to_do(job)
        say(f"{output} was finished, and not all of this is in it: doing what is missing, and measuring again")
    if not _has_candidates(output) or job.is_replaced:
        with Waiting("looking into the inputs"), glancing():
            refuse_unusable(settings)
    if settings.dry_run:
        return dry_run(settings, specs)
    with begin(job) as run:
        run.give_way(None, [storage.join(output, name) for name in WRITTEN])
        return _run(settings, specs, encoder, run)


def _nothing_to_do(job: Job) -> dict[str, Any]:
    queries = counted(job.kept["candidates"]["queries"], "judged query", "judged queries")
    models = counted(len(job.kept["settings"]["models"]), "model", "models")
    job.nothing_to_do(f"{queries}, {models}")
    results = read_json(storage.join(job.output, RESULTS))
    _say(results, job.output)
    return results


def _that_decide(settings: EvaluateSettings) -> dict[str, Any]:
    """Settings that have to be the same when a report is gone on with. Models may be added, and files may move."""
    by_content = {"groups", "queries", "corpus", "qrels", "candidates", "eval_csv", "encoder"}
    free = by_content | {"models", "timeout_s", "timed_queries"}
    return {name: value for name, value in that_affect_output(settings).items() if name not in free}


def _run(
    settings: EvaluateSettings, specs: dict[str, ScorerSpec], encoder: EncoderSpec | None, run: Run
) -> dict[str, Any]:
    output = run.output
    join_if_named(settings.places())
    head = about(settings, time.time())
    written, settings = _candidates(settings, encoder, output, run.lease)
    run.clock.lap("candidates")
    say_candidates(settings, written, len(specs))
    lists = Lists.read(written, settings.relevant_from)
    _refuse_nothing_relevant(lists)
    manifests = {}
    for name, spec in specs.items():
        run.lease.check()
        manifests[name] = rerank_with(settings, name, spec, written, output)
    run.lease.check()
    run.clock.skip()  # the jobs in between have counted their own stages
    results = report(settings, specs, manifests, written, lists, output, head)
    run.clock.lap("report")
    run.finish(candidates=asdict(written))
    _say(results, output)
    return results


def report(
    settings: EvaluateSettings,
    specs: dict[str, ScorerSpec],
    manifests: dict[str, dict[str, Any]],
    written: WrittenCandidates,
    lists: Lists,
    output: str,
    head: dict[str, Any],
) -> dict[str, Any]:
    """Write the files of the report from the scores of all rows; returns what `results.json` holds.

    Args:
        manifests: manifests of the rerank jobs, by the name of the row.
        head: title, data, date and settings, as `about` gives them.
    """
    source = corpus_of(settings)
    corpus = source.open() if source else None
    timings = {name: _timing(settings, name, spec, lists, corpus, output) for name, spec in specs.items()}
    with Waiting("measuring"):
        results, rows = _measured(settings, specs, manifests, written, lists, output)
    results["about"] = head
    for row in results["rows"]:
        row |= timings.get(row["name"], {})
    with Waiting("writing the report"):
        if written.has_order:
            write_runs(lists, lists.in_order(), output, NO_RERANKER)
        for name in specs:
            write_runs(lists, Rankings.read(lists, folder_of(output, name)), output, name)
        write_json(storage.join(output, RESULTS), results)
        write_report(results, rows, lists, output, corpus)
    return results


def _measured(
    settings: EvaluateSettings,
    specs: dict[str, ScorerSpec],
    manifests: dict[str, dict[str, Any]],
    written: WrittenCandidates,
    lists: Lists,
    output: str,
) -> tuple[dict[str, Any], list[Row]]:
    """All figures as `results.json` holds them, and the rows behind them."""
    measures = reported(settings.contexts)
    rows = [first_stage_row(NO_RERANKER, lists, measures)] if written.has_order else []
    for name, model in settings.named_models().items():
        rows.append(model_row(name, model, specs[name], lists, output, manifests[name], measures))
    results = results_of(rows, lists.facts, measures, settings.resamples, settings.seed)
    return results | {
        "contexts": settings.contexts,
        "first_stage": written.first_stage,
        "set_aside": written.set_aside,
        "query_documents": written.query_documents,
        "has_order": written.has_order,
        "relevant_from": settings.relevant_from,
        "without_relevant": int((~lists.has_relevant_Q).sum()),
        "without_candidates": int((lists.retrieved_Q == 0).sum()),
        "injected": int((lists.lengths_Q - lists.retrieved_Q).sum()),
        "crossrank": asdict(provenance()),
    }, rows


def _refuse_nothing_relevant(lists: Lists) -> None:
    if not lists.has_relevant_Q.any():
        raise InputError(
            f"--relevant-from is {lists.relevant_from:g}, and the highest label is {lists.highest_label:g}; use that "
            f"or less"
        )


def _note(output: str) -> str:
    return storage.join(output, CANDIDATES, "written.json")


def _has_candidates(output: str) -> bool:
    return storage.exists(_note(output))


def _candidates(
    settings: EvaluateSettings, encoder: EncoderSpec | None, output: str, lease: Lease
) -> tuple[WrittenCandidates, EvaluateSettings]:
    """The candidates, written now where the output lacks them; and the settings, a CSV as the BEIR folder it became."""
    folder = storage.join(output, CANDIDATES)
    note = _note(output)
    groups = storage.join(folder, "groups.parquet")
    of_csv = storage.join(folder, "csv")
    changed = settings
    if settings.eval_csv is not None:
        changed = replace(settings, eval_csv=None, queries=of_csv, corpus=of_csv, qrels=of_csv)
    if storage.exists(note):
        corpus = corpus_of(changed)
        # The output or the corpus may have moved since.
        written = replace(WrittenCandidates(**read_json(note)), groups=groups, corpus=corpus.uri if corpus else None)
        if not (written.has_order or written.is_hashed):
            say(
                f"the candidates in {output} were written by an earlier version, which broke ties by the order of the "
                f"groups, where positives may stand first; --overwrite measures anew",
                level="warning",
            )
        return written, changed
    with rejected_file(storage.join(output, "_rejected", "rejected.parquet")) as reject:
        if settings.eval_csv is not None:
            beir_of(storage.absolute(settings.eval_csv), of_csv, reject)
        # A dense stage reports its own progress.
        with nullcontext() if settings.is_dense else Waiting("finding the candidates"):
            written = write_candidates(changed, groups, reject, encoder, lease)
    write_json(note, asdict(written))
    return written, changed


def _timing(
    settings: EvaluateSettings, name: str, spec: ScorerSpec, lists: Lists, corpus: TextStore | None, output: str
) -> dict[str, float]:
    """The p50 and p99 of a query, in milliseconds, scored one at a time; measured once and kept."""
    if not settings.timed_queries:
        return {}
    note = storage.join(output, "_timing", f"{hash_bytes(f'{name} {spec.revision}'.encode())}.json")
    if storage.exists(note):
        return read_json(note)
    queries = _timed_queries(settings, lists, corpus)
    if isinstance(spec, CosineSpec):
        spec = replace(spec, keeps=False)  # else a document of two queries would take time in one of them alone
    with Waiting(f"timing {name}"):
        seconds = _timed_on_a_worker(settings, spec, queries)
    if seconds is None:
        say(f"{name} left a query without scores, so how long one takes is not said", level="warning")
        return {}
    found = percentiles_ms(seconds) | {"timed_queries": len(queries)}
    write_json(note, found)
    return found


def _timed_on_a_worker(settings: EvaluateSettings, spec: ScorerSpec, queries: list[Query]) -> list[float] | None:
    """Seconds of each query, one at a time, on one worker that has a whole machine's cores or its GPUs."""
    from crossrank.cluster import on_ray as cluster
    from crossrank.resumable import on_ray

    cluster.connect()
    pool = cluster.pool(settings.wanted())
    timing = on_ray.begin_call(pool, time_queries, spec.on(pool.device), queries)
    seconds: list[float] | None = on_ray.returned(timing, "the timing", "scores are kept")
    return seconds


def _timed_queries(settings: EvaluateSettings, lists: Lists, corpus: TextStore | None) -> list[Query]:
    places = np.flatnonzero(lists.retrieved_Q).tolist()
    chosen = random.Random(settings.seed).sample(places, min(len(places), settings.timed_queries))
    groups = lists.groups_at(chosen)
    return [
        (groups[place].query, _texts(groups[place].docs[: lists.facts[place].retrieved], corpus)) for place in chosen
    ]


def _texts(docs: Any, corpus: TextStore | None) -> list[str]:
    if corpus is None:
        return [document_text(doc.title, doc.text) for doc in docs]
    rows = corpus.rows([doc.doc_id for doc in docs]).tolist()
    own = [doc.own_text for doc in docs]
    return [text if text is not None else corpus.texts([row])[0] for text, row in zip(own, rows, strict=True)]


def _say(results: dict[str, Any], output: str) -> None:
    from crossrank.evaluation.report import as_text

    show(as_text(results))
    for row in results["rows"]:
        if row["incomplete"]:
            missing = counted(row["incomplete"], "query has no scores and counts", "queries have no scores and count")
            say(f"{row['name']} is incomplete: {missing} 0", level="warning")
    say(f"the report: {storage.join(output, 'report.html')}")
