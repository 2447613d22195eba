"""One writer of a folder in an object store: the second is refused, one that was killed is replaced."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from crossrank import storage
from crossrank.errors import JobFailed, OutputError, StorageError
from crossrank.resumable.output import alone
from crossrank.storage import lease, process_identity
from tests.unit.stand_in_s3 import Store

FOLDER = "s3://lake/out"
PLACE = ("lake", "out/_lock")
FOR_EVER = 1e6
ELSEWHERE = {"kernel": "of another machine", "pid": 7, "began": 1}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store, and claims that are renewed often, and never silent for so long that it would be noticed."""
    store = Store()
    monkeypatch.setattr(lease.Claim, "_made_client", lambda self: store)
    monkeypatch.setattr(storage, "check_writable", lambda uri: None)
    monkeypatch.setattr(lease, "RENEW_S", 0.01)
    monkeypatch.setattr(lease, "LOOK_S", 0.01)
    monkeypatch.setattr(lease, "SILENT_S", FOR_EVER)
    return store


@pytest.fixture
def _silent_soon(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not renew its claim is soon taken for dead; and nobody renews."""
    monkeypatch.setattr(lease, "RENEW_S", FOR_EVER)
    monkeypatch.setattr(lease, "SILENT_S", 0.05)


def claim_of(store: Store, run: str = "other", **process: Any) -> None:
    said = {"run": run, "renewed": 1, "holder": "process 7 of there", "process": {**ELSEWHERE, **process}}
    store.put_object(*PLACE, json.dumps(said).encode())


@contextmanager
def renewing(store: Store) -> Iterator[None]:
    """A job of another machine that is at work."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(0.01):
            claim_of(store)

    claim_of(store)
    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


# two jobs


def test_a_claim_that_breaks_off_while_it_is_read_is_read_again(store: Store) -> None:
    with renewing(store):
        store.broken_answers = lease.TRIES - 1
        with pytest.raises(OutputError, match="another job"), alone(FOLDER):
            pass
        assert store.broken_answers == 0
        store.broken_answers = 10 * lease.TRIES
        with pytest.raises(StorageError, match=r"cannot claim .*: .* 83 more expected"), alone(FOLDER):
            pass
        store.broken_answers = 0


def test_a_second_job_is_refused_by_the_name_of_the_first_which_goes_on(store: Store) -> None:
    with alone(FOLDER) as lease:
        with pytest.raises(OutputError) as refused, alone(FOLDER):
            pytest.fail("both are at work")
        lease.check()
    assert str(refused.value) == (
        f"another job (process {os.getpid()} of {os.uname().nodename}) is at work on {FOLDER}; wait for its end, or "
        f"name another --output"
    )


def test_a_job_of_another_machine_that_is_at_work_is_not_replaced(store: Store) -> None:
    refused = pytest.raises(OutputError, match=r"another job \(process 7 of there\) is at work")
    with renewing(store), refused, alone(FOLDER):
        pytest.fail("both are at work")
    assert json.loads(store.objects[PLACE][1])["run"] == "other"


@pytest.mark.parametrize("fails", [False, True])
def test_when_a_job_has_ended_the_next_may_begin_at_once(store: Store, fails: bool) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="it failed") if fails else alone(FOLDER):
            if fails:
                with alone(FOLDER):
                    raise ValueError("it failed")
        assert not store.objects


def test_a_claim_that_goes_away_while_it_is_watched_is_that_of_the_next(store: Store) -> None:
    claim_of(store)
    threading.Timer(0.1, store.objects.clear).start()
    with alone(FOLDER):
        assert json.loads(store.objects[PLACE][1])["process"]["pid"] == os.getpid()


# a job that was killed


def work_and_die() -> int:
    pid = os.fork()
    if pid == 0:
        with alone(FOLDER):
            os._exit(9)  # as SIGKILL: nothing is given back
    os.waitpid(pid, 0)
    return pid


def kept_by(pid: int) -> dict[str, Any]:
    """What a process that ended would have left. (The store of a forked child is its own.)"""
    here = process_identity.own()
    assert here is not None
    return {"kernel": here.kernel, "pid": pid, "began": 1}


def test_a_job_of_this_machine_that_was_killed_is_replaced_at_once(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    claim_of(store, **kept_by(work_and_die()))
    with alone(FOLDER) as lease:
        lease.check()
    assert f"process 7 of there was killed and left its claim on {FOLDER}; going on" in capsys.readouterr().err


def test_a_job_of_another_machine_that_was_killed_is_replaced_when_it_was_silent_for_long(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lease, "SILENT_S", 1.0)
    monkeypatch.setattr(lease, "LOOK_S", 0.1)
    claim_of(store, pid=work_and_die())  # the number of a process that ended here says nothing of another machine
    started = time.monotonic()
    with alone(FOLDER):
        assert time.monotonic() - started >= 1
    assert f"process 7 of there left its claim on {FOLDER} 1 s ago; going on" in capsys.readouterr().err


@pytest.mark.usefixtures("_silent_soon")
@pytest.mark.parametrize("held", [b"", b"[]", b'{"run": "x"}', b'{"run": "x", "holder": "y", "process": "z"}'])
def test_a_claim_that_says_nothing_is_replaced_when_it_was_silent_for_long(store: Store, held: bytes) -> None:
    store.put_object(*PLACE, held)
    with alone(FOLDER) as lease:
        lease.check()
    assert not store.objects


# a job that could not be heard of


def test_a_job_whose_folder_was_taken_over_goes_no_further_and_leaves_the_claim_of_the_other(store: Store) -> None:
    with alone(FOLDER) as lease:
        claim_of(store)
        until = time.monotonic() + 60
        while not lease.is_lost:
            assert time.monotonic() < until
            time.sleep(0.01)
        with pytest.raises(JobFailed) as failed:
            lease.check()
    assert f"another job writes {FOLDER}, since this one could not reach it for" in str(failed.value)
    assert str(failed.value).endswith("run the same command again when the other has ended")
    assert json.loads(store.objects[PLACE][1])["run"] == "other"


@pytest.mark.usefixtures("_silent_soon")
def test_a_job_that_slept_asks_before_it_goes_on(store: Store) -> None:
    # Its thread did not run either: what it last heard of is that the folder is its own.
    with alone(FOLDER) as lease:
        claim_of(store)
        time.sleep(0.1)
        assert not lease.is_lost
        with pytest.raises(JobFailed, match="another job writes"):
            lease.check()


@pytest.mark.usefixtures("_silent_soon")
def test_a_job_that_slept_goes_on_where_nobody_took_over(store: Store) -> None:
    with alone(FOLDER) as lease:
        time.sleep(0.1)
        lease.check()
    assert not store.objects


@pytest.mark.usefixtures("_silent_soon")
def test_a_job_that_cannot_ask_goes_no_further(store: Store) -> None:
    with alone(FOLDER) as lease:
        store.is_away = True
        time.sleep(0.1)
        with pytest.raises(JobFailed, match=r"cannot claim s3://lake/out: .*http://away.*run the same command again"):
            lease.check()


@pytest.mark.usefixtures("_silent_soon")
def test_credentials_that_ran_out_are_named_as_such(store: Store) -> None:
    with alone(FOLDER) as lease:
        store.has_expired = True
        time.sleep(0.1)
        with pytest.raises(JobFailed, match=r"access to s3://lake/out is denied; check the AWS credentials"):
            lease.check()
    with pytest.raises(StorageError, match=r"access to s3://lake/out is denied"), alone(FOLDER):
        pass


def test_a_store_that_is_away_for_a_while_ends_no_job(store: Store) -> None:
    with alone(FOLDER) as lease:
        store.is_away = True
        time.sleep(0.1)
        lease.check()
        store.is_away = False
        before = store.objects[PLACE]
        until = time.monotonic() + 60
        while store.objects[PLACE] == before:  # it is renewed again
            assert time.monotonic() < until
            time.sleep(0.01)
        lease.check()
    assert not store.objects


# stores, and what is installed


def test_a_store_that_is_away_is_one_sentence_without_the_password_of_its_endpoint(store: Store) -> None:
    store.is_away = True
    with pytest.raises(StorageError, match="cannot claim s3://lake/out: Could not connect") as error, alone(FOLDER):
        pytest.fail("at work")
    assert "hunter2" not in str(error.value)


def test_a_store_that_knows_no_conditions_is_written_all_the_same_and_that_is_said(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.knows_conditions = False
    with alone(FOLDER) as one, alone(FOLDER) as other:
        one.check()
        other.check()
    assert "nothing keeps a second job from writing there" in capsys.readouterr().err


def test_without_boto3_nothing_is_written_for_nothing_would_keep_a_second_job_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ModuleNotFoundError), alone(FOLDER):
        pytest.fail("began without a lock")
