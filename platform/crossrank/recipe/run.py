"""`crossrank recipe`: the stages of a recipe run one after another in one process, and so with one Ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from crossrank.config.nearest import in_place_of
from crossrank.errors import CrossrankError, SettingsError
from crossrank.recipe.chain import stages_of
from crossrank.recipe.reading import ORDER, read_recipe
from crossrank.recipe.stage import Stage
from crossrank.resumable.output import alone
from crossrank.storage.lease import Lease
from crossrank.telemetry.progress import say
from crossrank.telemetry.verb_scope import verb_scope


@verb_scope("recipe")
def recipe(
    file: str,
    sets: Sequence[str] = (),
    *,
    until: str | None = None,
    overwrite: str | None = None,
    dry_run: bool = False,
) -> list[Stage]:
    """Run the whole chain that a file describes: import, translate, filter, mine, train, merge, evaluate, rerank.

    Every stage is a job that goes on where it was and does nothing when it is finished, so the same command goes on
    after a kill. Before each its own command is printed, to be run or submitted alone.

    Args:
        sets: ``NAME=VALUE`` for a variable of the file or its output, ``STAGE.KEY=VALUE`` for a key of a stage.
        until: the stage after which to stop.
        overwrite: the stage from which on everything is done afresh.
        dry_run: whether to say only what each stage would do, as far as that is known before the earlier ones are done.

    Raises:
        SettingsError: the file says something that is not understood.
        CrossrankError: the error of a stage, with its name in front.
    """
    read = read_recipe(file, sets)
    stages = stages_of(read)
    last = _place_of(until, "--until", stages, file, len(stages) - 1)
    afresh_from = _place_of(overwrite, "--overwrite", stages, file, len(stages))
    missing = ""
    # Stages that are jobs have locks of their own; what the recipe makes itself, such as groups, has this one.
    with nullcontext(Lease()) if dry_run else alone(read.output, "output") as lease:
        for place, stage in enumerate(stages[: last + 1]):
            if stage.command:
                say(f"stage {_number(stages, stage)}, {stage.name}: {stage.command}")
            with _named(stage, file):
                if not dry_run:
                    lease.check()
                    stage.run(afresh=place >= afresh_from)
                elif place < afresh_from and stage.is_done():
                    say(f"{stage.name} is done: {stage.product}")
                elif missing and stage.continues:
                    say(f"{stage.name} waits for {missing}")
                else:
                    stage.plan()
                    missing = missing or stage.name
    return stages


def _place_of(name: str | None, flag: str, stages: Sequence[Stage], file: str, default: int) -> int:
    if name is None:
        return default
    names = [stage.name for stage in stages]
    if name not in names:
        way_out = f"its stages are {', '.join(names)}" if name in ORDER else in_place_of(name, names)
        raise SettingsError(f"{flag} is {name}, which {file} does not have; {way_out}")
    return names.index(name)


def _number(stages: Sequence[Stage], stage: Stage) -> str:
    with_command = [each for each in stages if each.command]
    return f"{with_command.index(stage) + 1} of {len(with_command)}"


@contextmanager
def _named(stage: Stage, file: str) -> Iterator[None]:
    """Put the name of the stage in front of every error that it raises."""
    try:
        yield
    except CrossrankError as error:
        raise type(error)(f"the stage {stage.name} of {file}: {error}") from error
