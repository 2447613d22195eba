"""`crossrank train`, from settings to a finished model folder.

Before Ray is started, wrong input is refused, and a run that is finished already ends.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from crossrank import storage
from crossrank.config.command_line import command_of
from crossrank.derived import Derived
from crossrank.resumable.job import Job, Run, announce, begin
from crossrank.resumable.output import Manifest
from crossrank.resumable.settings import that_affect_output
from crossrank.scoring.checked import refuse_unloadable
from crossrank.scoring.loading import ModelFolder, check_base, find_model, has_head
from crossrank.scoring.pooling import clause_about_head
from crossrank.telemetry.job_context import environment
from crossrank.telemetry.progress import Waiting, say, show_plan
from crossrank.telemetry.verb_scope import verb_scope
from crossrank.training import result
from crossrank.training.best_checkpoint import BASE
from crossrank.training.checkpoint import Checkpoints
from crossrank.training.hub import check_repo
from crossrank.training.inputs import TrainingGroups, TrainingInputs, inputs_of
from crossrank.training.level import BEGAN_BEFORE, TOO_FEW, Level, too_few, why_not
from crossrank.training.progress_report import ProgressReport
from crossrank.training.settings import TrainSettings
from crossrank.training.sizing import Sizes, few_steps_warning, sizes_of
from crossrank.training.teachers import scale_warning

if TYPE_CHECKING:
    from crossrank.cluster.pool import Pool
    from crossrank.training.on_ray.validating import RayValidator
    from crossrank.training.rank_run import TrainTask

KIND = "train"
FORMAT = 2
"""Version of checkpoints and of what decides them. Raise it when a change makes going on with a run impossible."""


@verb_scope(KIND)
def train(settings: TrainSettings) -> dict[str, Any]:
    """Fine-tune a reranker on labelled groups, over any number of workers with the same result.

    The output is a model folder with its model card. Run the same command again after a kill and it goes on at the
    exact step, also with other workers; a finished run does nothing and says so.
    """
    started = announce()
    output = storage.absolute(settings.output)
    with Waiting("looking at the base and the groups"):
        base = find_model(settings.base)
        config = check_base(base)
        refuse_unloadable(base, config, settings.max_length, settings.instruction, trains=True)
        inputs = inputs_of(settings)
    identity = {
        "format": FORMAT,
        "settings": _that_decide(settings),
        "base_revision": base.revision,
        "inputs": inputs.fingerprints,
    }
    job = Job.of(KIND, settings, identity, started, result.READ_AGAIN)
    if job.is_finished and not settings.dry_run:
        missing = [name for name in job.kept["files"] if not storage.exists(storage.join(output, name))]
        if not missing:
            manifest = job.nothing_to_do(result.chosen_of(job.kept))
            result.push(settings, output, manifest)
            return manifest
        say(f"{output} was finished, and {missing[0]} is gone: making it again from the checkpoints")
    if not has_head(config):
        how = clause_about_head(base, config)
        say(f"{settings.base} is an encoder without a head: it gets a fresh one of one logit{how}")
    with Waiting("reading the groups"):
        inputs, level = _apart_for_level(settings, base, inputs, job.kept or None)
        read = inputs.read()
    if settings.dry_run:
        return _dry_run(settings, base, config, inputs, read)
    if settings.push_to_hub is not None:
        check_repo(settings.push_to_hub)
    base_facts = {"name": settings.base, "revision": base.revision, "has_head": has_head(config)}
    with begin(job, command=command_of([KIND], settings), base=base_facts) as run:
        return _run(settings, base, config, inputs, read, level, run)


def _that_decide(settings: TrainSettings) -> dict[str, Any]:
    """Settings that have to be the same when the run goes on; base and groups count by content, not by place."""
    by_content = {"base", "groups", "eval_groups", "held_out", "corpus"}
    return {name: value for name, value in that_affect_output(settings).items() if name not in by_content}


def _run(
    settings: TrainSettings,
    base: ModelFolder,
    config: dict[str, Any],
    inputs: TrainingInputs,
    read: TrainingGroups,
    level: Level,
    run: Run,
) -> Manifest:
    from crossrank.cluster import on_ray as cluster
    from crossrank.resumable import on_ray
    from crossrank.training.on_ray.bias_fit import level_on
    from crossrank.training.on_ray.ranks import train_on
    from crossrank.training.on_ray.validating import RayValidator

    output = run.output
    places = {"--base": settings.base, "--groups": settings.groups, "--eval-groups": settings.eval_groups}
    on_ray.join(places | {"--corpus": settings.corpus, "--output": settings.output})
    pool = cluster.pool(settings.wanted())
    run.clock.lap("prepare")
    sizes = _sizes(settings, config, len(read.train), pool, run.job.kept or None)
    run.give_way(None, result.files_of(output, run.job.earlier.manifest or {}))
    if sizes.num_groups != len(read.train):
        say(
            f"{len(read.train):,} groups can be trained on, and the run began with {sizes.num_groups:,} under an "
            f"earlier version, which set fewer aside; the steps that are left take them in a new order"
        )
    # Kept in the manifest, so that the run goes on with the same sizes on any cluster.
    run.save(groups=read.counts(), sizes=asdict(sizes), level=level.state())
    read.write_rejected(output)
    task = _task(settings, base, inputs, sizes, output)
    progress = ProgressReport(sizes, read, pool)
    progress.begin()
    _warn(scale_warning(settings, read.train))
    _warn(few_steps_warning(settings, sizes.num_groups, sizes.num_steps))
    validation, baselines = None, {}
    if inputs.validate is not None:
        validation = _validation(settings, task, inputs, pool)
        checkpoints = Checkpoints(output, settings.save_total_limit)
        validator = RayValidator(validation, checkpoints, threads=pool.threads())
        with Waiting("measuring what there is without training"):
            baselines = _baselines(validator, task.base, read.validate.all_ranked if read.validate else False)
        progress.baselines(baselines)

    def on_row(row: dict[str, Any]) -> None:
        run.lease.check()
        progress.row(row)

    run.clock.lap("baselines")
    with progress:
        ended = train_on(task, validation, pool, settings.max_failures, on_row)
    run.lease.check()
    run.clock.lap("train")
    if ended.chosen == BASE:
        level = replace(level, why_not="the base stays as it was")
    if level.why_not is None:
        assert validation is not None, "there are groups apart only where some are held out"
        assert inputs.level is not None, "or there is a reason"
        apart = replace(validation, groups=inputs.level)
        with Waiting("fitting the bias of the head"):
            level = level_on(apart, Checkpoints(output, settings.save_total_limit), ended.chosen, level, pool.threads())
    run.clock.lap("level")
    return result.finish(settings, task, read, ended, baselines, level, run)


def _apart_for_level(
    settings: TrainSettings, base: ModelFolder, inputs: TrainingInputs, before: Manifest | None
) -> tuple[TrainingInputs, Level]:
    """Inputs with groups kept apart for the bias of the head, and the level: to be fitted, or why it is not."""
    from crossrank.training.unmoved import level_bias_of

    bias = level_bias_of(base)
    reason = why_not(settings, bias, inputs.validate is not None, _began_without_level(before))
    if reason is None:
        apart = inputs.with_level()
        reason = TOO_FEW if apart.level is None else too_few(apart.level.open())
        if reason is None or _began_with_level(before):
            inputs = apart
    return inputs, Level(bias, why_not=reason)


def _began_with_level(before: Manifest | None) -> bool:
    """Whether a run keeps groups apart and so has measured on the others alone; earlier versions did with few too."""
    return before is not None and "level" in before.get("groups", {})


def _began_without_level(before: Manifest | None) -> bool:
    """Whether a run began under a version that kept no groups apart, and measured something on all of them."""
    if before is None or "sizes" not in before:
        return False
    reason: str | None = before.get("level", {}).get("why_not", BEGAN_BEFORE)
    return reason == BEGAN_BEFORE


def _sizes(
    settings: TrainSettings, config: dict[str, Any], num_groups: int, pool: Pool, before: Manifest | None
) -> Sizes:
    kept = (before or {}).get("sizes")
    if kept is not None:
        return Sizes(**{**kept, **{name: Derived(**kept[name]) for name in ("budget", "precision")}})
    gpu_bytes = None
    if pool.gpus:
        from crossrank.cluster.on_ray import smallest_gpu_bytes

        gpu_bytes = smallest_gpu_bytes(pool)
    elif settings.precision == "fp16":
        say("fp16 on CPU is slower than fp32 and no smaller; it is done since it was asked for")
    return sizes_of(settings, num_groups, config, gpu_bytes)


def _warn(sentence: str | None) -> None:
    if sentence is not None:
        say(sentence, level="warning")


def _task(settings: TrainSettings, base: ModelFolder, inputs: TrainingInputs, sizes: Sizes, output: str) -> TrainTask:
    from crossrank.training.rank_run import TrainTask

    where = storage.absolute(settings.base) if base.is_local else settings.base  # workers run in another directory
    return TrainTask(replace(settings, output=output), where, base.revision, inputs.train, sizes, output)


def _validation(settings: TrainSettings, task: TrainTask, inputs: TrainingInputs, pool: Pool) -> Any:
    from crossrank.cluster.on_ray import spare_gpus
    from crossrank.training.on_ray.validating import Validation

    assert inputs.validate is not None, "only where there is something to validate on"
    # Decided once, so that a score does not depend on who is busy: a GPU that is left over validates.
    gpus = 1.0 if pool.gpus and spare_gpus(pool) >= 1 else 0.0
    if pool.gpus and not gpus:
        say("every GPU trains, so validations run on CPU; leave one out of --workers to have them on it")
    return Validation(
        inputs.validate, task.base, settings.max_length, settings.instruction, task.output, gpus, environment()
    )


def _baselines(validator: RayValidator, base: str, is_ranked: bool) -> dict[str, Any]:
    """Measures of step 0, by row: what there is without training."""
    named: dict[str, tuple[str, str | None]] = {"no reranker": ("none", None)} if is_ranked else {}
    named[result.BASE_ROW] = ("base", base)
    for name, model in named.values():
        validator.begin_on(name, model)
    return {row: validator.result_on(*given) for row, given in named.items()}


def _dry_run(
    settings: TrainSettings, base: ModelFolder, config: dict[str, Any], inputs: TrainingInputs, read: TrainingGroups
) -> dict[str, Any]:
    from crossrank.cluster import on_ray as cluster
    from crossrank.resumable import on_ray
    from crossrank.training.throughput import measure_training

    _warn(scale_warning(settings, read.train))
    cluster.connect()
    pool = cluster.pool(settings.wanted())
    sizes = _sizes(settings, config, len(read.train), pool, None)
    task = _task(settings, base, inputs, sizes, storage.absolute(settings.output))
    _warn(few_steps_warning(settings, sizes.num_groups, sizes.num_steps))
    with Waiting("loading and measuring the model"):
        measuring = on_ray.begin_call(pool, measure_training, task, pool)
        measured = on_ray.returned(measuring, "the measurement", "nothing was begun")
    num_groups = sizes.num_groups * settings.num_train_epochs
    plan = {
        "groups": sizes.num_groups,
        "set_aside": read.train.rejected_counts(),
        "epochs": settings.num_train_epochs,
        "steps": sizes.num_steps,
        "pairs": int(num_groups * measured["pairs_per_group"]),
        "tokens": int(num_groups * measured["tokens_per_group"]),
        "truncated_share": round(measured["truncated_share"], 4),
        "workers": pool.max_workers,
        "groups_per_second_of_a_worker": round(measured["groups_per_second"], 2),
        "hours": round(num_groups / measured["groups_per_second"] / pool.max_workers / 3600, 4),
        "micro_batch_tokens": str(sizes.budget),
        "precision": str(sizes.precision),
    }
    show_plan(plan)
    return plan
