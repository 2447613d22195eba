"""`crossrank mine`, from settings to a finished output folder.

Wrong input is named, and a job that is finished already ends, before Ray is started.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from crossrank import storage
from crossrank.formats.group_order import glancing
from crossrank.mining.dry_run import dry_run
from crossrank.mining.inputs import Inputs
from crossrank.mining.layout import Layout
from crossrank.mining.manifest import finished, report
from crossrank.mining.plan import Plan, prepare, read_plan, refuse_unusable
from crossrank.mining.settings import MineSettings
from crossrank.mining.totals import totals
from crossrank.mining.work import Task
from crossrank.provenance import provenance
from crossrank.resumable.clock import Clock
from crossrank.resumable.earlier import Earlier, look_at, working
from crossrank.resumable.output import Manifest, remove, write_json
from crossrank.retrieval.encoder import EncoderSpec
from crossrank.retrieval.vectors import VectorStore
from crossrank.scoring.spec import ScorerSpec
from crossrank.storage.lease import Hold
from crossrank.telemetry.job_metrics import NEGATIVES, PAIRS, PASSAGES, ROWS_DONE, ROWS_RESUMED, TOKENS, TRUNCATED
from crossrank.telemetry.progress import Progress, Waiting, say
from crossrank.telemetry.verb_scope import doing

if TYPE_CHECKING:
    from crossrank.cluster.pool import Pool

KIND = "mine"


@doing(KIND)
def mine(
    settings: MineSettings, encoder: EncoderSpec | None = None, teacher: ScorerSpec | None = None
) -> dict[str, Any]:
    """Add hard negatives to labelled groups: what BM25 and an encoder find, less what probably answers the query.

    The output is a folder of groups that `crossrank train` reads. Run the same command again after a kill and it goes
    on where it was; a finished job does nothing and says so.
    """
    started = time.time()
    say(str(provenance()))
    output = storage.absolute(settings.output)
    layout = Layout(output)
    with Waiting("looking at the models and the inputs"):
        inputs = Inputs.of(settings, layout, encoder, teacher)
        identity = inputs.identity()
    earlier = look_at(output, KIND, identity, settings, num_parts="blocks")
    if settings.dry_run:
        return dry_run(inputs)
    before = earlier.kept
    if before is not None and earlier.is_finished:
        plan = read_plan(layout)
        sizes = plan.rows_of_blocks if plan else layout.sizes_of_parts(before["rows"]["out"], before["blocks"])
        lacking = layout.lacking_parts(before["blocks"], sizes)
        if not lacking:
            say(f"{output} is finished: {before['rows']['out']:,} groups, {before['mined']:,} negatives; nothing to do")
            return before
        say(f"{output} was finished, and {len(lacking)} of its parts are gone or damaged: making them again")
    if not storage.exists(layout.plan) or earlier.is_replaced:
        with Waiting("looking into the inputs"), glancing():
            refuse_unusable(settings, inputs.open())
    manifest = {
        "kind": KIND,
        "state": "running",
        "crossrank": asdict(provenance()),
        "settings": asdict(settings),
        "identity": identity,
        "started": started,
    }
    with working(earlier, manifest) as hold:
        return _run(inputs, layout, earlier, manifest, hold)


def _run(inputs: Inputs, layout: Layout, earlier: Earlier, manifest: Manifest, hold: Hold) -> Manifest:
    clock = Clock()
    with Waiting("reading the corpus"):
        corpus = inputs.open()
    vectors = inputs.vectors(corpus)
    if vectors is not None and vectors.missing():
        storage.check_writable(vectors.uri(0))
    plan = None if earlier.is_replaced else read_plan(layout)
    if plan is None:
        remove(layout.prepared)

        def begin() -> None:
            earlier.give_way(manifest, layout, [layout.dropped_folder, layout.report])

        plan = prepare(inputs.settings, corpus, vectors, layout, begin)
    layout.refuse_foreign_tables(len(plan.rows_of_blocks))
    clock.lap("prepare")
    blocks = sorted(layout.lacking_parts(len(plan.rows_of_blocks), plan.rows_of_blocks))
    resumed = sum(plan.rows_of_blocks) - sum(plan.rows_of_blocks[number] for number in blocks)
    if blocks:
        _work(inputs, plan, vectors, blocks, clock, hold)
    hold.check()
    with Waiting("adding up"):
        found = totals(layout, plan.rows_of_blocks)
        write_json(layout.report, report(found, corpus))
    clock.lap("add_up")
    manifest = finished(manifest, plan, found, resumed, vectors, clock)
    hold.check()
    write_json(layout.manifest, manifest)
    layout.delete_searches()
    storage.delete_leftovers(layout.output)
    _say_finished(layout, manifest)
    return manifest


def _work(inputs: Inputs, plan: Plan, vectors: VectorStore | None, blocks: list[int], clock: Clock, hold: Hold) -> None:
    """Encode the shards that have no vectors, search for the blocks that lack their part, and mine for those."""
    from crossrank.mining import on_ray

    if vectors is not None:
        _search(inputs, plan, vectors, blocks, clock, hold)
    pool = inputs.pool(with_encoder=False, with_teacher=True)
    clock.lap("start_workers")
    task = inputs.task(plan.language, vectors, plan.slices, pool)
    num_groups = sum(plan.rows_of_blocks)
    before = num_groups - sum(plan.rows_of_blocks[number] for number in blocks)
    if before:
        say(f"{before:,} of {num_groups:,} groups were done before")
        ROWS_RESUMED.add(before)
    with Progress("groups", num_groups, before) as progress:
        progress.advance(0, "workers are starting")
        for figures in on_ray.run_items(task, [f"mine {block}" for block in blocks], pool):
            hold.check()
            progress.advance(figures["groups"])
            _count(figures)
    clock.lap("mine")


def _count(figures: dict[str, Any]) -> None:
    """What was done to a block, for Prometheus."""
    ROWS_DONE.add(figures["groups"])
    NEGATIVES.add(figures["mined"])
    PAIRS.add(figures["pairs"])
    TOKENS.add(figures["tokens"])
    TRUNCATED.add(figures["truncated"])


def _search(inputs: Inputs, plan: Plan, vectors: VectorStore, blocks: list[int], clock: Clock, hold: Hold) -> None:
    """The dense first stage: vectors of what has none yet, then what is nearest to the queries of these blocks."""
    pool = inputs.pool(with_encoder=True, with_teacher=False)
    clock.lap("start_ray")
    task = inputs.task(plan.language, vectors, plan.slices, pool)
    missing = vectors.missing()
    _do(task, [f"encode {shard}" for shard in missing], pool, "shards encoded", vectors.num_shards, hold)
    clock.lap("encode")
    # One slice after another: all workers read the same part of the vectors, which memory then holds.
    searched = inputs.layout.finished_searches()
    wanted = [(slice_, block) for slice_ in range(len(plan.slices)) for block in blocks]
    items = [f"search {slice_} {block}" for slice_, block in wanted if (slice_, block) not in searched]
    _do(task, items, pool, "searches", len(plan.slices) * len(plan.rows_of_blocks), hold)
    clock.lap("search")


def _do(task: Task, items: list[str], pool: Pool, what: str, total: int, hold: Hold) -> None:
    from crossrank.mining import on_ray

    if items:
        with Progress(what, total, total - len(items)) as progress:
            for figures in on_ray.run_items(task, items, pool):
                hold.check()
                PASSAGES.add(figures.get("passages", 0))
                progress.advance(1)


def _say_finished(layout: Layout, manifest: Manifest) -> None:
    rows = manifest["rows"]
    say(
        f"finished: {rows['out']:,} groups of {rows['in']:,}, {manifest['mined']:,} negatives, "
        f"{rows['without_negatives']:,} groups without one; {layout.output}"
    )
    if manifest["dropped"]:
        told = ", ".join(f"{count:,} {reason}" for reason, count in manifest["dropped"].items())
        say(f"dropped: {told}; see {layout.report}")
    for source, reasons in manifest["rejected"].items():
        told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
        say(f"set aside of {source}: {told}; see {layout.rejected}")
