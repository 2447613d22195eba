"""The result of a run: a model folder that anybody can load, with its card, its curves and its manifest."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossrank import storage
from crossrank.evaluation.intervals import Mean, mean_of, paired_difference
from crossrank.resumable.job import Run
from crossrank.resumable.manifest_shape import MayLack, OrNull, Shape, is_count, is_dict, is_text, list_of
from crossrank.resumable.output import Manifest, manifest_of, write_json
from crossrank.telemetry.progress import say
from crossrank.training.best_checkpoint import BASE, NONE_RANKS
from crossrank.training.card import CardFacts, DataFacts, ResultRow, model_card, worse_than_before
from crossrank.training.checkpoint import COMPLETE, FOLDER, Checkpoints
from crossrank.training.curves import EVENTS, PICTURE, write_curves
from crossrank.training.hub import push_to_hub
from crossrank.training.inputs import REJECTED, TrainingGroups
from crossrank.training.level import Level, copy_with_level, in_files, sentence
from crossrank.training.settings import TrainSettings
from crossrank.training.sizing import SIZES
from crossrank.training.teachers import scale_warning
from crossrank.training.validation import Measured, guessing
from crossrank.version import __version__

if TYPE_CHECKING:
    from crossrank.training.rank_run import Ended, TrainTask

READ_AGAIN: Mapping[str, Shape] = {
    "files": list_of(is_text),
    "chosen_step": is_count,
    "steps": is_count,
    "groups": MayLack(is_dict),
    "level": MayLack({"why_not": MayLack(OrNull(is_text))}),
    "sizes": MayLack(OrNull(SIZES)),
}
"""What is read from the manifest of a finished run; the last three from that of one that goes on, too."""
BASE_ROW = "base model"
"""Name of the base among the baselines."""
CARD = "README.md"
CURVES = "_curves"
NOT_OF_THE_MODEL = ("training.pt", "history.json", COMPLETE)
"""Files of a checkpoint that only going on with the run needs."""
TRUNCATED_SHARE = 0.1
"""Share of the pairs that may be cut before it is a warning."""
LIBRARIES = ("torch", "transformers", "ray", "tokenizers")


def finish(
    settings: TrainSettings,
    task: TrainTask,
    read: TrainingGroups,
    ended: Ended,
    baselines: dict[str, Measured],
    level: Level,
    run: Run,
) -> Manifest:
    """Write the result of a run into its output. The manifest comes last and says that the run is finished.

    Raises:
        JobFailed: the output was taken over meanwhile.
        OutputError: the bias in the model is another than was fitted.
    """
    checkpoints = Checkpoints(task.output, settings.save_total_limit)
    steps = sorted({row["step"] for row in ended.history if "validation" in row})
    measured = {step: _noted(checkpoints, step) for step in steps}
    checkpoint = checkpoints.fetch(ended.chosen)
    level = in_files(level, checkpoint)
    facts = _facts(settings, task, read, ended, baselines, measured, level, run.manifest["command"])
    warnings = [*worse_than_before(facts), *facts.warnings]
    lines = {name: found.means() for name, found in baselines.items()} | guessing(read.validate)
    files = _write(task.output, checkpoint, facts, ended, lines, level)
    training = [row for row in ended.history if "validation" not in row]
    run.lease.check()  # the upload of a model may have taken minutes
    manifest = run.finish(
        steps=ended.steps,
        chosen_step=ended.chosen,
        why_it_ended=ended.why,
        skipped_steps=ended.skipped,
        validations={str(step): found.means() for step, found in measured.items()},
        baselines={name: found.means() for name, found in baselines.items()},
        truncated_share=_truncated_share(training),
        pairs=sum(row["pairs"] for row in training),
        tokens=sum(row["tokens"] for row in training),
        groups_per_second=_median([row["groups_per_second"] for row in training]),
        warnings=warnings,
        level=level.state(),
        files=files,
    )
    _say(task.output, manifest, facts)
    push(settings, task.output, manifest)
    return manifest


def push(settings: TrainSettings, output: str, manifest: Manifest) -> None:
    """Upload a finished model, where that was asked for and not done before."""
    if settings.push_to_hub is None or manifest.get("pushed") == settings.push_to_hub:
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in manifest["files"]:
            storage.copy(storage.join(output, name), str(Path(folder) / name))
        say(f"pushed: {push_to_hub(Path(folder), settings.push_to_hub, shown_as=output)}")
    manifest["pushed"] = settings.push_to_hub
    write_json(manifest_of(output), manifest)


def files_of(output: str, manifest: Manifest) -> list[str]:
    """What a run wrote into its output, as far as its manifest knows; nothing else that may lie in the folder."""
    names: list[str] = manifest["files"] if list_of(is_text)(manifest.get("files")) else []
    return [storage.join(output, name) for name in (FOLDER, CURVES, REJECTED, *names)]


def chosen_of(manifest: Manifest) -> str:
    """The words for what became the model: a step, or the base."""
    step, steps = manifest["chosen_step"], manifest["steps"]
    return f"step {step:,} of {steps:,}" if step != BASE else f"the base as it was, after {steps:,} steps,"


def _write(
    output: str, checkpoint: Path, facts: CardFacts, ended: Ended, lines: dict[str, dict[str, float]], level: Level
) -> list[str]:
    names = sorted(file.name for file in checkpoint.iterdir() if file.name not in NOT_OF_THE_MODEL)
    # The configuration last: what is cut off before it is no model folder yet.
    for name in sorted(names, key=lambda name: name == "config.json"):
        if name.endswith(".safetensors"):
            copy_with_level(checkpoint / name, storage.join(output, name), level)
        else:
            storage.copy(str(checkpoint / name), storage.join(output, name))
    with tempfile.TemporaryDirectory() as folder:
        written = write_curves(ended.history, Path(folder), lines)
        for name in written:
            target = storage.join(output, PICTURE) if name == PICTURE else storage.join(output, CURVES, name)
            storage.copy(str(Path(folder) / name), target)
    storage.write_bytes(storage.join(output, CARD), model_card(facts).encode())
    return [*names, *([PICTURE] if EVENTS in written else []), CARD]


def _facts(
    settings: TrainSettings,
    task: TrainTask,
    read: TrainingGroups,
    ended: Ended,
    baselines: dict[str, Measured],
    measured: dict[int, Measured],
    level: Level,
    command: str,
) -> CardFacts:
    chosen = measured.get(ended.chosen)
    base = baselines.get(BASE_ROW)
    differences: dict[str, Mean] = {}
    if chosen and base:
        pairs = {name: paired_difference(values, base.values[name]) for name, values in chosen.values.items()}
        differences = {name: mean for name, mean in pairs.items() if mean is not None}
    training = [row for row in ended.history if "validation" not in row]
    place = task.output.rstrip("/")
    return CardFacts(
        name=place.rsplit("/", 1)[-1],
        location=settings.push_to_hub or place,
        base_model=settings.base,
        base_revision=task.revision,
        base_on_hub=task.base == settings.base and not storage.is_s3(task.base) and not Path(task.base).exists(),
        command=command,
        data=DataFacts(
            uri=settings.groups,
            fingerprint=task.groups.fingerprint,
            groups=len(read.train),
            documents=read.train.num_documents,
            rejected=read.train.rejected_counts(),
            truncation_rate=_truncated_share(training),
        ),
        settings={each.name: getattr(settings, each.name) for each in fields(settings) if not each.metadata["flag"]}
        | {"max_length": settings.max_length, "precision": task.sizes.precision.value},
        baselines=[_result(name, found) for name, found in baselines.items()],
        checkpoints=[_result(f"step {step}", found) for step, found in measured.items()],
        best=f"step {ended.chosen}" if chosen else BASE_ROW if ended.chosen == BASE else None,
        decided_by=settings.metric,
        differences=differences,
        held_out_queries=len(read.validate) if read.validate else 0,
        max_length=settings.max_length,
        level=sentence(level),
        warnings=_warnings(ended, training, chosen, scale_warning(settings, read.train)),
        versions={"crossrank": __version__, **{name: version(name) for name in LIBRARIES}},
        seed=settings.seed,
    )


def _result(name: str, found: Measured) -> ResultRow:
    return ResultRow(name=name, measures={measure: mean_of(values) for measure, values in found.values.items()})


def _warnings(
    ended: Ended, training: list[dict[str, Any]], chosen: Measured | None, of_teacher: str | None
) -> list[str]:
    found = []
    if of_teacher is not None:
        found.append(f"{of_teacher[0].upper()}{of_teacher[1:]}.")
    if ended.skipped:
        found.append(f"{ended.skipped:,} of {ended.steps:,} steps were skipped: their gradients were no numbers.")
    share = _truncated_share(training)
    if share is not None and share > TRUNCATED_SHARE:
        found.append(f"{share:.0%} of the pairs did not fit the window and were cut; a larger max_length reads them.")
    if ended.chosen == BASE:
        found.append(f"{NONE_RANKS[0].upper()}{NONE_RANKS[1:]}, so none is the result: this is the base as it was.")
    if chosen is not None and chosen.tie_rate > TRUNCATED_SHARE:
        found.append(f"{chosen.tie_rate:.0%} of the held-out documents have the score of another of their query.")
    return found


def _truncated_share(training: list[dict[str, Any]]) -> float | None:
    pairs = sum(row["pairs"] for row in training)
    return round(sum(row["truncated"] for row in training) / pairs, 6) if pairs else None


def _noted(checkpoints: Checkpoints, step: int) -> Measured:
    note = checkpoints.read_note(f"validation-{step}")
    assert note is not None, "what is in the history was kept"
    return Measured.of(note)


def _median(values: list[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None


def _say(output: str, manifest: Manifest, facts: CardFacts) -> None:
    say(facts.level)
    say(f"finished: {chosen_of(manifest)} is the result; {output}")
    if facts.differences:
        mean = facts.differences[facts.decided_by]
        low, high = mean.interval or (mean.value, mean.value)
        say(f"{facts.decided_by} against the base: {mean.value:+.4f} ({low:+.4f} to {high:+.4f})")
    for warning in manifest["warnings"]:
        say(warning, level="warning")
