"""`crossrank rerank`, from settings to a finished output folder.

Wrong input is named, and a job that is finished already ends, before Ray is started.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crossrank import storage
from crossrank.errors import InputError
from crossrank.formats.group_order import glancing
from crossrank.formats.set_aside import SetAside
from crossrank.reranking import derive
from crossrank.reranking.block import Keep
from crossrank.reranking.identity import identify
from crossrank.reranking.left import Left
from crossrank.reranking.manifest import READ_AGAIN, Manifest, Scoring, facts_of
from crossrank.reranking.plan import Cut, prepare, read_plan
from crossrank.reranking.prepare import Sources, read_work, refuse_unusable
from crossrank.reranking.settings import RerankSettings
from crossrank.reranking.work import RerankBlocks
from crossrank.resumable.blocks import do_blocks, say_resumed
from crossrank.resumable.job import Job, Run, announce, begin
from crossrank.resumable.layout import Layout
from crossrank.resumable.output import write_json
from crossrank.scoring.checked import checked_spec
from crossrank.scoring.spec import ScorerSpec
from crossrank.scoring.throughput import measure_scoring
from crossrank.storage.lease import Lease
from crossrank.telemetry.figures import counted
from crossrank.telemetry.progress import Waiting, say, show_plan
from crossrank.telemetry.verb_scope import verb_scope

if TYPE_CHECKING:
    from crossrank.cluster.pool import Pool

KIND = "rerank"


@verb_scope(KIND)
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


def reranked(
    settings: RerankSettings,
    spec: ScorerSpec | None = None,
    *,
    asks_again: bool = False,
    places: Mapping[str, str | None] | None = None,
) -> dict[str, Any]:
    """`rerank`, where an output in which no query could be ranked is an answer, too: for those who compare models.

    Args:
        asks_again: whether queries of an earlier run whose scores were no finite numbers are scored again: a server may
            answer now.
        places: files that all nodes have to share, by the flags of who calls; None names this job's own.
    """
    if places is None:
        places = {"--model": settings.model, "--corpus": settings.corpus, "--output": settings.output}
    started = announce()
    layout = Layout(storage.absolute(settings.output))
    with Waiting("looking at the model and the inputs"):
        if spec is None:
            spec = checked_spec(settings.model, settings)
        sources, identity = identify(settings, spec)
    job = Job.of(KIND, settings, identity, started, READ_AGAIN, num_parts="blocks")
    if settings.dry_run:
        with glancing():
            refuse_unusable(settings, sources)
        return _dry_run(settings, sources, spec, places)
    if job.is_finished and not _say_left(job, left_of(layout, job.kept, asks_again)):
        return _nothing_to_do(settings, layout, job)
    if settings.run is not None:
        storage.check_writable(settings.run)
    if not storage.exists(layout.plan) or job.is_replaced:
        with Waiting("looking into the inputs"), glancing():
            refuse_unusable(settings, sources)
    with begin(job, model={"name": settings.model, "revision": spec.revision}) as run:
        return _run(settings, spec, sources, layout, run, asks_again, places)


def left_of(layout: Layout, before: Manifest, asks_again: bool) -> Left:
    """The work that is left of a finished job: its parts may be gone or damaged since, and its plan removed."""
    plan = read_plan(layout)
    sizes = plan.rows_of_blocks if plan else layout.sizes_of_parts(before["rows"]["out"], before["blocks"])
    return Left.of(layout, before["blocks"], sizes, asks_again)


def _workers(settings: RerankSettings, spec: ScorerSpec, places: Mapping[str, str | None]) -> Pool:
    from crossrank.resumable import on_ray

    return on_ray.start_workers(settings.wanted(), places, spec.process_bytes)


def _nothing_to_do(settings: RerankSettings, layout: Layout, job: Job) -> Manifest:
    manifest = job.kept
    written_before = settings.run is not None and settings.run == manifest["settings"].get("run")
    if settings.run is not None and not (written_before and storage.exists(settings.run)):
        num_lines = derive.write_run(layout, manifest["blocks"], settings.run)
        manifest["settings"]["run"] = settings.run
        write_json(layout.manifest, manifest)
        say(f"{layout.output} is finished; wrote the run {settings.run} from it, {num_lines:,} lines")
        return manifest
    return job.nothing_to_do(f"{manifest['rows']['out']:,} queries")


def _dry_run(
    settings: RerankSettings, sources: Sources, spec: ScorerSpec, places: Mapping[str, str | None]
) -> dict[str, Any]:
    from crossrank.resumable import on_ray

    aside = SetAside()
    with Waiting("reading the inputs"):
        work = read_work(settings, sources, aside)
    pool = _workers(settings, spec, places)
    with Waiting("loading and measuring the model"):
        measuring = on_ray.begin_call(pool, measure_scoring, spec.on(pool.device), work.sample(), pool)
        measured = on_ray.returned(measuring)
    hours = work.num_pairs / measured["pairs_per_second"] / pool.max_workers / 3600
    plan = {
        "queries": work.num_queries,
        "pairs": work.num_pairs,
        "tokens": int(work.num_pairs * measured["tokens_per_pair"]),
        "set_aside": dict(aside.counts),
        "workers": pool.max_workers,
        "pairs_per_second_of_a_worker": round(measured["pairs_per_second"], 1),
        "hours": round(hours, 4),
        "scorer": measured["scorer"],
    }
    show_plan(plan)
    return plan


def _run(
    settings: RerankSettings,
    spec: ScorerSpec,
    sources: Sources,
    layout: Layout,
    run: Run,
    asks_again: bool,
    places: Mapping[str, str | None],
) -> Manifest:
    pool = _workers(settings, spec, places)
    run.clock.lap("start_ray")
    plan = None if run.job.is_replaced else read_plan(layout)
    if plan is None:
        cut = Cut.by(layout, run.job.kept or None)

        def judged(precision: str | None) -> None:
            run.give_way(layout, [layout.rejected])
            # The plan says it too, and may be removed before the job ends.
            run.save(chosen={"precision": precision})

        plan = prepare(settings, spec.on(pool.device), sources, layout, pool, cut, judged)
    sizes = plan.rows_of_blocks
    layout.refuse_foreign_tables(len(sizes))
    run.clock.lap("prepare")
    keep = Keep(settings.top_n, settings.normalize, settings.with_text)
    left = Left.of(layout, len(sizes), sizes, asks_again)
    placed = spec.on(pool.device, plan.precision)
    blocks = RerankBlocks(layout, placed, sources.corpus, keep, frozenset(left.unanswered))
    scoring = _score(blocks, left.rows(sizes), sum(sizes), pool, run.lease)
    run.clock.lap("score")
    run.lease.check()
    with Waiting("adding up"):
        found = derive.totals(layout, sizes)
        rejected = derive.write_rejected(layout, found.parts_with_rejected)
        if settings.run is not None:
            derive.write_run(layout, len(sizes), settings.run)
    run.clock.lap("derive")
    manifest = run.finish(**facts_of(plan, pool, found, rejected, scoring, run))
    _say_finished(layout, manifest)
    return manifest


def _score(job: RerankBlocks, left: Mapping[int, int], total: int, pool: Pool, lease: Lease) -> Scoring:
    """Score the blocks and queries that are left."""
    say_resumed(left, total, "queries")
    scoring = Scoring()
    do_blocks(job, left, total, "queries", pool, lease, scoring.add)
    return scoring


def _say_left(job: Job, left: Left) -> bool:
    """Say why a finished job has work left. Returns whether it has."""
    job.lacks_nothing(left.lacking)
    if left.unanswered:
        queries = f"{sum(left.unanswered.values()):,} of its queries have no scores"
        say(f"{job.output} was finished, and {queries}: asking for them again")
    return bool(left)


def _say_finished(layout: Layout, manifest: Manifest) -> None:
    rows = manifest["rows"]
    say(
        f"finished: {rows['out']:,} queries ({rows['ok']:,} ranked, {sum(rows['rejected'].values()):,} rejected), "
        f"{manifest['pairs']:,} pairs, {manifest['pairs_per_second']:,.0f} pairs/s; {layout.output}"
    )
    for source, reasons in manifest["rejected"].items():
        say(f"set aside of {source}: {counted(reasons)}; see {layout.rejected}")
