"""The output: translated groups in their order, in parts that are written whole, with figures beside each part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from itertools import islice
from typing import Any

import pyarrow.parquet as pq

from crossrank import storage
from crossrank.errors import JobFailed
from crossrank.formats.group_rows import group_of
from crossrank.formats.groups_parquet import write_groups
from crossrank.records import Group
from crossrank.resumable.layout import Layout
from crossrank.resumable.output import read_json, write_json
from crossrank.resumable.parts import read_part
from crossrank.telemetry.job_metrics import ROWS_DONE, ROWS_RESUMED
from crossrank.telemetry.progress import Progress
from crossrank.translation.apply import Figures, texts_of, translated
from crossrank.translation.lookup import NOT_IN_MEMORY, Lookup
from crossrank.translation.settings import TranslateSettings
from crossrank.translation.source import read_source

AT_ONCE = 200
"""Groups whose texts are looked up together."""


def sizes_of(groups: int, groups_per_part: int) -> list[int]:
    """Number of groups in each part."""
    return [min(groups_per_part, groups - first) for first in range(0, groups, groups_per_part)]


def write_parts(settings: TranslateSettings, lookup: Lookup, layout: Layout, groups: int) -> int:
    """Write the parts that are not there. Returns the number of groups in those that were."""
    sizes = sizes_of(groups, settings.groups_per_part)
    lacking = layout.lacking_parts(len(sizes), sizes)
    lacking |= {number for number in range(len(sizes)) if number not in lacking and not _has_figures(layout, number)}
    done_before = sum(size for number, size in enumerate(sizes) if number not in lacking)
    source = read_source(settings, lambda row: None)
    ROWS_RESUMED.add(done_before)
    with Progress("groups", groups, done_before) as progress:
        for number, size in enumerate(sizes):
            part = islice(source, size)
            if number not in lacking:
                for _ in part:
                    progress.tick()
                continue
            figures = Figures()
            storage.delete(_figures_of(layout, number))  # figures of a part that is replaced when the new one is whole
            written = write_groups(layout.part(number), _translated(settings, lookup, part, figures, progress))
            write_json(_figures_of(layout, number), asdict(figures))
            if written != size:
                storage.delete(layout.part(number))
                raise JobFailed(
                    f"{settings.groups} changed while it was translated: part {number} has {written:,} groups; run the "
                    f"same command again with --overwrite"
                )
            ROWS_DONE.add(written)
    return done_before


def _has_figures(layout: Layout, number: int) -> bool:
    """Whether the figures of a part are there, or could be counted again from the part, if it can be read."""
    if storage.exists(_figures_of(layout, number)):
        return True
    rows = read_part(layout.part(number), lambda file: pq.ParquetFile(file).read().to_pylist())
    if rows is None:
        return False
    write_json(_figures_of(layout, number), asdict(Figures.of(map(group_of, rows))))
    return True


def total(layout: Layout, parts: int) -> dict[str, int]:
    """Figures over all parts."""
    sums = {each.name: 0 for each in fields(Figures)}
    for number in range(parts):
        kept: dict[str, Any] = read_json(_figures_of(layout, number))
        for name in sums:
            sums[name] += kept[name]
    return sums


def _translated(
    settings: TranslateSettings, lookup: Lookup, groups: Iterator[Group], figures: Figures, progress: Progress
) -> Iterator[Group]:
    while chunk := list(islice(groups, AT_ONCE)):
        outcomes = lookup.outcomes(text for group in chunk for text in texts_of(group))
        if settings.backend != "memory":
            _refuse_gaps(settings, sum(outcome.error == NOT_IN_MEMORY for outcome in outcomes.values()))
        for group in chunk:
            yield translated(group, outcomes, settings.source, settings.target, figures)
        progress.advance(len(chunk))


def _refuse_gaps(settings: TranslateSettings, gaps: int) -> None:
    if gaps:
        raise JobFailed(
            f"the translation memory {settings.memory_folder} lost {gaps:,} texts while the job ran; run the same "
            f"command again with --overwrite, and they are translated again"
        )


def _figures_of(layout: Layout, number: int) -> str:
    return storage.join(layout.prepared, f"figures-{number:05}.json")
