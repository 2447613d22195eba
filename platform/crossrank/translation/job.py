"""`crossrank translate`, from settings to translated groups.

Wrong input is named, and a job that is finished already ends, before Ray is started; a job whose texts are all in the
memory never starts it, and only joins a cluster that is named, to be counted there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, cast

from crossrank import storage
from crossrank.errors import InputError
from crossrank.formats.group_files import fingerprint_of_groups
from crossrank.formats.group_order import glancing
from crossrank.resumable.clock import Clock
from crossrank.resumable.job import Job, Run, announce, begin
from crossrank.resumable.joining import join_if_named
from crossrank.resumable.layout import Layout
from crossrank.resumable.manifest_shape import Shape, is_count
from crossrank.resumable.output import Manifest
from crossrank.resumable.settings import that_affect_output
from crossrank.telemetry.figures import counted
from crossrank.telemetry.progress import Waiting, say
from crossrank.telemetry.verb_scope import verb_scope
from crossrank.translation import parts
from crossrank.translation.backend import Backend
from crossrank.translation.backends.registry import backend_of, on_workers
from crossrank.translation.dry_run import dry_run
from crossrank.translation.execution import TranslationWork, spending_of, spent_file
from crossrank.translation.lookup import Lookup
from crossrank.translation.memory.store import Memory
from crossrank.translation.plan import TranslationPlan, prepare, read_plan, refuse_unusable, still_missing
from crossrank.translation.service import PaidBackend
from crossrank.translation.settings import TranslateSettings

KIND = "translate"
FORMAT = 1
"""Version of the output. Raise it when a change makes it impossible to go on with a job."""
READ_AGAIN: Mapping[str, Shape] = {"parts": is_count, "rows": {"out": is_count}}
"""What is read from the manifest of a finished job."""

Translates = PaidBackend | Backend | None


@verb_scope(KIND)
def translate(settings: TranslateSettings) -> dict[str, Any]:
    """Translate the queries and documents of groups, each text once in its life.

    What is translated is kept in a translation memory (--memory) that all jobs share. Run the same command again
    after a kill and it goes on where it was; a finished job does nothing and says so.
    """
    started = announce()
    layout = Layout(storage.absolute(settings.output))
    with Waiting("looking at the back-end and the groups"):
        backend = backend_of(settings)
        if backend is not None and settings.is_paid:
            backend.check()
        identity = _identity(settings, backend)
    job = Job.of(KIND, settings, identity, started, READ_AGAIN, num_parts="parts")
    if settings.dry_run:
        with glancing():
            refuse_unusable(settings)
        return dry_run(settings, backend, lambda memory: lookup_of(settings, backend, memory), job.output)
    if job.is_finished and job.lacks_nothing(_lacking(settings, layout, job.kept)):
        return job.nothing_to_do(f"{job.kept['rows']['out']:,} groups")
    if not storage.exists(layout.plan) or job.is_replaced:
        with Waiting("looking into the groups"), glancing():
            refuse_unusable(settings)
    of_backend = None if backend is None else backend.identity
    with begin(job, backend=of_backend, memory=settings.memory_folder) as run:
        return _run(settings, backend, layout, run)


def _lacking(settings: TranslateSettings, layout: Layout, before: Manifest) -> set[int]:
    """Parts of a finished job that are gone or damaged since."""
    return layout.lacking_parts(before["parts"], parts.sizes_of(before["rows"]["out"], settings.groups_per_part))


def lookup_of(settings: TranslateSettings, backend: Translates, memory: Memory) -> Lookup:
    """The lookup of texts in a memory: under the back-end, or under all that translated between the languages."""
    if backend is not None:
        limit = cast(PaidBackend, backend).limit_bytes if settings.is_paid else None
        return Lookup(memory, [backend.identity], settings.target, limit, failures=not settings.retry_failed)
    pair = {"source": settings.source, "target": settings.target}
    others = [each for each in memory.identities if {name: each.get(name) for name in pair} == pair]
    others.sort(key=lambda each: each.get("backend") != "imported")  # what people brought goes before machines
    limit = _least_limit(others)
    return Lookup(memory, others or [pair], settings.target, limit, failures=True)


def _least_limit(identities: list[dict[str, Any]]) -> int | None:
    """The request limit by which long texts were cut, where Amazon translated; None where no back-end cuts texts."""
    from crossrank.translation.backends.amazon import LIMIT_BYTES

    return LIMIT_BYTES if any(each.get("backend") == "amazon" for each in identities) else None


def _identity(settings: TranslateSettings, backend: Translates) -> dict[str, Any]:
    changing = {name: value for name, value in that_affect_output(settings).items() if name != "groups"}
    identity: dict[str, Any] = {
        "format": FORMAT,
        "settings": changing,
        "backend": None if backend is None else backend.identity,
        "inputs": {"groups": fingerprint_of_groups(storage.absolute(settings.groups))},
    }
    if backend is None:  # the memory alone decides what comes out
        identity["inputs"]["memory"] = Memory.reading(settings.memory_folder).state
    return identity


def _run(settings: TranslateSettings, backend: Translates, layout: Layout, run: Run) -> Manifest:
    join_if_named({"--model": settings.model})
    with _memory(settings, backend) as memory:
        lookup = lookup_of(settings, backend, memory)
        spending = spending_of(settings, layout.output, afresh=run.job.is_replaced)
        work = TranslationWork(settings, memory, lookup, spending)
        resumed_usd = spending.usd

        def judged() -> None:
            unpaid = [] if spending.characters else [spent_file(layout.output)]
            run.give_way(layout, [layout.rejected, *unpaid])  # the memory stays

        planned_with = None if run.job.is_replaced else memory.folder
        figures, plan = _fill_memory(work, backend, layout, planned_with, run.clock, judged)
    num_parts = len(parts.sizes_of(plan.groups, settings.groups_per_part))
    layout.refuse_foreign_tables(num_parts)
    run.lease.check()
    # A failure is an answer by now, that of a text that was asked for again as well.
    lookup = lookup_of(settings, backend, memory)
    resumed = parts.write_parts(settings, lookup, layout, plan.groups)
    run.clock.lap("write")
    storage.copy(layout.prepared_rejected, storage.join(layout.rejected, "rejected.parquet"))
    found = parts.total(layout, num_parts)
    rejected = sum(sum(reasons.values()) for reasons in plan.rejected.values())
    manifest = run.finish(
        parts=num_parts,
        rows={"in": plan.groups + rejected, "out": found["groups"], "rejected": rejected, "resumed": resumed},
        rejected=plan.rejected,
        texts={
            "all": plan.texts,
            "unique": asdict(plan.unique),
            "in_memory": asdict(plan.held),
            "missing": asdict(plan.missing),
        },
        translation=figures,
        failed_queries=found["failed_queries"],
        documents={name: found[name] for name in sorted(found) if "documents" in name},
        spent={"characters": spending.characters, "usd": spending.usd, "usd_of_earlier_runs": resumed_usd},
    )
    _say_finished(settings, layout, manifest)
    return manifest


@contextmanager
def _memory(settings: TranslateSettings, backend: Translates) -> Iterator[Memory]:
    if backend is None:
        yield Memory.reading(settings.memory_folder)
        return
    with Memory.writing(settings.memory_folder) as memory:
        yield memory


def _fill_memory(
    work: TranslationWork,
    backend: Translates,
    layout: Layout,
    planned_with: str | None,
    clock: Clock,
    judged: Callable[[], None],
) -> tuple[dict[str, Any], TranslationPlan]:
    """Prepare the job, and translate what the memory lacks.

    Args:
        planned_with: the memory that a plan may have been made with; None where a new one is made.
        judged: called when all is judged, to write the manifest and remove what an earlier run left.
    """
    settings, memory, lookup = work.settings, work.memory, work.lookup
    tried: list[PaidBackend | Backend] = []

    def try_first(text: str) -> None:
        if backend is None or tried:
            return
        if settings.is_paid:
            paid = cast(PaidBackend, backend).with_local_settings()
            work.try_first(paid, text)
            tried.append(paid)
        else:
            backend.check()
            tried.append(backend)

    plan = None if planned_with is None else read_plan(layout, planned_with)
    is_resumed = plan is not None
    if plan is None:
        plan = prepare(settings, lookup, layout, memory.folder, try_first, judged)
    clock.lap("prepare")
    say(
        f"{plan.groups:,} groups with {plan.texts:,} texts, {plan.unique.texts:,} of them different; the memory has "
        f"{plan.held.texts:,}, {plan.missing.texts:,} are missing"
    )
    if backend is None and plan.missing.texts and not plan.held.texts:
        raise InputError(
            f"the memory {settings.memory_folder} has none of the {plan.missing.texts:,} texts of {settings.groups}; "
            f"name the --memory that has them, or translate them with --backend amazon or seq2seq"
        )
    if backend is None or not plan.missing.texts:
        return {}, plan
    work.missing = plan.missing.texts
    with Waiting("looking for what earlier runs translated"):
        left = sum(1 for _ in still_missing(layout, lookup)) if is_resumed or tried else plan.missing.texts
    work.done_before = plan.missing.texts - left
    figures: dict[str, Any] = {}
    if left:
        try_first(next(still_missing(layout, lookup)))
        figures = _translate(work, tried[0], still_missing(layout, lookup))
        clock.lap("translate")
    return figures | {"done_before": work.done_before}, plan


def _translate(work: TranslationWork, backend: PaidBackend | Backend, texts: Iterator[str]) -> dict[str, Any]:
    from crossrank.resumable import on_ray

    settings = work.settings
    first = next(texts, None)
    if first is None:
        return {}
    rest = _with_first(first, texts)
    if settings.is_paid:
        from crossrank.translation.on_ray.services import asking

        pool = on_ray.start_workers(replace(settings.wanted(), gpus=0.0, accelerator=None), {})
        with asking(cast(PaidBackend, backend), pool, settings.concurrency) as ask:
            return work.ask_for(rest, ask)
    pool = on_ray.start_workers(settings.wanted(), {"--model": settings.model})
    return work.compute(rest, on_workers(cast(Backend, backend), bool(pool.gpus)), pool)


def _with_first(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _say_finished(settings: TranslateSettings, layout: Layout, manifest: Manifest) -> None:
    documents = manifest["documents"]
    paid = f", {manifest['spent']['usd']:,.2f} USD spent" if settings.is_paid else ""
    say(
        f"finished: {manifest['rows']['out']:,} groups, {documents['translated_documents']:,} documents translated"
        f"{paid}; {layout.output}"
    )
    if documents["flagged_documents"]:
        say(
            f"{documents['flagged_documents']:,} documents are flagged, since they or their queries "
            f"({manifest['failed_queries']:,}) have no translation: nobody trains on them"
        )
    if documents["documents_without_text"]:
        say(f"{documents['documents_without_text']:,} documents name a text of a corpus, and have none to translate")
    for source, reasons in manifest["rejected"].items():
        say(f"set aside of {source}: {counted(reasons)}; see {layout.rejected}")
