"""What Ray raises, or says of a worker that died, as one sentence of ours."""

from __future__ import annotations

import re

from crossrank.errors import CrossrankError, JobFailed, in_short

MEMORY = re.compile(r"Memory on the node \(IP: ([^,\s]+).*?\) was ([\d.]+)GB used / ([\d.]+)GB limit", re.DOTALL)
"""How Ray says that a node ran short of memory, and that it killed a worker for it."""
USER = re.compile(r"^(\d+)\s+([\d.]+)\s+(\S+)", re.MULTILINE)
"""A line of its list of who has the memory: process, gigabytes, program."""
WAY_OUT = "use --workers 1, or a machine with more memory, and run the same command again"
DIED = {"ActorDiedError", "ActorUnavailableError", "WorkerCrashedError", "OutOfMemoryError", "NodeDiedError"}
"""What Ray raises where a process ended, and not what ran in it."""


def ours(error: BaseException, what: str, kept: str) -> CrossrankError:
    """The crossrank error behind what Ray raised, or one sentence about what else went wrong.

    Args:
        what: that failed, such as ``a worker``.
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


def why_it_died(told: object) -> str:
    """Why a process of Ray ended, from what Ray says of it."""
    memory = short_of_memory(str(told))
    if memory is not None:
        return memory
    if "SIGKILL" in str(told) or "End of file" in str(told):
        return "it ended without a word, as what the system kills for want of memory does"
    return in_short(told, 400)


def short_of_memory(told: str) -> str | None:
    """How much memory a machine has and who has it, where Ray says that it ran short; otherwise None."""
    found = MEMORY.search(told)
    if found is None:
        return None
    address, used, limit = found.groups()
    _, _, listed = told.partition("memory users:")
    users = [
        f"process {process} ({program.rsplit('/', 1)[-1]}) {float(gigabytes):.1f} GB"
        for process, gigabytes, program in USER.findall(listed)[:3]
    ]
    most = f", most by {', '.join(users)}" if users else ""
    return f"memory ran out: {float(used):.1f} of {float(limit):.1f} GB of {address} are in use{most}"
