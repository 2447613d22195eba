"""A translation memory in an object store: one job writes it, a second is refused, one that was killed is replaced."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import boto3
import pytest

from crossrank import storage
from crossrank.errors import JobFailed, OutputError, StorageError
from crossrank.storage import lease, process_identity
from crossrank.storage.lease import LOCK
from crossrank.translation.memory.blocks import Entry
from crossrank.translation.memory.store import Memory
from tests.ray.driver import wait_for
from tests.ray.s3_server import s3_server

FOLDER = "s3://lake/memory"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture(autouse=True)
def _lake(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty bucket, and a claim that is renewed often."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setattr(lease, "RENEW_S", 0.2)
    monkeypatch.setattr(lease, "LOOK_S", 0.1)
    monkeypatch.setattr(lease, "SILENT_S", 60.0)
    boto3.client("s3").create_bucket(Bucket="lake")
    storage.delete(FOLDER)


def entry(number: int) -> Entry:
    return Entry(bytes([number]) * 16, "{}", f"text {number}", f"글 {number}")


def texts() -> set[str]:
    return {each.source for each in Memory.reading(FOLDER).entries()}


def test_a_second_writer_is_refused_by_name_and_the_first_goes_on() -> None:
    with Memory.writing(FOLDER) as memory:
        with pytest.raises(OutputError) as refused, Memory.writing(FOLDER):
            pytest.fail("both write")
        memory.add([entry(1)])
    holder = f"process {os.getpid()} of {os.uname().nodename}"
    assert str(refused.value) == (
        f"another job ({holder}) is at work on {FOLDER}; wait for its end, or name another --memory"
    )
    assert texts() == {"text 1"}


def test_one_writer_after_another_is_not_held_up() -> None:
    started = time.monotonic()
    for number in range(2):
        with Memory.writing(FOLDER) as memory:
            memory.add([entry(number)])
    assert time.monotonic() - started < lease.SILENT_S
    assert not storage.exists(storage.join(FOLDER, LOCK))
    assert texts() == {"text 0", "text 1"}


def test_a_claim_of_a_job_that_was_killed_is_taken_over_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(process_identity, "has_ended", lambda process: False)  # as of a machine that nobody knows
    monkeypatch.setattr(lease, "SILENT_S", 2.0)
    pid = os.fork()
    if pid == 0:
        with Memory.writing(FOLDER) as memory:
            memory.add([entry(1)])
            os._exit(9)  # as SIGKILL: nothing is given back
    os.waitpid(pid, 0)
    assert storage.exists(storage.join(FOLDER, LOCK))
    with Memory.writing(FOLDER) as memory:
        memory.add([entry(2)])
    assert f"process {pid} of {os.uname().nodename} left its claim on {FOLDER} 2 s ago" in capsys.readouterr().err
    assert texts() == {"text 1", "text 2"}


def test_who_could_not_be_heard_of_and_was_taken_over_keeps_nothing_more_and_loses_nothing() -> None:
    with Memory.writing(FOLDER) as memory:
        memory.add([entry(1)])
        storage.write_bytes(storage.join(FOLDER, LOCK), b'{"run": "other", "holder": "process 1 of a machine"}')
        held = memory._hold
        wait_for(lambda: held.is_lost, 60, lambda: "the other's claim is not noticed")
        with pytest.raises(JobFailed, match=r"another job writes s3://lake/memory, .*run the same command again when"):
            memory.add([entry(2)])
    assert storage.exists(storage.join(FOLDER, LOCK)), "it is the other's"
    assert texts() == {"text 1"}


def test_a_store_that_knows_no_conditions_is_written_all_the_same_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise lease._NoConditions

    monkeypatch.setattr(lease.Claim, "_put", refuse)
    with Memory.writing(FOLDER) as memory:
        memory.add([entry(1)])
    assert "nothing keeps a second job from writing there" in capsys.readouterr().err
    assert texts() == {"text 1"}


def test_a_bucket_that_is_not_there_is_one_sentence() -> None:
    sentence = "the bucket nowhere of s3://nowhere/memory.* does not exist; create it or name another"
    with pytest.raises(StorageError, match=sentence), Memory.writing("s3://nowhere/memory"):
        pytest.fail("written")
