"""Memory that may still be taken, from kernel files written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossrank.retrieval.memory import available_memory_bytes

GIB = 1 << 30


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """A machine with 8 GiB available and no control group."""
    write(tmp_path / "proc/meminfo", f"MemTotal: 99 kB\nMemFree: 1 kB\nMemAvailable: {8 * GIB // 1024} kB\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_group(folder: Path, limit: str, current: int, inactive_file: int = 0) -> None:
    write(folder / "memory.max", f"{limit}\n")
    write(folder / "memory.current", f"{current}\n")
    write(folder / "memory.stat", f"anon 1\ninactive_file {inactive_file}\n")


def available(kernel: Path) -> int:
    return available_memory_bytes(kernel / "proc", kernel / "cgroup")


def test_without_control_groups_it_is_what_the_machine_has() -> None:
    assert available_memory_bytes() > 0


def test_without_a_limit_it_is_memavailable(kernel: Path) -> None:
    assert available(kernel) == 8 * GIB
    write(kernel / "proc/self/cgroup", "0::/job\n")
    write_group(kernel / "cgroup/job", "max", GIB)
    assert available(kernel) == 8 * GIB


def test_a_container_limit_counts_less_what_is_used_but_not_page_cache(kernel: Path) -> None:
    write(kernel / "proc/self/cgroup", "0::/\n")
    write_group(kernel / "cgroup", str(4 * GIB), current=3 * GIB, inactive_file=GIB)
    assert available(kernel) == 2 * GIB


def test_the_limit_of_an_enclosing_group_holds_too(kernel: Path) -> None:
    write(kernel / "proc/self/cgroup", "0::/slice/job\n")
    write_group(kernel / "cgroup/slice/job", str(6 * GIB), current=GIB)
    write_group(kernel / "cgroup/slice", str(4 * GIB), current=GIB)
    assert available(kernel) == 3 * GIB


def test_a_path_of_the_host_falls_back_to_the_root_of_the_container(kernel: Path) -> None:
    write(kernel / "proc/self/cgroup", "0::/kubepods/pod1/abc\n")
    write_group(kernel / "cgroup", str(4 * GIB), current=GIB)
    assert available(kernel) == 3 * GIB


def test_the_first_version_of_control_groups_is_read_as_well(kernel: Path) -> None:
    write(kernel / "proc/self/cgroup", "5:devices:/x\n4:memory:/job\n0::/\n")
    job = kernel / "cgroup/memory/job"
    write(job / "memory.limit_in_bytes", f"{4 * GIB}\n")
    write(job / "memory.usage_in_bytes", f"{2 * GIB}\n")
    write(job / "memory.stat", f"total_inactive_file {GIB}\n")
    assert available(kernel) == 3 * GIB


def test_a_group_over_its_limit_leaves_nothing(kernel: Path) -> None:
    write(kernel / "proc/self/cgroup", "0::/\n")
    write_group(kernel / "cgroup", str(GIB), current=2 * GIB)
    assert available(kernel) == 0
