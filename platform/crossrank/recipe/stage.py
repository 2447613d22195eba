"""A stage of the chain: what it runs, where its result is, and how it knows that it is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from crossrank import storage
from crossrank.config.command_line import command_of
from crossrank.errors import OutputError
from crossrank.formats.group_files import fingerprint_of_groups
from crossrank.records import Json
from crossrank.resumable.differences import Named, in_words
from crossrank.resumable.output import manifest_of, read_json, write_json
from crossrank.resumable.settings import JobSettings
from crossrank.storage import files
from crossrank.storage.content_hash import fingerprint
from crossrank.telemetry.progress import say


class Stage(Protocol):
    """What a recipe runs, one after another."""

    @property
    def name(self) -> str:
        """Of its section, or of what it prepares for one."""

    @property
    def command(self) -> str:
        """The command that does the same alone; empty where there is none."""

    @property
    def product(self) -> str:
        """What is there when it is done."""

    @property
    def continues(self) -> bool:
        """Whether it takes the result of an earlier stage, so that nothing is known of it before."""

    def run(self, afresh: bool) -> None:
        """Do it, go on with it, or say that it is done."""

    def is_done(self) -> bool:
        """Whether it ended, under whatever settings; nothing is read for that but a note."""

    def plan(self) -> None:
        """Say what it would do."""


@dataclass(frozen=True, slots=True)
class VerbStage:
    """A verb that keeps a manifest in its output: it knows itself where it was, and refuses other settings."""

    name: str
    settings: Any
    function: Callable[[Any], Any]
    continues: bool = True

    @property
    def command(self) -> str:
        return command_of([self.name], self.settings)

    @property
    def product(self) -> str:
        return str(self.settings.output)

    def run(self, afresh: bool) -> None:
        self.function(replace(self.settings, overwrite=True) if afresh else self.settings)

    def is_done(self) -> bool:
        manifest = manifest_of(self.product)
        return storage.exists(manifest) and read_json(manifest).get("state") == "finished"

    def plan(self) -> None:
        if isinstance(self.settings, JobSettings):
            self.function(replace(self.settings, dry_run=True))
        else:
            say(f"{self.name} has no dry run")


@dataclass(frozen=True, slots=True)
class Noted:
    """What keeps no manifest, such as a conversion: the recipe notes that it was done, and from what."""

    name: str
    command: str
    product: str
    note: str
    """Where that is noted."""
    reads: str
    settings: Json
    """What has to be the same, beside what it reads, for it to count as done."""
    act: Callable[[], Any]
    continues: bool

    def run(self, afresh: bool) -> None:
        identity = {"settings": self.settings, "inputs": {"input": _fingerprint(storage.absolute(self.reads))}}
        named = self.settings | {"input": self.reads}
        before = read_json(self.note) if storage.exists(self.note) else None
        if before is not None and not afresh and storage.exists(self.product):
            differences = in_words(before, identity, Named(named, {}))
            if differences:
                raise OutputError(
                    f"{self.product} holds a job with other settings ({'; '.join(differences)}); start afresh with "
                    f"--overwrite {self.name}, or name another output"
                )
            say(f"{self.product} is finished; nothing to do")
            return
        storage.delete(self.note)  # what it says of the product is no longer so
        self.act()
        write_json(self.note, {"identity": identity, "settings": named, "finished": time.time()})

    def is_done(self) -> bool:
        return storage.exists(self.note) and storage.exists(self.product)

    def plan(self) -> None:
        if _is_on_hub(self.reads):
            say(f"{self.name} reads {self.reads}")
            return
        files = storage.list_files(storage.absolute(self.reads), recursive=True)
        if not files:
            raise storage.absent(self.reads)
        say(f"{self.name} reads {len(files):,} files, {sum(file.num_bytes for file in files) / 1e6:,.1f} MB")


def _is_on_hub(uri: str) -> bool:
    return files.SCHEME.match(uri) is not None and not storage.is_s3(uri)


def _fingerprint(uri: str) -> str:
    """Of the content; of a data set on a hub its name is all that there is."""
    if _is_on_hub(uri):
        return uri
    if storage.exists(manifest_of(uri)):  # a job's output, in which more than its groups may change
        return fingerprint_of_groups(uri)
    return fingerprint(uri)
