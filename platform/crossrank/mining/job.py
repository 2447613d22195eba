"""`crossrank mine`, from settings to a finished output folder.

Wrong input is named, and a job that is finished already ends, before Ray is started.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from crossrank import storage
from crossrank.formats.group_order import glancing
from crossrank.mining.dry_run import dry_run
from crossrank.mining.inputs import MiningInputs
from crossrank.mining.layout import MineLayout
from crossrank.mining.manifest import READ_AGAIN, facts_of, report
from crossrank.mining.plan import MiningPlan, prepare, read_plan, refuse_unusable
from crossrank.mining.settings import MineSettings
from crossrank.mining.totals import totals
from crossrank.mining.work import BlockSearches
from crossrank.resumable.block_job import Figures
from crossrank.resumable.blocks import do_blocks, say_resumed
from crossrank.resumable.job import Job, Run, announce, begin
from crossrank.resumable.output import Manifest, remove, write_json
from crossrank.retrieval.dense_search import encode_missing
from crossrank.retrieval.encoder import EncoderSpec
from crossrank.retrieval.vectors import VectorStore
from crossrank.scoring.spec import ScorerSpec
from crossrank.telemetry.job_metrics import NEGATIVES, PAIRS, ROWS_DONE, TOKENS, TRUNCATED
from crossrank.telemetry.progress import Waiting, say
from crossrank.telemetry.verb_scope import verb_scope

if TYPE_CHECKING:
    pass

KIND = "mine"


@verb_scope(KIND)
def mine(
    settings: MineSettings, encoder: EncoderSpec | None = None, teacher: ScorerSpec | None = None
) -> dict[str, Any]:
    """Add hard negatives to labelled groups: what BM25 and an encoder find, less what probably answers the query.

    The output is a folder of groups that `crossrank train` reads. Run the same command again after a kill and it goes
    on where it was; a finished job does nothing and says so.
    """
    started = announce()
    layout = MineLayout(storage.absolute(settings.output))
    with Waiting("looking at the models and the inputs"):
        inputs = MiningInputs.of(settings, layout, encoder, teacher)
        identity = inputs.identity()
    job = Job.of(KIND, settings, identity, started, READ_AGAIN, num_parts="blocks")
    if settings.dry_run:
        return dry_run(inputs)
    if job.is_finished and job.lacks_nothing(_lacking(layout, job.kept)):
        return job.nothing_to_do(f"{job.kept['rows']['out']:,} groups, {job.kept['mined']:,} negatives")
    if not storage.exists(layout.plan) or job.is_replaced:
        with Waiting("looking into the inputs"), glancing():
            refuse_unusable(settings, inputs.open())
    with begin(job) as run:
        return _run(inputs, layout, run)


def _lacking(layout: MineLayout, before: Manifest) -> set[int]:
    """Parts of a finished job that are gone or damaged since. Its plan may have been removed."""
    plan = read_plan(layout)
    sizes = plan.rows_of_blocks if plan else layout.sizes_of_parts(before["rows"]["out"], before["blocks"])
    return layout.lacking_parts(before["blocks"], sizes)


def _run(inputs: MiningInputs, layout: MineLayout, run: Run) -> Manifest:
    with Waiting("reading the corpus"):
        corpus = inputs.open()
    vectors = inputs.vectors(corpus)
    if vectors is not None and vectors.missing():
        storage.check_writable(vectors.uri(0))
    plan = None if run.job.is_replaced else read_plan(layout)
    if plan is None:
        remove(layout.prepared)
        judged = partial(run.give_way, layout, [layout.dropped_folder, layout.report])
        plan = prepare(inputs.settings, corpus, vectors, layout, judged)
    layout.refuse_foreign_tables(len(plan.rows_of_blocks))
    run.clock.lap("prepare")
    lacking = layout.lacking_parts(len(plan.rows_of_blocks), plan.rows_of_blocks)
    unexplained = layout.finished_parts() - lacking - layout.parts_with_dropped()
    if unexplained:
        say(f"what was dropped from {len(unexplained):,} parts is gone from {layout.dropped_folder}: making them again")
    blocks = sorted(lacking | unexplained)
    resumed = sum(plan.rows_of_blocks) - sum(plan.rows_of_blocks[number] for number in blocks)
    if blocks:
        _work(inputs, plan, vectors, blocks, run)
    run.lease.check()
    with Waiting("adding up"):
        found = totals(layout, plan.rows_of_blocks)
        write_json(layout.report, report(found, corpus))
    run.clock.lap("add_up")
    manifest = run.finish(**facts_of(plan, found, resumed, vectors))
    layout.delete_searches()
    _say_finished(layout, manifest)
    return manifest


def _work(inputs: MiningInputs, plan: MiningPlan, vectors: VectorStore | None, blocks: list[int], run: Run) -> None:
    """Encode the shards that have no vectors, search for the blocks that lack their part, and mine for those."""
    if vectors is not None:
        _search(inputs, plan, vectors, blocks, run)
    pool = inputs.pool(with_encoder=False, with_teacher=True)
    run.clock.lap("start_workers")
    left, total = {block: plan.rows_of_blocks[block] for block in blocks}, sum(plan.rows_of_blocks)
    say_resumed(left, total, "groups")
    do_blocks(inputs.mining(plan.language, len(plan.slices), pool), left, total, "groups", pool, run.lease, _count)
    run.clock.lap("mine")


def _count(figures: Figures) -> None:
    """Add the figures of a block to the counters of Prometheus."""
    ROWS_DONE.add(figures["groups"])
    NEGATIVES.add(figures["mined"])
    PAIRS.add(figures["pairs"])
    TOKENS.add(figures["tokens"])
    TRUNCATED.add(figures["truncated"])


def _search(inputs: MiningInputs, plan: MiningPlan, vectors: VectorStore, blocks: list[int], run: Run) -> None:
    """Run the dense first stage: encode the shards without vectors, then search for the queries of these blocks."""
    pool = inputs.pool(with_encoder=True, with_teacher=False)
    run.clock.lap("start_ray")
    encode_missing(inputs.encoding(vectors, pool), pool, run.lease)
    run.clock.lap("encode")
    searches = BlockSearches(inputs.layout, tuple((start, end) for start, end in plan.slices), len(plan.rows_of_blocks))
    left = dict.fromkeys(searches.missing(blocks), 1)
    do_blocks(
        inputs.searching(vectors, searches, pool), left, len(searches), "searches", pool, run.lease, lambda _: None
    )
    run.clock.lap("search")


def _say_finished(layout: MineLayout, manifest: Manifest) -> None:
    rows = manifest["rows"]
    say(
        f"finished: {rows['out']:,} groups of {rows['in']:,}, {manifest['mined']:,} negatives, "
        f"{rows['without_negatives']:,} groups without one; {layout.output}"
    )
    if manifest["dropped"]:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in manifest["dropped"].items())
        say(f"dropped: {counts}; see {layout.report}")
    for source, reasons in manifest["rejected"].items():
        counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
        say(f"set aside of {source}: {counts}; see {layout.rejected}")
