"""What a job must not write among, or cannot do everywhere, is refused before any work; nothing there is touched."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from crossrank.errors import OutputError, SettingsError, UserError
from crossrank.resumable.output import alone
from crossrank.resumable.settings import JobSettings
from tests.unit.contract.conftest import Finished
from tests.unit.contract.one_process import OneProcess
from tests.unit.contract.verbs import Verb, files_of

FOREIGN = ["mine.parquet", "more/mine.pq", "part-00099.parquet"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", FOREIGN)
def test_a_table_of_somebody_else_in_a_finished_output_is_refused(
    verb: Verb, finished: Finished, ray: OneProcess, name: str, overwrite: bool
) -> None:
    output = finished.settings.output
    stray = Path(output, name)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"a table of mine")
    before = files_of(output)
    with pytest.raises(OutputError) as refused:
        verb.run(replace(finished.settings, overwrite=overwrite))
    assert str(refused.value).startswith(f"{stray} is no part of this job")
    assert str(refused.value).endswith("; move it away")
    assert files_of(output) == before
    assert not ray.joined


def test_a_table_of_somebody_else_in_an_empty_output_is_refused(verb: Verb, settings: Any, ray: OneProcess) -> None:
    stray = Path(settings.output, "more", "mine.parquet")
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"a table of mine")
    with pytest.raises(OutputError, match=r"more/mine\.parquet is no part of this job"):
        verb.run(settings)
    assert list(files_of(settings.output)) == ["more/mine.parquet"]
    assert not ray.joined


def test_files_of_somebody_else_are_not_written_among(verb: Verb, settings: Any, ray: OneProcess) -> None:
    Path(settings.output).mkdir()
    Path(settings.output, "thesis.tex").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=f"holds files that no {verb.name} job wrote"):
            verb.run(replace(settings, overwrite=overwrite))
    assert list(files_of(settings.output)) == ["thesis.tex"]
    assert not ray.joined


def test_a_second_job_on_the_same_output_is_refused_before_any_work(verb: Verb, settings: Any, ray: OneProcess) -> None:
    with alone(settings.output):
        for overwrite in (False, True):
            with pytest.raises(OutputError, match="another job is at work on"):
                verb.run(replace(settings, overwrite=overwrite))
    assert files_of(settings.output) == {}
    assert (ray.joined, ray.done) == (0, [])


def test_other_settings_are_refused_and_leave_the_result(verb: Verb, finished: Finished, ray: OneProcess) -> None:
    before = files_of(finished.settings.output)
    with pytest.raises(OutputError, match=r"holds a job with other settings \(.*\); use --overwrite to start afresh"):
        verb.run(replace(finished.settings, **verb.other))
    assert files_of(finished.settings.output) == before
    assert not ray.joined


def flags_of(settings: Any) -> set[str]:
    return {f"--{each.name.replace('_', '-')}" for each in fields(settings)}


def test_a_disk_that_not_all_nodes_share_is_refused_before_any_work_by_a_flag_of_the_verb(
    verb: Verb, settings: Any, ray: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "of another machine")
    asked: list[dict[str, str]] = []
    ray.at_disks = asked.append
    verb.run(settings)
    assert {flag.split()[0] for places in asked for flag in places} <= flags_of(settings)
    if verb.name in ("translate", "filter"):
        return  # without a model nothing leaves this machine

    def refuse(places: dict[str, str]) -> None:
        [flag] = [flag for flag in places if flag == "--output"]
        raise SettingsError(f"{flag} is {places[flag]}, on a disk that the node 10.0.0.2 does not share; use s3://")

    ray.at_disks, ray.done = refuse, []
    again = replace(settings, output=f"{settings.output}-again")
    with pytest.raises(SettingsError, match=f"--output is {again.output}, on a disk"):
        verb.run(again)
    assert (ray.done, files_of(again.output)) == ([], {})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"gpus_per_worker": -1.0}, "gpus-per-worker is -1"),
        ({"gpus_per_worker": float("nan")}, "gpus-per-worker is nan"),
        ({"workers": "0"}, "--workers is '0'"),
        ({"workers": "4:2"}, "--workers is '4:2'"),
        ({"accelerator": "L4", "gpus_per_worker": 0.0}, "--accelerator is L4, and --gpus-per-worker is 0"),
        ({"limit": 0}, "limit is 0"),
        ({"output": ""}, "is empty"),
    ],
)
def test_a_wrong_value_of_a_flag_of_every_job_is_refused_by_every_job(
    verb: Verb, settings: Any, values: dict[str, Any], sentence: str
) -> None:
    assert values.keys() <= {each.name for each in fields(JobSettings)}
    with pytest.raises(UserError, match=sentence):
        replace(settings, **values)
