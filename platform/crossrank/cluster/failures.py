"""Errors of Ray, and its reports of workers that died, as one sentence of ours."""

from __future__ import annotations

import re

from crossrank.errors import CrossrankError, JobFailed, in_short

MEMORY = re.compile(r"Memory on the node \(IP: ([^,\s]+).*?\) was ([\d.]+)GB used / ([\d.]+)GB limit", re.DOTALL)
"""Ray's report that a node ran short of memory and that it killed a worker for it."""
USER = re.compile(r"^(\d+)\s+([\d.]+)\s+(\S+)", re.MULTILINE)
"""Line of Ray's list of the largest processes: process id, gigabytes, program."""
WAY_OUT = "use --workers 1, or a machine with more memory, and run the same command again"
DIED = {"ActorDiedError", "ActorUnavailableError", "WorkerCrashedError", "OutOfMemoryError", "NodeDiedError"}
"""Classes of the errors that Ray raises where a process ended, rather than the code that ran in it."""


def ours(error: BaseException, what: str, kept: str) -> CrossrankError:
    """The crossrank error behind what Ray raised, or one sentence about what else went wrong.

    Args:
        what: what failed, such as ``a worker``.
        kept: what the job goes on with, such as ``finished blocks are kept``.
    """
    by_rank = getattr(error, "worker_failures", None)  # where Ray Train gave up
    cause = next(iter(by_rank.values())) if by_rank else error
    cause = getattr(cause, "cause", None) or cause  # Ray wraps what a task raises
    if isinstance(cause, CrossrankError):
        return cause
    memory = short_of_memory(str(cause))
    if memory is not None:
        return JobFailed(f"{what} was killed, since {memory}; {kept}: {WAY_OUT}")
    if type(cause).__name__ in DIED:
        return JobFailed(f"{what} died: {why_it_died(cause)}; {kept}, so mend the cause and run the same command again")
    last = [line.strip() for line in str(cause).splitlines() if line.strip()][-1:]
    return JobFailed(
        f"{what} failed: {in_short(': '.join([type(cause).__name__, *last]), 1000)}; {kept}, so mend the cause and run "
        f"the same command again"
    )


def why_it_died(report: object) -> str:
    """Reason why a process of Ray ended, from Ray's report of it."""
    memory = short_of_memory(str(report))
    if memory is not None:
        return memory
    if "SIGKILL" in str(report) or "End of file" in str(report):
        return "it ended without a word, as what the system kills for want of memory does"
    return in_short(report, 400)


def short_of_memory(report: str) -> str | None:
    """Sentence about the memory of a machine and who has it, where Ray reports that it ran short; otherwise None."""
    shortage = MEMORY.search(report)
    if shortage is None:
        return None
    address, used, limit = shortage.groups()
    _, _, listed = report.partition("memory users:")
    users = [
        f"process {process} ({program.rsplit('/', 1)[-1]}) {float(gigabytes):.1f} GB"
        for process, gigabytes, program in USER.findall(listed)[:3]
    ]
    most = f", most by {', '.join(users)}" if users else ""
    return f"memory ran out: {float(used):.1f} of {float(limit):.1f} GB of {address} are in use{most}"
