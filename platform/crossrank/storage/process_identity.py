"""A process by a name that others can read, and whether it is certain that it has ended.

A process id alone says little: it is given again, and other machines and containers have the same. With the boot of
the kernel, the namespace that the id is of, and the time at which the process began, it names one process for ever.

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
    """Names one process."""

    kernel: str
    """Of a boot and a namespace of process ids."""
    pid: int
    began: int
    """In ticks since the boot."""


def own() -> ProcessIdentity | None:
    """Of this process; None where the system does not tell."""
    try:
        kernel = hash_bytes(f"{BOOT.read_text().strip()} {os.readlink(NAMESPACE)}".encode())
    except OSError:
        return None
    told = _told(os.getpid())
    return ProcessIdentity(kernel, os.getpid(), told[1]) if told is not None else None


def has_ended(process: ProcessIdentity) -> bool:
    """Whether it has ended for certain: False also of processes of which this machine knows nothing."""
    here = own()
    if here is None or here.kernel != process.kernel:
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    told = _told(process.pid)  # None where the system hides the processes of others
    return told is not None and (told[0] in "ZX" or told[1] != process.began)


def _told(pid: int) -> tuple[str, int] | None:
    """State of a process, and when it began."""
    try:
        # The name of the program may have brackets and spaces in it.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[0].decode(), int(fields[19])
    except (OSError, IndexError, ValueError):
        return None
