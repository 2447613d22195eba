"""`crossrank rerank`, from settings to a finished output folder.

Wrong input is named, and a job that is finished already ends, before Ray is started.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crossrank import storage
from crossrank.claim import Hold
from crossrank.errors import InputError
from crossrank.figures import counted
from crossrank.outputs import earlier_run, refuse_other_settings, working, write_json
from crossrank.progress import Progress, Waiting, say, show_plan
from crossrank.provenance import provenance
from crossrank.reranking import derive
from crossrank.reranking.block import Keep
from crossrank.reranking.identity import identify
from crossrank.reranking.layout import Layout
from crossrank.reranking.manifest import Clock, Manifest, Scoring, finished, new_manifest
from crossrank.reranking.plan import Plan, prepare, read_plan
from crossrank.reranking.prepare import Sources, read_work
from crossrank.reranking.settings import RerankSettings
from crossrank.scoring.footprint import process_bytes
from crossrank.scoring.loading import check_model, find_model
from crossrank.scoring.spec import RerankerSpec, ScorerSpec
from crossrank.set_aside import SetAside
from crossrank.telemetry.doing import doing
from crossrank.telemetry.job_metrics import ROWS_RESUMED

if TYPE_CHECKING:
    from crossrank.cluster.pool import Pool
    from crossrank.reranking.on_ray import Task

KIND = "rerank"


@doing(KIND)
def rerank(settings: RerankSettings, spec: ScorerSpec | None = None) -> dict[str, Any]:
    """Rerank the candidates of queries with a cross-encoder, over any number of workers.

    Reads queries, corpus and candidates (or groups), scores, and writes ranked Parquet; --run adds a TREC run. Run
    the same command again after a kill and it goes on where it was; a finished job does nothing and says so.
    """
    manifest = reranked(settings, spec)
    if not settings.dry_run and not manifest["rows"]["ok"]:
        rows = manifest["rows"]
        raise InputError(
            f"none of the {rows['out']:,} queries could be ranked ({counted(rows['rejected'])}); see _rejected/ in "
            f"{settings.output}, mend the inputs, and use --overwrite to start afresh"
        )
    return manifest


def reranked(settings: RerankSettings, spec: ScorerSpec | None = None) -> dict[str, Any]:
    """`rerank`, where an output in which no query could be ranked is an answer, too: for those who compare models."""
    started = time.time()
    say(str(provenance()))
    output = storage.absolute(settings.output)
    layout = Layout(output)
    with Waiting("looking at the model and the inputs"):
        if spec is None:
            spec = _reranker_spec(settings)
        sources, identity = identify(settings, spec)
    before = earlier_run(output, KIND)
    if before is not None and not settings.overwrite:
        refuse_other_settings(output, before["identity"], identity)
    if settings.dry_run:
        return _dry_run(settings, sources, spec)
    if before is not None and before["state"] == "finished" and not settings.overwrite:
        plan = read_plan(layout)
        lacking = layout.lacking_parts(before["blocks"], plan.rows_of_blocks if plan else None)
        if not lacking:
            return _nothing_to_do(settings, layout, before)
        say(f"{layout.output} was finished, and {len(lacking)} of its parts are gone or damaged: making them again")
    if settings.run is not None:
        storage.check_writable(settings.run)
    manifest = new_manifest(settings, spec, identity, started)
    with working(output, before) as hold:
        if before is not None and settings.overwrite:
            _clear(layout, before)
        if before is None or settings.overwrite:
            write_json(layout.manifest, manifest)
        return _run(settings, spec, sources, layout, manifest, hold)


def _reranker_spec(settings: RerankSettings) -> RerankerSpec:
    folder = find_model(settings.model)
    check_model(folder)
    return RerankerSpec(
        storage.absolute(settings.model) if folder.is_local else settings.model,
        folder.revision,
        settings.max_length,
        settings.precision,
        settings.instruction,
        process_bytes=process_bytes(folder),
    )


def _pool(settings: RerankSettings, spec: ScorerSpec) -> Pool:
    """Join or start a cluster, and say how many workers it holds."""
    from crossrank.cluster import on_ray as cluster

    cluster.connect()
    cluster.refuse_private_disks({"--model": settings.model, "--corpus": settings.corpus, "--output": settings.output})
    worker_bytes = getattr(spec, "process_bytes", 0)  # stand-ins and servers take none
    pool = cluster.pool(settings.wanted(), worker_bytes)
    say(f"workers: {pool.workers}")
    return pool


def _placed(spec: ScorerSpec, pool: Pool) -> ScorerSpec:
    """The spec with its device: Ray hides no GPU from a worker that asked for none, and torch would take it."""
    device = None if pool.gpus else "cpu"
    if isinstance(spec, RerankerSpec):
        return replace(spec, device=device)
    return spec.on(device) if hasattr(spec, "on") else spec


def _clear(layout: Layout, manifest: dict[str, Any]) -> None:
    """Remove what the earlier run wrote, and nothing else that may lie in the folder."""
    # Cut off anywhere, this leaves a job that is not finished and has no plan, and so is prepared again.
    write_json(layout.manifest, manifest | {"state": "running"})
    for uri in (layout.plan, layout.prepared, layout.rejected):
        storage.delete(uri)
    layout.delete_parts()
    storage.delete(layout.manifest)


def _nothing_to_do(settings: RerankSettings, layout: Layout, manifest: dict[str, Any]) -> dict[str, Any]:
    written_before = settings.run is not None and settings.run == manifest["settings"]["run"]
    if settings.run is not None and not (written_before and storage.exists(settings.run)):
        num_lines = derive.write_run(layout, manifest["blocks"], settings.run)
        manifest["settings"]["run"] = settings.run
        write_json(layout.manifest, manifest)
        say(f"{layout.output} is finished; wrote the run {settings.run} from it, {num_lines:,} lines")
    else:
        say(f"{layout.output} is finished: {manifest['rows']['out']:,} queries; nothing to do")
    return manifest


def _dry_run(settings: RerankSettings, sources: Sources, spec: ScorerSpec) -> dict[str, Any]:
    from crossrank.reranking import on_ray

    aside = SetAside()
    with Waiting("reading the inputs"):
        work = read_work(settings, sources, aside)
    pool = _pool(settings, spec)
    with Waiting("loading and measuring the model"):
        measured = on_ray.probed(on_ray.probe(_placed(spec, pool), work.sample(), pool))
    hours = work.num_pairs / measured["pairs_per_second"] / pool.most / 3600
    plan = {
        "queries": work.num_queries,
        "pairs": work.num_pairs,
        "tokens": int(work.num_pairs * measured["tokens_per_pair"]),
        "set_aside": dict(aside.counts),
        "workers": pool.most,
        "pairs_per_second_of_a_worker": round(measured["pairs_per_second"], 1),
        "hours": round(hours, 4),
        "scorer": measured["scorer"],
    }
    show_plan(plan)
    return plan


def _run(
    settings: RerankSettings, spec: ScorerSpec, sources: Sources, layout: Layout, manifest: Manifest, hold: Hold
) -> Manifest:
    from crossrank.reranking import on_ray

    clock = Clock()
    pool = _pool(settings, spec)
    clock.lap("start_ray")
    spec = _placed(spec, pool)
    plan = read_plan(layout)
    if plan is None:
        plan = prepare(settings, spec, sources, layout, pool)
    layout.refuse_foreign_tables(len(plan.rows_of_blocks))
    clock.lap("prepare")
    if isinstance(spec, RerankerSpec):
        spec = replace(spec, precision=plan.precision)
    keep = Keep(settings.top_n, settings.normalize, settings.with_text)
    scoring = _score(on_ray.task_of(layout, spec, sources.corpus, keep), plan, pool, hold)
    clock.lap("score")
    hold.check()
    num_blocks = len(plan.rows_of_blocks)
    with Waiting("adding up"):
        found = derive.totals(layout, plan.rows_of_blocks)
        rejected = derive.write_rejected(layout, found.parts_with_rejected)
        if settings.run is not None:
            derive.write_run(layout, num_blocks, settings.run)
    clock.lap("derive")
    manifest = finished(manifest, plan, pool, found, rejected, scoring, clock)
    hold.check()
    write_json(layout.manifest, manifest)
    storage.delete_leftovers(layout.output)
    _say_finished(layout, manifest)
    return manifest


def _score(task: Task, plan: Plan, pool: Pool, hold: Hold) -> Scoring:
    """Score the blocks that have no part yet."""
    from crossrank.reranking import on_ray

    missing = sorted(task.layout.lacking_parts(len(plan.rows_of_blocks), plan.rows_of_blocks))
    num_queries = sum(plan.rows_of_blocks)
    done_before = num_queries - sum(plan.rows_of_blocks[number] for number in missing)
    if done_before:
        say(f"{done_before:,} of {num_queries:,} queries were done before")
        ROWS_RESUMED.add(done_before)
    scoring = Scoring()
    with Progress("queries", num_queries, done_before) as progress:
        progress.advance(0, "workers are starting" if missing else "")
        for figures in on_ray.run_blocks(task, missing, pool) if missing else ():
            hold.check()
            scoring.add(figures)
            rate = scoring.steady_pairs_per_second
            progress.advance(figures["queries"], f"{rate:,.0f} pairs/s" if rate else "")
    return scoring


def _say_finished(layout: Layout, manifest: Manifest) -> None:
    rows = manifest["rows"]
    say(
        f"finished: {rows['out']:,} queries ({rows['ok']:,} ranked, {sum(rows['rejected'].values()):,} rejected), "
        f"{manifest['pairs']:,} pairs, {manifest['pairs_per_second']:,.0f} pairs/s; {layout.output}"
    )
    for source, reasons in manifest["rejected"].items():
        say(f"set aside of {source}: {counted(reasons)}; see {layout.rejected}")
