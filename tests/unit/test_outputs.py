"""The output folder of a job: whose it is, who works on it, and whether it may be gone on with."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from crossrank.errors import InputError, OutputError
from crossrank.outputs import alone, earlier_run, manifest_of, read_json, refuse_other_settings, working, write_json

IDENTITY: dict[str, Any] = {
    "format": 1,
    "settings": {"learning_rate": 2e-5, "limit": None},
    "inputs": {"groups": "0f1e"},
}


@pytest.fixture
def output(tmp_path: Path) -> str:
    return str(tmp_path / "out")


def write_manifest(output: str, **content: Any) -> None:
    write_json(manifest_of(output), {"kind": "train", "state": "running", "identity": IDENTITY, **content})


# whose it is


def test_a_folder_that_is_not_there_or_empty_has_no_earlier_run(output: str) -> None:
    assert earlier_run(output, "train") is None
    os.mkdir(output)
    assert earlier_run(output, "train") is None


def test_an_earlier_run_is_read(output: str) -> None:
    write_manifest(output, steps=7)
    found = earlier_run(output, "train")
    assert found is not None
    assert (found["state"], found["steps"], found["identity"]) == ("running", 7, IDENTITY)


def test_files_of_somebody_else_are_not_written_among(output: str) -> None:
    os.mkdir(output)
    (Path(output) / "thesis.tex").write_text("")
    with pytest.raises(OutputError) as refused:
        earlier_run(output, "train")
    assert str(refused.value) == (
        f"{output} holds files that no train job wrote, such as {output}/thesis.tex; name an empty folder"
    )


def test_what_a_kill_leaves_before_the_manifest_is_nobodys(output: str) -> None:
    # Killed while starting afresh, when the old manifest is gone; or while its first one was half written.
    os.mkdir(output)
    (Path(output) / "_lock").write_text("")
    (Path(output) / "__manifest.json.0a1b2c3d.tmp").write_text("{")
    assert earlier_run(output, "train") is None


def test_the_result_of_another_kind_of_job_is_refused(output: str) -> None:
    write_manifest(output)
    with pytest.raises(OutputError) as refused:
        earlier_run(output, "mine")
    assert str(refused.value) == f"{output} holds the result of another kind of job; name another --output"


def test_a_manifest_that_says_no_kind_is_of_a_rerank_job(output: str) -> None:
    # To train there with --overwrite would throw its checkpoint away.
    write_json(manifest_of(output), {"state": "running", "identity": IDENTITY})
    assert earlier_run(output, "rerank") is not None
    with pytest.raises(OutputError, match="holds the result of another kind of job"):
        earlier_run(output, "train")


def test_a_manifest_without_an_identity_is_of_another_kind(output: str) -> None:
    write_json(manifest_of(output), {"kind": "train"})
    with pytest.raises(OutputError, match="holds the result of another kind of job"):
        earlier_run(output, "train")


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is not JSON (Expecting property name"), ("", "is not JSON ("), ("[1]", "holds no JSON object; ")],
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


# other settings


def changed(**values: Any) -> dict[str, Any]:
    """The identity with other values, by the path to them."""
    other: dict[str, Any] = json.loads(json.dumps(IDENTITY))
    for path, value in values.items():
        *folders, name = path.split("__")
        place = other
        for folder in folders:
            place = place[folder]
        place[name] = value
    return other


def test_the_same_settings_go_on() -> None:
    refuse_other_settings("out", json.loads(json.dumps(IDENTITY)), IDENTITY)


def test_what_differs_is_named_with_both_values() -> None:
    now = changed(settings__learning_rate=1e-5, inputs__groups="ffff", format=2)
    with pytest.raises(OutputError) as refused:
        refuse_other_settings("out", IDENTITY, now)
    assert str(refused.value) == (
        "out holds a job with other settings (format was 1 and is 2; inputs.groups was 0f1e and is ffff; learning_rate "
        "was 2e-05 and is 1e-05); use --overwrite to start afresh, or another --output"
    )


def test_what_is_new_or_gone_is_named_too() -> None:
    with pytest.raises(OutputError, match=r"\(inputs\.corpus was None and is aaaa\)"):
        refuse_other_settings("out", IDENTITY, changed(inputs__corpus="aaaa"))
    with pytest.raises(OutputError, match=r"\(inputs\.corpus was aaaa and is None\)"):
        refuse_other_settings("out", changed(inputs__corpus="aaaa"), IDENTITY)


def test_a_setting_that_came_later_and_has_none_is_no_difference() -> None:
    # Runs that began before an update go on after it.
    refuse_other_settings("out", IDENTITY, changed(settings__invented_later=None))


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


# working


def test_a_job_writes_its_first_manifest_alone(output: str) -> None:
    with working(output, None):
        write_manifest(output)
    with working(output, read_json(manifest_of(output))):
        pass


def test_a_job_that_began_since_the_manifest_was_read_is_not_gone_on_with(output: str) -> None:
    # Both found an empty folder, and the first one began and ended before the second had the lock.
    write_manifest(output, state="finished")
    sentence = f"another job wrote {output} just now; run the same command again to see what is there"
    for before in (None, {"kind": "train", "state": "running", "identity": IDENTITY}):
        with pytest.raises(OutputError) as refused, working(output, before):
            pytest.fail("written over")
        assert str(refused.value) == sentence


def test_a_manifest_that_went_meanwhile_is_not_gone_on_with(output: str) -> None:
    with pytest.raises(OutputError, match="just now"), working(output, {"kind": "train"}):
        pytest.fail("written")
