"""What workers a job asks for: as many as its flags say, and never more than memory holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crossrank.cluster.pool import WorkerRequest
from crossrank.evaluation import job as evaluating
from crossrank.evaluation import rows
from crossrank.filtering import job as filtering
from crossrank.reranking.settings import RerankSettings
from crossrank.resumable.settings import JobSettings
from crossrank.translation import job as translating
from tests.unit.contract.one_process import LARGE_NODE, Killed, OneProcess
from tests.unit.contract.verbs import ENCODER, GIGABYTES, SPEC, VERBS, Verb, for_evaluate, killed_by

MODEL = SimpleNamespace(identity={"backend": "seq2seq", "source": "en", "target": "ko"}, check=lambda: None)
"""A model that translates, as far as a job looks at it before it has workers."""


@dataclass(frozen=True, slots=True)
class Loads:
    """A job whose workers load models."""

    verb: Verb
    more: dict[str, Any]
    """Settings that name them."""
    run: Callable[[Any], Any]
    ends_at_pool: bool = False
    """Whether what comes then is left out: it has no stand-in here."""


LOADS = {
    "rerank": Loads(VERBS["rerank"], {}, VERBS["rerank"].run),
    "translate by a model": Loads(
        VERBS["translate"], {"backend": "seq2seq", "model": "t"}, translating.translate, ends_at_pool=True
    ),
    "filter by a teacher": Loads(
        VERBS["filter"],
        {"teacher": "m", "workers": None},
        lambda given: filtering.filter(given, SPEC),
        ends_at_pool=True,
    ),
    "mine by an encoder and a teacher": Loads(VERBS["mine"], {}, VERBS["mine"].run),
    "train": Loads(VERBS["train"], {}, VERBS["train"].run),
    "evaluate": Loads(VERBS["evaluate"], {}, VERBS["evaluate"].run),
    "evaluate by an encoder": Loads(
        VERBS["evaluate"],
        {"candidates": "dense", "encoder": "e"},
        lambda given: evaluating.evaluate(given, ENCODER),
    ),
}


@pytest.fixture(params=LOADS)
def loads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Loads:
    monkeypatch.setattr(translating, "backend_of", lambda settings: MODEL if settings.model else None)
    return LOADS[request.param]


def asked_by(loads: Loads, ray: OneProcess, folder: Path, **flags: Any) -> list[tuple[WorkerRequest, int]]:
    """The workers that a job asks for, and how many there are then on a large node with little memory."""

    def end() -> None:
        if loads.ends_at_pool:
            raise Killed

    ray.at_pool = end
    settings = replace(loads.verb.sample(folder), **loads.more | flags)
    killed = []
    if killed_by(replace(loads.verb, run=loads.run), settings):
        killed.append(settings)
    assert bool(killed) == loads.ends_at_pool
    assert ray.asked, "workers were asked for"
    return [(wanted, pool.max_workers) for wanted, _, pool in ray.asked]


def test_there_are_never_more_workers_than_memory_holds(loads: Loads, ray: OneProcess, tmp_path: Path) -> None:
    for _, workers in asked_by(loads, ray, tmp_path):
        assert workers * GIGABYTES * 1e9 <= LARGE_NODE.memory_bytes


def test_the_flags_of_every_job_reach_its_workers(loads: Loads, ray: OneProcess, tmp_path: Path) -> None:
    flags = {"workers": "3", "gpus_per_worker": 0.5, "accelerator": "L4"}
    wanted = {wanted for wanted, _ in asked_by(loads, ray, tmp_path, **flags)}
    assert wanted == {WorkerRequest((3, 3), 0.5, "L4")}


OWN = {"output", "limit", "dry_run"}
"""Flags of every job that a row of an evaluation has its own value of: its folder, all candidates, and real work."""
VALUES: dict[str, Any] = {"workers": "3", "gpus_per_worker": 0.5, "accelerator": "L4", "overwrite": True}


@pytest.mark.parametrize("name", [each.name for each in fields(JobSettings) if each.name not in OWN])
def test_every_flag_that_all_jobs_have_reaches_the_jobs_inside_an_evaluation(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [default] = [each.default for each in fields(JobSettings) if each.name == name]
    value = VALUES.get(name, not default if isinstance(default, bool) else "a value of a new flag")
    given: list[RerankSettings] = []

    def kill(settings: RerankSettings, *_: Any, **__: Any) -> None:
        given.append(settings)
        raise Killed

    monkeypatch.setattr(rows, "reranked", kill)
    with pytest.raises(Killed):
        evaluating.evaluate(replace(for_evaluate(tmp_path), **{name: value}))
    assert getattr(given[0], name) == value != default
