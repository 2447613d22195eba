"""Whether a process that another machine may have named has ended for certain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossrank.storage import process_identity
from crossrank.storage.process_identity import ProcessIdentity, has_ended, own


@pytest.fixture
def here() -> ProcessIdentity:
    found = own()
    assert found is not None
    return found


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def began(pid: int) -> int:
    told = process_identity._status(pid)
    assert told is not None
    return told[1]


def test_this_process_has_not_ended_and_is_the_same_each_time(here: ProcessIdentity) -> None:
    assert not has_ended(here)
    assert own() == here


def test_a_child_is_another_process_of_the_same_kernel(here: ProcessIdentity) -> None:
    script = "from crossrank.storage.process_identity import own; print(*own())"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert said[0] == here.kernel
    assert int(said[1]) != here.pid
    assert int(said[2]) >= here.began
    assert has_ended(ProcessIdentity(said[0], int(said[1]), int(said[2])))


def test_a_process_has_ended_when_it_was_killed_even_if_nobody_asked_for_its_status(
    here: ProcessIdentity, other: subprocess.Popen[bytes]
) -> None:
    named = ProcessIdentity(here.kernel, other.pid, began(other.pid))
    assert not has_ended(named)
    os.kill(other.pid, signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert has_ended(named)
    other.wait()
    assert has_ended(named)


def test_a_process_with_the_number_of_another_is_not_taken_for_it(here: ProcessIdentity) -> None:
    assert has_ended(here._replace(began=here.began - 1))


def test_of_another_machine_nothing_is_certain(here: ProcessIdentity) -> None:
    assert not has_ended(ProcessIdentity("another", here.pid, here.began - 1))


def test_a_process_that_the_system_hides_may_be_there(here: ProcessIdentity, monkeypatch: pytest.MonkeyPatch) -> None:
    status_of = process_identity._status
    monkeypatch.setattr(process_identity, "_status", lambda pid: None if pid == os.getppid() else status_of(pid))
    assert not has_ended(ProcessIdentity(here.kernel, os.getppid(), 1))


def test_a_number_that_no_process_can_have_is_no_error(here: ProcessIdentity) -> None:
    assert not has_ended(ProcessIdentity(here.kernel, 1 << 70, 1))


def test_a_system_that_does_not_tell_has_no_names(monkeypatch: pytest.MonkeyPatch, here: ProcessIdentity) -> None:
    monkeypatch.setattr(process_identity, "BOOT", Path("/nowhere"))
    assert own() is None
    assert not has_ended(here._replace(began=here.began - 1))
