"""Prepare a job: find the unique texts and which of them the memory lacks. The plan is kept, so this is done once."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crossrank import storage
from crossrank.formats.set_aside import SetAside
from crossrank.records import Reject, Rejected
from crossrank.resumable.layout import Layout
from crossrank.resumable.output import read_json, remove, write_json
from crossrank.resumable.rejects import rejected_file
from crossrank.storage.node_cache import writable_cache
from crossrank.telemetry.job_metrics import ROWS_READ
from crossrank.telemetry.progress import Progress
from crossrank.translation.apply import texts_of
from crossrank.translation.lookup import Lookup, Unit
from crossrank.translation.settings import TranslateSettings
from crossrank.translation.source import read_source
from crossrank.translation.unique import UniqueTexts

BATCH_TEXTS = 8192
EARLY_TEXTS = 1000
"""Texts among which one that is missing is looked for before all are read, to try the service with it."""
LEFT_S = 86_400.0
"""Seconds without a write after which a scratch folder is taken for that of a killed job: texts are collected in
minutes."""
MISSING_SCHEMA = pa.schema([("text", pa.large_string())])


@dataclass(slots=True)
class Count:
    """Texts, or pieces of long ones, and their size."""

    texts: int = 0
    characters: int = 0
    num_bytes: int = 0

    def add(self, text: str) -> None:
        """Count one text."""
        self.texts += 1
        self.characters += len(text)
        self.num_bytes += len(text.encode())


@dataclass(slots=True)
class TranslationPlan:
    """The work of a job; kept in `_prepared/plan.json`."""

    memory: str
    """Folder of the memory that `missing` was looked up in."""
    groups: int = 0
    documents: int = 0
    texts: int = 0
    """Queries, titles and texts, as often as they come."""
    unique: Count = field(default_factory=Count)
    held: Count = field(default_factory=Count)
    """Unique texts that the memory holds."""
    missing: Count = field(default_factory=Count)
    rejected: dict[str, dict[str, int]] = field(default_factory=dict)
    """Rows that were set aside, by file and reason."""


def read_plan(layout: Layout, memory: str) -> TranslationPlan | None:
    """The plan of a job that is prepared with this memory; None for one that is not."""
    if not storage.exists(layout.plan):
        return None
    kept: dict[str, Any] = read_json(layout.plan)
    plan = TranslationPlan(**kept | {name: Count(**kept[name]) for name in ("unique", "held", "missing")})
    return plan if plan.memory == memory else None


def refuse_unusable(settings: TranslateSettings) -> None:
    """Refuse groups of which none can be translated, with the first reason; reads up to the first that can."""
    set_aside = SetAside()
    if next(read_source(settings, set_aside), None) is None:
        raise set_aside.nothing_usable(settings.groups, f"group in {settings.source}", "check --groups, and --source")


def prepare(
    settings: TranslateSettings,
    lookup: Lookup,
    layout: Layout,
    memory: str,
    first_missing: Callable[[str], None],
    begin: Callable[[], None],
) -> TranslationPlan:
    """Read the groups, write the texts that are missing, then the plan.

    Args:
        first_missing: called with one text that is missing, as early as one is found.
        begin: called when all is judged, to write the manifest and remove what an earlier run left.
    """
    remove(layout.prepared)
    with rejected_file(layout.prepared_rejected) as reject, storage.writing(missing_file(layout)) as stream:
        plan = TranslationPlan(memory)
        with pq.ParquetWriter(stream, MISSING_SCHEMA, compression="zstd") as writer:
            for texts in find_missing(settings, lookup, plan, reject, first_missing):
                writer.write_table(pa.table({"text": texts}, schema=MISSING_SCHEMA))
    begin()
    write_json(layout.plan, asdict(plan))
    ROWS_READ.add(plan.groups + sum(sum(reasons.values()) for reasons in plan.rejected.values()))
    return plan


def find_missing(
    settings: TranslateSettings,
    lookup: Lookup,
    plan: TranslationPlan,
    reject: Reject,
    first_missing: Callable[[str], None],
) -> Iterator[list[str]]:
    """Fill in the plan, and yield the texts that are missing, each once, in batches.

    Raises:
        InputError: no row is a group in the language.
    """
    rejected: dict[str, Counter[str]] = {}

    def count(row: Rejected) -> None:
        rejected.setdefault(row.source, Counter())[row.reason] += 1
        aside(row)

    aside = SetAside(reject)
    first: Unit | None = None
    with _scratch() as folder, Progress("groups read", None) as progress:
        unique = UniqueTexts(Path(folder))
        for group in read_source(settings, count):
            plan.groups += 1
            plan.documents += len(group.docs)
            for text in texts_of(group):
                plan.texts += 1
                for unit in lookup.units(text):
                    if first is None and plan.texts <= EARLY_TEXTS and not lookup.is_known([unit])[0]:
                        first = unit
                        first_missing(unit.text)
                    unique.add(unit)
            progress.advance(1)
        what = f"group in {settings.source}"
        aside.refuse_if_all(plan.groups, settings.groups, what, "check --groups, and --source")
        for units in _batches(iter(unique)):
            missing = []
            for unit, is_known in zip(units, lookup.is_known(units).tolist(), strict=True):
                is_known = is_known and unit != first  # it was missing, and is known since it was tried
                for number in (plan.unique, plan.held if is_known else plan.missing):
                    number.add(unit.text)
                if not is_known:
                    missing.append(unit.text)
            progress.tick()
            if missing:
                yield missing
    plan.rejected = {source: dict(reasons) for source, reasons in rejected.items()}


def _scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for texts that do not fit in memory; folders that killed jobs left beside it are removed."""
    scratch = storage.cache_folder() / "scratch"
    with writable_cache(scratch):
        for left in scratch.iterdir():
            with suppress(FileNotFoundError):  # another job may end meanwhile
                if time.time() - left.stat().st_mtime > LEFT_S:
                    shutil.rmtree(left, ignore_errors=True)
        return tempfile.TemporaryDirectory(dir=scratch)


def missing_file(layout: Layout) -> str:
    """The file of the texts that were missing when the job was prepared."""
    return storage.join(layout.prepared, "missing.parquet")


def still_missing(layout: Layout, lookup: Lookup) -> Iterator[str]:
    """The texts of `missing_file` that the memory lacks now."""
    with storage.open_seekable(missing_file(layout)) as stream:
        for batch in pq.ParquetFile(stream).iter_batches(1024):
            units = [unit for text in batch.column("text").to_pylist() for unit in lookup.units(text)]
            known = lookup.is_known(units).tolist()
            yield from (unit.text for unit, is_known in zip(units, known, strict=True) if not is_known)


def _batches(units: Iterator[Unit]) -> Iterator[list[Unit]]:
    while batch := list(islice(units, BATCH_TEXTS)):
        yield batch
