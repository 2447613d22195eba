"""A job that is finished: run again it does nothing, and what it lost since it makes again and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.contract.conftest import Finished
from tests.unit.contract.one_process import OneProcess
from tests.unit.contract.verbs import Verb, result_of, times_of


def test_a_finished_job_run_again_does_nothing_and_says_so_before_ray_is_started(
    verb: Verb, finished: Finished, ray: OneProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    before = times_of(finished.settings.output)
    assert verb.run(finished.settings) == finished.manifest
    said = [line for line in capsys.readouterr().err.splitlines() if line.endswith("; nothing to do")]
    assert [f"{finished.settings.output} is finished: " in line for line in said] == [True]
    assert times_of(finished.settings.output) == before, "nothing is written again"
    assert (ray.joined, ray.asked, ray.done) == (0, [], [])


def test_a_finished_job_whose_preparations_were_removed_has_nothing_to_do(
    verb: Verb, finished: Finished, ray: OneProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in verb.preparations:
        shutil.rmtree(Path(finished.settings.output, name), ignore_errors=True)
    before = times_of(finished.settings.output)
    verb.run(finished.settings)
    assert "; nothing to do" in capsys.readouterr().err
    assert times_of(finished.settings.output) == before
    assert not ray.joined


@pytest.mark.parametrize("is_prepared", [True, False])
def test_a_part_that_was_lost_is_made_again_alone(
    verb: Verb, finished: Finished, capsys: pytest.CaptureFixture[str], is_prepared: bool
) -> None:
    output = finished.settings.output
    whole, times = result_of(verb, output), times_of(output)
    Path(output, verb.part).unlink()
    if not is_prepared:
        for name in verb.preparations:
            shutil.rmtree(Path(output, name), ignore_errors=True)
    verb.run(finished.settings)
    assert "nothing to do" not in capsys.readouterr().err.splitlines()[-1]
    assert result_of(verb, output) == whole
    parts = {name for name in whole if "part-" in name and not name.startswith("_dropped") and name != verb.part}
    assert {name: times_of(output)[name] for name in parts} == {name: times[name] for name in parts}
    verb.run(finished.settings)
    assert "; nothing to do" in capsys.readouterr().err, "and then it is finished again"


def test_a_part_that_was_cut_off_is_made_again(verb: Verb, finished: Finished) -> None:
    if not verb.part.endswith(".parquet"):
        pytest.skip("a model is compared with nothing, only looked for")
    whole = result_of(verb, finished.settings.output)
    lost = Path(finished.settings.output, verb.part)
    lost.write_bytes(lost.read_bytes()[:100])
    verb.run(finished.settings)
    assert result_of(verb, finished.settings.output) == whole
