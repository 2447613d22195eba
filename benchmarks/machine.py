"""What a figure was measured on, for the head of every result."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from crossrank.provenance import provenance

DATA = Path(__file__).parents[1].parent / "shared" / "data"
WORK = Path(__file__).parent / "_work"
"""Models that a benchmark makes for itself; not tracked."""


def machine() -> dict[str, str]:
    """Processor, memory and versions."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    packages = ("torch", "transformers", "tokenizers", "ray", "sentence-transformers", "numpy", "pyarrow")
    return {
        "machine": f"{os.cpu_count()} cores, {model}, {memory:.0f} GiB",
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "crossrank": str(provenance().commit),
    }
