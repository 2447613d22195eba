"""The output folder of a job: its manifest, and that one job at a time works there."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from crossrank.errors import InputError, OutputError
from crossrank.resumable.earlier import earlier_run
from crossrank.resumable.output import alone, manifest_of, read_json, write_json


@pytest.fixture
def output(tmp_path: Path) -> str:
    return str(tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is damaged, and is no JSON; "), ("", "is damaged, and is no JSON; "), ("[1]", "holds no JSON object; ")],
)
def test_a_manifest_that_cannot_be_read_is_one_sentence(output: str, content: str, message: str) -> None:
    os.mkdir(output)
    Path(manifest_of(output)).write_text(content)
    with pytest.raises(InputError) as refused:
        earlier_run(output, "train")
    assert str(refused.value).startswith(f"{output}/_manifest.json {message}")
    assert str(refused.value).endswith("; remove the folder it is in, or name another")


def test_a_manifest_reads_back_as_it_was_written(output: str) -> None:
    content = {"text": "고양이", "number": 5e-6, "nothing": None, "list": [1, "a"], "place": Path("/x")}
    write_json(manifest_of(output), content)
    assert read_json(manifest_of(output)) == {**content, "place": "/x"}
    assert "고양이" in Path(manifest_of(output)).read_text()


# alone


def test_two_jobs_on_one_output_are_refused(output: str) -> None:
    with alone(output), pytest.raises(OutputError) as refused, alone(output):
        pytest.fail("both are at work")
    assert str(refused.value) == f"another job is at work on {output}; wait for its end, or name another --output"


def test_when_a_job_has_ended_the_next_may_begin(output: str) -> None:
    for _ in range(2):
        with alone(output):
            pass


def test_a_job_that_failed_does_not_keep_the_output_to_itself(output: str) -> None:
    # In a notebook the error is kept, and with it all that it saw: the lock must not wait for that to be forgotten.
    with pytest.raises(ValueError, match="it failed") as kept, alone(output):
        raise ValueError("it failed")
    with alone(output):
        pass
    assert kept.value.__traceback__ is not None


def _work_and_die(output: str) -> None:
    with alone(output):
        os._exit(9)


def test_a_job_that_was_killed_does_not_either(output: str) -> None:
    killed = multiprocessing.get_context("fork").Process(target=_work_and_die, args=(output,))
    killed.start()
    killed.join()
    assert killed.exitcode == 9
    assert os.path.exists(f"{output}/_lock")
    with alone(output):
        pass


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match=r"/file/out cannot be written \(.*\); name another --output"),
        alone(str(tmp_path / "file" / "out")),
    ):
        pytest.fail("nothing can be locked there")
