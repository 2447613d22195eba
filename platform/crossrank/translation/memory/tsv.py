r"""A translation memory as TSV, to be read, mended and brought from elsewhere.

    source <tab> translation [<tab> error] [<tab> identity]

The first line names the columns. In a text a tab is ``\t``, a line end ``\n`` or ``\r``, a backslash ``\\``. `identity`
is the back-end as JSON; where the file has none, the flags say whose translations they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Literal

from crossrank import storage
from crossrank.config.settings import CheckedSettings, option
from crossrank.errors import InputError, SettingsError, listed
from crossrank.formats.lines import read_lines, writing_lines
from crossrank.formats.set_aside import SetAside, first_rows_printer
from crossrank.formats.sources import TSV, refuse_other_extension
from crossrank.records import Reason, Rejected
from crossrank.telemetry.progress import Progress, say
from crossrank.translation.keys import TextKeys, normalised
from crossrank.translation.memory.blocks import Entry
from crossrank.translation.memory.store import Memory

COLUMNS = ("source", "translation", "error", "identity")
BLOCK = 1000
"""Entries of one block of the log."""
WANTED = "write a source and its translation on each line, with a tab between them"
"""The way out for a file without a translation."""
ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
SIGNS = {escaped: sign for sign, escaped in ESCAPES.items()}
ESCAPED = re.compile(r"\\.")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportSettings(CheckedSettings):
    """The memory to write, and the file to write it to."""

    memory: str = option(help="Folder of the translation memory, local or s3://.")
    output: str = option(help="TSV file to write, packed if it ends in .gz.")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportSettings(CheckedSettings):
    """The file to read, the memory to read it into, and the back-end of the translations."""

    memory: str = option(help="Folder of the translation memory, local or s3://.")
    input: str = option(help="TSV file to read: source, translation, and perhaps error and identity.")
    source: str | None = option(None, help="Language of the sources, where the file has no identity.")
    target: str | None = option(None, help="Language of the translations, where the file has no identity.")
    backend: Literal["amazon", "imported"] = option(
        "imported", help="Back-end of the translations, where the file has no identity: amazon ones are not paid again."
    )
    formality: Literal["formal", "informal"] | None = option(None, help="Formality that amazon was asked for.")
    terminology: str | None = option(None, help="Name of the custom terminology that amazon used.")

    def check(self) -> None:
        storage.refuse_overwriting("--memory", self.memory, input=self.input)
        if (self.source is None) != (self.target is None):
            raise SettingsError(
                "--source and --target go together; give both, or neither where the file has an identity"
            )
        if self.source is not None and self.source == self.target:
            raise SettingsError(f"--source and --target are both {self.source}; name two languages")
        for name in ("formality", "terminology"):
            if getattr(self, name) is not None and self.backend != "amazon":
                raise SettingsError(f"--{name} is of --backend amazon; leave it out")

    def identity(self) -> dict[str, Any] | None:
        """Identity of the back-end of the translations; None where the file has to give it."""
        if self.source is None or self.target is None:
            return None
        if self.backend == "imported":
            return {"backend": "imported", "source": self.source, "target": self.target}
        from crossrank.translation.backends.amazon import AmazonBackend

        return AmazonBackend(self.source, self.target, self.formality, self.terminology).identity


def export_memory(settings: ExportSettings) -> int:
    """Write a translation memory as TSV: everything that it holds, with the back-end of each translation."""
    refuse_other_extension("--output", settings.output, "translations", TSV)
    memory = Memory.reading(settings.memory)
    if not len(memory):
        raise InputError(f"{settings.memory} holds no translation; check --memory")
    storage.refuse_overwriting("--output", settings.output, memory=settings.memory)
    written = 0
    with writing_lines(settings.output) as write, Progress("translations", None) as progress:
        write("\t".join(COLUMNS))
        for entry in memory.entries():
            write("\t".join(map(_cell, (entry.source, entry.translation, entry.error, entry.identity))))
            written += 1
            progress.advance(1)
    say(f"{written:,} translations written; {settings.output}")
    return written


def import_memory(settings: ImportSettings) -> int:
    """Read translations from TSV into a translation memory; those of the same text and back-end are replaced."""
    aside = SetAside(first_rows_printer())
    kept = 0
    entries = _entries(settings, aside)
    first = list(islice(entries, 1))  # before a memory is made for nothing
    aside.refuse_if_all(len(first), settings.input, "translation", WANTED)
    entries = chain(first, entries)
    with Memory.writing(settings.memory) as memory, Progress("translations", None) as progress:
        while block := list(islice(entries, BLOCK)):
            memory.add(block)
            kept += len(block)
            progress.advance(len(block))
    left_out = f", {aside.total:,} lines left out" if aside.total else ""
    say(f"{kept:,} translations read{left_out}; {settings.memory}")
    return kept


def _entries(settings: ImportSettings, aside: SetAside) -> Iterator[Entry]:
    """The translations of the file; a line that is none is reported and counted."""

    def leave_out(line: int | None, detail: str) -> None:
        aside(Rejected(settings.input, line, None, Reason.MALFORMED, detail))

    lines = read_lines(settings.input, aside)
    _, header = next(lines, (0, ""))
    if not header and aside.total:
        raise aside.nothing_usable(settings.input, "translation", WANTED)
    columns = header.split("\t")
    unknown = sorted(set(columns) - set(COLUMNS))
    if "source" not in columns or "translation" not in columns or unknown:
        found = f"begins with the columns {listed(columns)}" if header else "is empty"
        raise InputError(
            f"{settings.input} {found}; its first line names them: source, translation, and perhaps error and identity"
        )
    given = settings.identity()
    if given is None and "identity" not in columns:
        raise InputError(
            f"{settings.input} has no column identity; say whose it is by --source, --target and --backend"
        )
    keys: dict[str, TextKeys] = {}
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) != len(columns):
            leave_out(number, f"has {len(cells)} columns, and the first line names {len(columns)}")
            continue
        try:
            row = {name: _text(cell) for name, cell in zip(columns, cells, strict=True)}
            named = row.get("identity") or ""
            if named not in keys:
                keys[named] = TextKeys(_identity(named, given))
        except ValueError as error:
            leave_out(number, str(error))
            continue
        source, translation, failure = normalised(row["source"]), row["translation"], row.get("error") or None
        if not source or not (translation.strip() or failure):
            leave_out(number, "has no source, or neither a translation nor an error")
            continue
        of = keys[named]
        kept = None if failure else translation
        yield Entry(of.of(source), of.identity, source, kept, failure)


def _identity(named: str, given: dict[str, Any] | None) -> dict[str, Any]:
    if not named:
        if given is None:
            raise ValueError("has no identity, and no flags say whose it is")
        return given
    try:
        identity = json.loads(named)
    except ValueError:
        raise ValueError("has an identity that is not JSON") from None
    if not isinstance(identity, dict) or not {"backend", "source", "target"} <= identity.keys():
        raise ValueError("has an identity without backend, source and target")
    return identity


def _cell(text: str | None) -> str:
    return re.sub(r"[\\\t\n\r]", lambda match: ESCAPES[match.group()], text or "")


def _text(cell: str) -> str:
    def sign(match: re.Match[str]) -> str:
        if match.group() not in SIGNS:
            raise ValueError(f"has {match.group()}, which is none of {', '.join(SIGNS)}")
        return SIGNS[match.group()]

    if ESCAPED.sub("", cell).endswith("\\"):
        raise ValueError("ends with a lone backslash")
    return ESCAPED.sub(sign, cell)
