"""`crossrank submit` and `crossrank jobs`: run a verb on a cluster, and look after it from another machine."""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crossrank.cluster.submission.shipment import shipment
from crossrank.errors import USER_OF_URL, CrossrankError, SettingsError, in_short
from crossrank.telemetry.progress import say

if TYPE_CHECKING:
    from crossrank.cluster.submission.on_ray import Cluster, JobDetails

LOOK_S = 1.0
"""Seconds between two looks at a job."""
LOST_S = 60.0
"""Seconds to wait for a job server that no longer answers; the job goes on without it."""
LAST_LOGS = ", last available logs"
"""Beginning of the end of the log, which Ray repeats in a job's message."""
INTERRUPTED = 130
"""Exit status of a program that Ctrl-C ended, as shells have it."""


def submit(verb: str, flags: Sequence[str], address: str | None, detach: bool) -> int:
    """Run a verb on a cluster, with the source that is on this disk.

    Follows its log and returns its exit status; with --detach prints the name of the job and returns at once. What the
    flags name is looked for on the cluster, so data lies on s3:// or on a disk that all nodes mount; YAML files
    (--config, a recipe) are shipped.
    """
    cluster = _cluster(address)
    started = time.monotonic()
    job_id = f"raysubmit_{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(prefix="crossrank-") as folder:
        job = shipment(verb, flags, Path(folder))
        try:
            cluster.submit(job, job_id)
        except KeyboardInterrupt:
            say(f"{job_id} may run or not; look at it by: crossrank jobs status {job_id} --address {address}")
            return INTERRUPTED
    say(f"submitted as {job_id}, in {time.monotonic() - started:.1f} s")
    if detach:
        print(job_id)
        say(f"look at it by: crossrank jobs status|logs|stop {job_id} --address {address}")
        return 0
    return _follow(cluster, job_id, address)


def status(job_id: str, address: str | None) -> int:
    """Say how a job of the cluster is. Returns 0 while it runs, and its exit status when it has ended."""
    details = _cluster(address).details(job_id)
    for name, value in _facts(details).items():
        print(f"{name:12} {value}")
    return _exit_status(details) if _ended(details) else 0


def logs(job_id: str, address: str | None, follow: bool) -> int:
    """Print what a job of the cluster has said; with --follow also what it will say, until it ends."""
    cluster = _cluster(address)
    cluster.details(job_id)  # of a job that nobody knows there is nothing to wait for
    if follow:
        return _follow(cluster, job_id, address)
    print(cluster.log(job_id), end="")
    return 0


def stop(job_id: str, address: str | None) -> int:
    """End a job of the cluster, and wait until it has ended. What it finished is kept, as after any kill."""
    cluster = _cluster(address)
    if _ended(details := cluster.details(job_id)):
        say(f"{job_id} had ended before: {str(details.status).lower()}; there is nothing to stop")
        return 0
    cluster.stop(job_id)
    while not _ended(details := cluster.details(job_id)):
        time.sleep(LOOK_S)
    if details.status == "SUCCEEDED":
        say(f"{job_id} finished before it could be stopped")
    else:
        say(f"{job_id} is {str(details.status).lower()}; the same command submitted again goes on where it was")
    return 0


def _cluster(address: str | None) -> Cluster:
    if not address:
        raise SettingsError(
            "--address is missing; name the job server of the cluster, such as http://HEAD:8265, with it or in "
            "RAY_API_SERVER_ADDRESS"
        )
    if USER_OF_URL.search(address):
        raise SettingsError("--address has a user or a password in it; a cluster asks for a token, see RAY_AUTH_TOKEN")
    if not address.startswith(("http://", "https://")):
        raise SettingsError(f"--address is {address}; write it with http://, as in http://HEAD:8265")
    from crossrank.cluster.submission.on_ray import Cluster

    return Cluster(address)


def _follow(cluster: Cluster, job_id: str, address: str | None) -> int:
    """Print the log of a job until it ends; returns its exit status. Whoever stops reading leaves the job at work."""
    try:
        return _followed(cluster, job_id)
    except (KeyboardInterrupt, BrokenPipeError) as left:
        say(f"{job_id} goes on, and nobody reads its log; end it by: crossrank jobs stop {job_id} --address {address}")
        if isinstance(left, BrokenPipeError):
            raise
        return INTERRUPTED


def _followed(cluster: Cluster, job_id: str) -> int:
    """Print as `_follow` does, and connect again where the connection breaks."""
    printed = 0
    lost: float | None = None  # since when the job server does not answer
    while True:
        received = 0  # characters of the log, over this connection

        def write(text: str) -> None:
            nonlocal received, printed, lost
            lost = None
            start, received = received, received + len(text)
            if received > printed:  # each connection sends the log from its beginning
                sys.stdout.write(text[max(printed - start, 0) :])
                sys.stdout.flush()
                printed = received

        try:
            cluster.follow(job_id, write)
            details = cluster.details(job_id)
        except CrossrankError:
            now = time.monotonic()
            lost = now if lost is None else lost
            if now - lost > LOST_S:
                raise
            time.sleep(LOOK_S)
            continue
        lost = None
        if _ended(details):
            return _exit_status(details)
        time.sleep(LOOK_S)


def _ended(details: JobDetails) -> bool:
    return bool(details.status.is_terminal())


def _exit_status(details: JobDetails) -> int:
    """Exit status of the verb; 1 where it has none, since it was stopped or died before it began."""
    if details.status == "SUCCEEDED":
        return 0
    if not details.driver_exit_code:
        say(f"{details.submission_id} {str(details.status).lower()}: {_message(details)}")
    return details.driver_exit_code or 1


def _facts(details: JobDetails) -> dict[str, str]:
    """Facts that `status` prints, by their name."""
    times = {"started": details.start_time, "ended": details.end_time}
    clock = {
        name: time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at / 1000))
        for name, at in times.items()
        if at is not None
    }
    return {
        "job": str(details.submission_id),
        "state": str(details.status).lower(),
        **clock,
        **({} if details.driver_exit_code is None else {"exit status": str(details.driver_exit_code)}),
        "command": details.entrypoint,
        "message": _message(details),
    }


def _message(details: JobDetails) -> str:
    """Message of Ray about the job, without the end of the log that Ray repeats in it."""
    return in_short(" ".join(str(details.message or "").split()).partition(LAST_LOGS)[0], 1000)
