"""The groups of a run: which are trained on, and which are held out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from crossrank import storage
from crossrank.corpus.source import CorpusSource
from crossrank.errors import InputError, SettingsError
from crossrank.formats.group_files import fingerprint_of_groups, group_files
from crossrank.resumable.rejects import rejected_file
from crossrank.training.groups import GroupSource, GroupStore, Queries
from crossrank.training.level import parts_of
from crossrank.training.settings import TrainSettings

REJECTED = "_rejected"


@dataclass(frozen=True, slots=True)
class TrainingInputs:
    """Places of the groups. It travels to every node."""

    train: GroupSource
    validate: GroupSource | None
    fingerprints: dict[str, str]
    """Fingerprints of the input files, by setting."""
    level: GroupSource | None = None
    """Held-out groups that the level of the scores is fitted on, which `validate` then lacks."""

    def with_level(self) -> TrainingInputs:
        """The same inputs with held-out groups kept apart for the level of the scores, where there are enough."""
        if self.validate is None:
            return self
        validate, level = parts_of(self.validate)
        return replace(self, validate=validate, level=level)

    def read(self) -> TrainingGroups:
        """Convert the groups on this machine, where its cache lacks them.

        Raises:
            InputError: no group can be used to train on, or none of those held out.
        """
        validate, level = (part.open() if part else None for part in (self.validate, self.level))
        return TrainingGroups(self.train.open(), validate, level)


@dataclass(frozen=True, slots=True)
class TrainingGroups:
    """The groups themselves, as stores on this machine."""

    train: GroupStore
    validate: GroupStore | None
    level: GroupStore | None

    def write_rejected(self, output: str) -> None:
        """Write what was set aside of all groups to `_rejected/` of an output, with file, line and reason."""
        with rejected_file(storage.join(output, REJECTED, "rejected.parquet")) as reject:
            for store in (self.train, self.validate, self.level):
                for row in store.rejected() if store else ():
                    reject(row)

    def counts(self) -> dict[str, Any]:
        """Counts for the manifest: groups, documents and what was set aside, by use."""
        named = {"train": self.train, "validate": self.validate, "level": self.level}
        return {
            name: {"groups": len(store), "documents": store.num_documents, "set_aside": store.rejected_counts()}
            for name, store in named.items()
            if store
        }


def inputs_of(settings: TrainSettings) -> TrainingInputs:
    """Find the inputs and take their fingerprints.

    Raises:
        InputError: an input is missing, or groups are both trained and validated on.
        SettingsError: columns are given, and no corpus that has them.
    """
    corpus = _corpus(settings)
    groups = storage.absolute(settings.groups)
    fingerprints = {"groups": fingerprint_of_groups(groups)}
    if corpus is not None:
        fingerprints["corpus"] = corpus.fingerprint
    measured = None
    if settings.held_out is not None:
        uri = storage.absolute(settings.held_out)
        fingerprints["held_out"] = fingerprint_of_groups(uri)
        measured = Queries(uri, fingerprints["held_out"])
    everything = GroupSource(
        groups,
        fingerprints["groups"],
        "train",
        corpus,
        settings.needs_teacher,
        limit=settings.limit,
        measured=measured,
    )
    if settings.eval_groups is not None:
        uri = storage.absolute(settings.eval_groups)
        fingerprints["eval_groups"] = fingerprint_of_groups(uri)
        shared = sorted({*group_files(groups)} & {*group_files(uri)})
        if shared or fingerprints["eval_groups"] == fingerprints["groups"]:
            what = f"{shared[0]}, which --groups has too" if shared else "what --groups holds"
            raise InputError(
                f"--eval-groups {settings.eval_groups} holds {what}, so it would be measured on what it was trained "
                f"on; give other groups, or --eval-fraction 0.02"
            )
        validate = GroupSource(uri, fingerprints["eval_groups"], "validate", corpus)
        return TrainingInputs(replace(everything, held_out=validate), validate, fingerprints)
    if settings.eval_fraction:
        part = replace(everything, use="validate", needs_teacher=False, high=settings.eval_fraction)
        return TrainingInputs(replace(everything, low=settings.eval_fraction), part, fingerprints)
    return TrainingInputs(everything, None, fingerprints)


def _corpus(settings: TrainSettings) -> CorpusSource | None:
    columns = {name: getattr(settings, name) for name in ("doc_id_column", "title_column", "text_column")}
    if settings.corpus is None:
        idle = next((name for name, column in columns.items() if column is not None), None)
        if idle is not None:
            raise SettingsError(
                f"--{idle.replace('_', '-')} is {columns[idle]!r}, and there is no --corpus that has it; leave it out"
            )
        return None
    uri = storage.absolute(settings.corpus)
    return CorpusSource(uri, CorpusSource.fingerprint_of(uri), **columns)
