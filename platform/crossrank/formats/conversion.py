"""Conversion of groups from one format to another, for `crossrank convert`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from crossrank import storage
from crossrank.config.nearest import in_place_of
from crossrank.errors import InputError, SettingsError, UserError
from crossrank.formats import FORMATS, Format
from crossrank.formats.group_files import name_of_form
from crossrank.formats.set_aside import PRINTED_ROWS, SetAside, first_rows_printer
from crossrank.formats.sources import PARQUET, has_extension, refuse_other_extension
from crossrank.records import Group, Reject, Rejected
from crossrank.telemetry.figures import counted
from crossrank.telemetry.progress import say
from crossrank.telemetry.verb_scope import verb_scope


class ConversionCounts(NamedTuple):
    """The fate of the input: ``read == written + rejected``."""

    read: int
    """Groups read, and rows rejected while reading."""
    written: int
    """Groups written."""
    rejected: int
    """Rows that could not be read, and groups that the target cannot hold."""


def convert(source_format: str, target_format: str, source: str, target: str, reject: Reject) -> ConversionCounts:
    """Read groups in one format and write them in another, one at a time.

    A group that the target cannot hold is rejected with the line it was read from; none is changed to fit. What a
    format has no place for is left out: the file of each format says what it holds. Of a file the name decides
    whether groups are Parquet or JSON lines, and whether it is packed.

    Raises:
        SettingsError: a format that is not in `FORMATS`, or not for that direction; a name of `target` that says that
            it holds something else.
        InputError: `source` is not there, or is not of its format as a whole.
        OutputError: `target` cannot be written. Then nothing is there of it.
    """
    return _converted(source_format, target_format, source, target, _Passage(source, reject))


def _converted(source_format: str, target_format: str, source: str, target: str, passage: _Passage) -> ConversionCounts:
    read = _format(source_format, "--from", [name for name, form in FORMATS.items() if form.reads_groups]).read
    form = _format(target_format, "--to", [name for name, form in FORMATS.items() if form.writes_groups])
    write = form.write
    assert read is not None and write is not None  # noqa: PT018 - `_format` has seen to it
    packs = bool(form.extensions) and not has_extension(target, PARQUET)
    refuse_other_extension("OUT", target, f"files of {target_format}", form.extensions, packs=packs)
    storage.refuse_overwriting("OUT", target, IN=source)
    written = write(target, passage.groups(read(source, passage.reject_row)), passage.reject_group)
    return ConversionCounts(passage.read, written, passage.rejected)


@verb_scope("convert")
def convert_and_report(source_format: str, target_format: str, source: str, target: str) -> ConversionCounts:
    """Convert as `convert` does, and print the first rejected rows and the counts.

    Raises:
        InputError: as `convert`; and where no row could be written, which leaves `target` as it was.
    """
    aside = SetAside(first_rows_printer())

    def refuse_nothing(read: int, written: int) -> None:
        if aside.total > PRINTED_ROWS:
            say(f"in all {counted(aside.counts)}")
        if not read:
            raise InputError(f"{source} is empty: there is nothing to write as {target_format}; check the path")
        if not written:
            raise InputError(
                f"of {read:,} rows of {source} none could be written as {target_format} ({aside.in_words()}); "
                f"check whether it is {source_format}{_instead(source, source_format)}"
            )

    was_there = storage.exists(target)
    try:
        counts = _converted(source_format, target_format, source, target, _Passage(source, aside, refuse_nothing))
    except InputError:
        if not was_there:
            storage.delete(target)  # a folder, whose files were not written
        raise
    say(f"{counts.read:,} read, {counts.written:,} written, {counts.rejected:,} rejected; {target}")
    return counts


def _instead(source: str, source_format: str) -> str:
    """The end of a sentence with the format that a file seems to have, where it is another than the one given."""
    try:
        name = name_of_form(source)
    except UserError:
        return ""
    return f": its keys are those of --from {name}" if name not in (None, source_format) else ""


class _Passage:
    """The groups on their way. Writers take one at a time, so the one that is refused is the one read last.

    Args:
        ended: called behind the last group, before anything is at its place, with how many were read and written. What
            it raises leaves the target as it was.
    """

    def __init__(self, source: str, reject: Reject, ended: Callable[[int, int], None] | None = None) -> None:
        self.read = 0
        self.rejected = 0
        self._source = source
        self._line: int | None = None
        self._reject = reject
        self._ended = ended

    def groups(self, located: Iterator[tuple[int, Group]]) -> Iterator[Group]:
        for self._line, group in located:
            self.read += 1
            yield group
        if self._ended is not None:
            self._ended(self.read, self.read - self.rejected)

    def reject_row(self, rejected: Rejected) -> None:
        self.read += 1
        self.rejected += 1
        self._reject(rejected)

    def reject_group(self, rejected: Rejected) -> None:
        self.rejected += 1
        self._reject(replace(rejected, source=self._source, line=self._line))


def _format(name: str, flag: str, usable: list[str]) -> Format:
    if name not in usable:
        raise SettingsError(f"{flag} {name} is not a format that can be used there; {in_place_of(name, usable)}")
    return FORMATS[name]
