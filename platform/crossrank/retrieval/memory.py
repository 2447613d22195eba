"""The memory that this process may still take: the machine's, or less where a control group limits it.

A container or a Slurm step is killed at its own limit, however much the machine has free.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def available_memory_bytes(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that can still be allocated: the least of MemAvailable and what each enclosing control group leaves.

    Page cache counts as available, for the machine and for the groups: the kernel gives it up before it kills.
    Knows cgroup v2 and v1. Where there is no ``/proc`` (macOS) it is all of the physical memory.
    """
    try:
        meminfo = (proc / "meminfo").read_text()
    except OSError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    available = _field(meminfo, "MemAvailable:") * 1024
    for folder in _group_folders(proc, cgroups):
        left = _left_in_group(folder)
        if left is not None:
            available = min(available, left)
    return max(available, 0)


def _group_folders(proc: Path, cgroups: Path) -> Iterator[Path]:
    """The folders of this process's memory group and of its ancestors; limits of all of them hold."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = cgroups / "memory" if controllers else cgroups
        # In a container the path may be the host's, which is not there: its group is then the root itself.
        folder = root / path.lstrip("/")
        yield from (each for each in (folder, *folder.parents) if each.is_relative_to(root) and each.is_dir())


def _left_in_group(folder: Path) -> int | None:
    """Bytes left in one group, its limit less its use; None where it has no limit."""
    for limit_name, use_name, cache_field in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            limit = (folder / limit_name).read_text().strip()
            used = int((folder / use_name).read_text())
            cached = _field((folder / "memory.stat").read_text(), cache_field)
        except (OSError, ValueError):
            continue
        return None if limit == "max" else int(limit) - used + cached
    return None


def _field(text: str, name: str) -> int:
    """The number after a name in the lines of a kernel file; 0 where the name is missing."""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == name:
            return int(words[1])
    return 0
