"""The identity of a process, readable by others, and whether that process has certainly ended.

A process id alone says little: ids are reused, and other machines and containers have the same ones. With the boot of
the kernel, the namespace of the id, and the time at which the process began, it identifies one process for ever.

Source: proc(5), https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html; pid_namespaces(7).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from crossrank.storage.content_hash import hash_bytes

BOOT = Path("/proc/sys/kernel/random/boot_id")
NAMESPACE = Path("/proc/self/ns/pid")


class ProcessIdentity(NamedTuple):
    """A name that only one process ever has."""

    kernel: str
    """Hash of the boot of the kernel and the namespace of process ids."""
    pid: int
    began: int
    """Start of the process, in ticks since the boot."""


def own() -> ProcessIdentity | None:
    """The identity of this process; None where the system does not show it."""
    try:
        kernel = hash_bytes(f"{BOOT.read_text().strip()} {os.readlink(NAMESPACE)}".encode())
    except OSError:
        return None
    status = _status(os.getpid())
    return ProcessIdentity(kernel, os.getpid(), status[1]) if status is not None else None


def has_ended(process: ProcessIdentity) -> bool:
    """Whether a process has ended for certain; False also for one of which this machine knows nothing."""
    this_process = own()
    if this_process is None or this_process.kernel != process.kernel:
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    status = _status(process.pid)  # None where the system hides the processes of others
    return status is not None and (status[0] in "ZX" or status[1] != process.began)


def _status(pid: int) -> tuple[str, int] | None:
    """The state of a process, and when it began in ticks since the boot; None where it cannot be read."""
    try:
        # The name of the program may have brackets and spaces in it.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[0].decode(), int(fields[19])
    except (OSError, IndexError, ValueError):
        return None
