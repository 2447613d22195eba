"""`crossrank filter`, from settings to a finished output folder.

Wrong input is named, and a job that is finished already ends, before anything is started. Without a teacher
a cluster has no work: a few processes of this machine judge the blocks.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from crossrank import storage
from crossrank.errors import InputError, JobFailed
from crossrank.filtering import teacher_stage
from crossrank.filtering.blocks import BLOCK_GROUPS, Block, JudgeTask, blocks, groups_of, read_tally, tally_file
from crossrank.filtering.judge import NO_ORIGIN, OTHER_LANGUAGES
from crossrank.filtering.processes import do_blocks
from crossrank.filtering.report import REPORT_FILES, as_json, write_report
from crossrank.filtering.rules.identification import identifier_version
from crossrank.filtering.settings import FilterSettings
from crossrank.filtering.tally import Tally
from crossrank.formats.group_files import fingerprint_of_groups
from crossrank.formats.group_order import glancing
from crossrank.formats.set_aside import SetAside
from crossrank.records import Json, Reject, Rejected
from crossrank.resumable.job import Job, Run, announce, begin
from crossrank.resumable.joining import join_if_named
from crossrank.resumable.layout import Layout
from crossrank.resumable.manifest_shape import MayLack, OrNull, Shape, dict_of, is_count, is_text, list_of
from crossrank.resumable.output import Manifest, alone
from crossrank.resumable.rejects import rejected_file
from crossrank.resumable.settings import that_affect_output
from crossrank.scoring.checked import checked_spec
from crossrank.scoring.spec import ScorerSpec
from crossrank.storage.lease import Lease
from crossrank.telemetry.figures import counted
from crossrank.telemetry.job_metrics import ROWS_DONE, ROWS_READ, ROWS_RESUMED
from crossrank.telemetry.progress import Progress, Waiting, say, show_plan
from crossrank.telemetry.verb_scope import verb_scope

KIND = "filter"
FORMAT = 1
"""Version of blocks, tallies and rules. Raise it when a change makes it impossible to go on with what was begun."""
PLAN: Shape = {
    "block_groups": is_count,
    "precision": MayLack(OrNull(is_text)),
    "rows_of_blocks": MayLack(list_of(is_count)),
    "documents": MayLack(is_count),
    "rejected": MayLack(dict_of(is_count)),
}
READ_AGAIN: Mapping[str, Shape] = {
    "blocks": is_count,
    "rows": {"out": is_count, "rejected": MayLack(dict_of(is_count))},
    "plan": MayLack(OrNull(PLAN)),
}
"""What is read from the manifest of a finished job; its plan from that of one that goes on, too."""


@verb_scope(KIND)
def filter(settings: FilterSettings, teacher: ScorerSpec | None = None) -> dict[str, Any]:  # noqa: A001 - the verb
    """Flag bad translations in groups: failed, untranslated, in another language, cut off, looping, numbers lost.

    Nothing is deleted: a bad document gets reason codes as flags, a bad query puts query_CODE on all its documents, and
    _report/ counts and shows them. Run it with other settings, or with --clear, and the earlier flags are replaced. Run
    the same command again after a kill and it goes on where it was; a finished job does nothing and says so.
    """
    started = announce()
    layout = Layout(storage.absolute(settings.output))
    with Waiting("looking at the groups"):
        if teacher is None and settings.teacher is not None:
            teacher = checked_spec(settings.teacher, settings)
        with glancing():
            _refuse_untranslated(settings)
        identity = _identity(settings, teacher)
    job = Job.of(KIND, settings, identity, started, READ_AGAIN, num_parts="blocks")
    if settings.dry_run:
        return _dry_run(settings, teacher)
    if job.is_finished and job.lacks_nothing(_lacking(layout, job.kept)):
        return _nothing_to_do(settings, layout, job)
    with begin(job) as run:
        return _run(settings, teacher, layout, run)


def _nothing_to_do(settings: FilterSettings, layout: Layout, job: Job) -> Manifest:
    manifest = job.kept
    names = () if settings.clear else REPORT_FILES
    if all(storage.exists(storage.join(_report(layout), name)) for name in names):
        return job.nothing_to_do(f"{manifest['rows']['out']:,} groups")
    with alone(layout.output):
        tally = _tally(settings, layout, manifest["blocks"])
        write_report(_report(layout), tally, _languages(settings), manifest["rows"].get("rejected", {}))
    say(f"{layout.output} is finished; wrote its report again, {_report(layout)}/report.md")
    return manifest


def _tally(settings: FilterSettings, layout: Layout, num_blocks: int) -> Tally:
    """The tally of all parts."""
    tally = Tally()
    for number in range(num_blocks):
        tally.add(read_tally(layout, number), settings.samples)
    return tally


def _languages(settings: FilterSettings) -> tuple[str, str]:
    return settings.source or "", settings.target or ""


def _lacking(layout: Layout, before: Manifest) -> set[int]:
    """Parts of a finished job that are gone or damaged since."""
    return set(range(before["blocks"])) - _finished(layout, before.get("plan") or {})


def _identity(settings: FilterSettings, teacher: ScorerSpec | None) -> dict[str, Any]:
    """The inputs and settings that have to be the same when the job is resumed, wherever groups and teacher lie."""
    by_content = {"groups", "teacher"}
    return {
        "format": FORMAT,
        "settings": {name: value for name, value in that_affect_output(settings).items() if name not in by_content},
        "identifier": identifier_version(),
        "teacher_revision": teacher.revision if teacher else None,
        "inputs": {"groups": fingerprint_of_groups(storage.absolute(settings.groups))},
    }


def _refuse_untranslated(settings: FilterSettings) -> None:
    """Refuse groups of which the first thousand could not be judged: they are no translations of these languages."""
    aside = SetAside()
    first = islice(groups_of(storage.absolute(settings.groups), settings.limit, aside), 1 if settings.clear else 1000)
    judge = None if settings.clear else settings.judge()
    why_not = Counter(None if judge is None else judge.not_judged(group) for group in first)
    aside.refuse_if_all(why_not.total(), settings.groups, "group", "name what crossrank translate wrote")
    if None in why_not:
        return
    if why_not[OTHER_LANGUAGES]:
        raise InputError(
            f"{settings.groups} holds translations, but none of the first {why_not.total():,} is from "
            f"{settings.source} to {settings.target}; give --source and --target as they were translated"
        )
    assert why_not[NO_ORIGIN], "the only other reason"
    raise InputError(
        f"{settings.groups} holds groups, but none of the first {why_not.total():,} says what it was translated from "
        f"(meta has no origin); filter what crossrank translate wrote"
    )


def _counting(rejected: Counter[str]) -> Reject:
    def reject(row: Rejected) -> None:
        rejected[row.reason] += 1

    return reject


def _finished(layout: Layout, plan: Json) -> set[int]:
    """Parts that are there with their tallies, as far as they belong to the plan."""
    sizes = plan.get("rows_of_blocks")
    there = _with_tally(layout)
    return there if sizes is None else there - layout.lacking_parts(len(sizes), sizes)


def _with_tally(layout: Layout) -> set[int]:
    """Parts that are there with their tallies."""
    tallies = {file.uri for file in storage.list_files(storage.join(layout.output, "_checkpoint"))}
    return {number for number in layout.finished_parts() if tally_file(layout, number) in tallies}


def _report(layout: Layout) -> str:
    return storage.join(layout.output, "_report")


def _processes(settings: FilterSettings) -> int:
    asked = settings.worker_range()
    return asked[1] if asked is not None and settings.teacher is None else os.cpu_count() or 1


def _run(settings: FilterSettings, teacher: ScorerSpec | None, layout: Layout, run: Run) -> Manifest:
    plan: Json | None = run.job.kept.get("plan")
    pool = None
    join_if_named()
    if teacher is not None:
        pool = teacher_stage.start(settings, teacher)
        run.clock.lap("start_ray")
        if plan is None or "precision" not in plan:
            plan = teacher_stage.measured(settings, teacher, pool) | (plan or {})
            run.clock.lap("measure")
    checkpoint = storage.join(layout.output, "_checkpoint")
    run.give_way(layout, [layout.prepared, layout.rejected, _report(layout), checkpoint])
    plan = plan or {"block_groups": BLOCK_GROUPS}
    run.save(plan=plan)
    done_before = _finished(layout, plan)
    task = JudgeTask(
        layout,
        None if settings.clear else settings.judge(),
        settings.samples,
        settings.seed,
        for_teacher=teacher is not None,
    )
    if teacher is None or not _all_prepared(layout, plan, done_before):
        plan |= _judge_blocks(settings, task, plan["block_groups"], done_before, run.lease)
        run.save(plan=plan)
        run.clock.lap("judge")
    sizes: list[int] = plan["rows_of_blocks"]
    layout.refuse_foreign_tables(len(sizes))
    if teacher is not None and pool is not None:
        teacher_stage.compare(settings, teacher, task, plan, pool, done_before, run.lease)
        run.clock.lap("compare")
    run.lease.check()
    missing = sorted(set(range(len(sizes))) - _with_tally(layout))
    if missing:
        raise JobFailed(f"{layout.part(missing[0])} is not there, though all is judged; run the same command again")
    tally, languages = _tally(settings, layout, len(sizes)), _languages(settings)
    if not settings.clear:
        write_report(_report(layout), tally, languages, plan["rejected"])
    rows = sum(sizes)
    report = as_json(tally, languages, plan["rejected"])
    del report["samples"]
    resumed = sum(sizes[number] for number in done_before if number < len(sizes))
    manifest = run.finish(
        blocks=len(sizes),
        rows={
            "in": rows + sum(plan["rejected"].values()),
            "out": rows,
            "rejected": plan["rejected"],
            "resumed": resumed,
        },
        documents=plan["documents"],
        report=None if settings.clear else report,
    )
    ROWS_RESUMED.add(resumed)
    storage.delete(layout.prepared)
    _say_finished(settings, layout, manifest)
    return manifest


def _all_prepared(layout: Layout, plan: Json, done: set[int]) -> bool:
    """Whether every block that the teacher has not compared yet lies ready."""
    sizes = plan.get("rows_of_blocks", ())
    return {"rows_of_blocks", "documents", "rejected"} <= plan.keys() and all(
        number in done or storage.exists(layout.block(number)) for number in range(len(sizes))
    )


def _judge_blocks(settings: FilterSettings, task: JudgeTask, block_groups: int, done: set[int], lease: Lease) -> Json:
    """Judge the blocks that have no part, and set aside what is no group. Returns the counts for the plan.

    A resumed job reads the whole input too, so that the rows that are set aside are written once, whole.
    """
    sizes: list[int] = []
    documents = 0
    rejected = Counter[str]()

    def unfinished(progress: Progress, reject: Reject) -> Iterator[Block]:
        nonlocal documents

        def reject_and_count(row: Rejected) -> None:
            rejected[row.reason] += 1
            reject(row)

        for block in blocks(storage.absolute(settings.groups), settings.limit, block_groups, reject_and_count):
            sizes.append(len(block.groups))
            documents += sum(len(group.docs) for group in block.groups)
            if block.number in done:
                progress.advance(len(block.groups), "done before")
            else:
                yield block

    with (
        rejected_file(storage.join(task.layout.rejected, "rejected.parquet")) as reject,
        Progress("groups", None) as progress,
    ):
        progress.advance(0, "judging")
        for figures in do_blocks(task, unfinished(progress, reject), _processes(settings)):
            lease.check()
            progress.advance(figures["groups"])
            if not task.for_teacher:
                ROWS_DONE.add(figures["groups"])
    ROWS_READ.add(sum(sizes) + rejected.total())
    return {"rows_of_blocks": sizes, "documents": documents, "rejected": dict(rejected)}


def _say_finished(settings: FilterSettings, layout: Layout, manifest: Manifest) -> None:
    rows, report = manifest["rows"], manifest["report"]
    if report is None:
        say(f"finished: {rows['out']:,} groups without what filters added; {layout.output}")
    else:
        documents, groups = report["documents"], report["groups"]
        say(
            f"finished: {groups['total']:,} groups ({groups.get('unusable', 0):,} no longer to train on), "
            f"{documents['total']:,} documents, {documents.get('flagged', 0):,} flagged; {_report(layout)}/report.md"
        )
        for reason, count in report["reasons"].items():
            say(f"{count:,} {reason}")
        for why in (NO_ORIGIN, OTHER_LANGUAGES):
            if groups.get(why):
                say(f"{groups[why]:,} groups were not judged: {why}")
    if rows["rejected"]:
        say(f"rows that are no groups: {counted(rows['rejected'])}; see {layout.rejected}")


def _dry_run(settings: FilterSettings, teacher: ScorerSpec | None) -> dict[str, Any]:
    """Count everything, judge the first block, and print the time that the rest will take."""
    rejected = Counter[str]()
    counts = Counter[str]()
    seconds = 0.0
    judge = None if settings.clear else settings.judge()
    tally = Tally()
    with Progress("groups read", None) as progress:
        for block in blocks(storage.absolute(settings.groups), settings.limit, BLOCK_GROUPS, _counting(rejected)):
            if block.number == 0 and judge is not None:
                began = time.monotonic()
                for row, group in enumerate(block.groups):
                    tally.count(row, judge.judged(group), judge, 0, settings.seed)
                seconds = time.monotonic() - began
            counts.update(groups=len(block.groups), documents=sum(len(group.docs) for group in block.groups))
            progress.advance(len(block.groups))
    per_document = seconds / max(tally.documents.total(), 1)
    plan: dict[str, Any] = {
        "groups": counts["groups"],
        "documents": counts["documents"],
        "set_aside": dict(rejected),
        "processes": _processes(settings),
        "hours": round(per_document * counts["documents"] / _processes(settings) / 3600, 4),
        "flagged_of_the_first": f"{tally.documents['flagged']:,} of {tally.documents.total():,} documents",
        "reasons_of_the_first": dict(tally.reasons),
    }
    if teacher is not None:
        plan |= teacher_stage.dry_run(settings, teacher, 2 * counts["documents"])
    show_plan(plan)
    return plan
