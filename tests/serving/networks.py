"""Network namespaces that a test makes for itself, where it may listen on all addresses."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest


@contextmanager
def networks_of_their_own(names: Sequence[str], commands: str) -> Iterator[None]:
    """Namespaces of these names, made by commands of `ip`; skips the test where one may not make any."""
    try:
        for command in commands.strip().splitlines():
            try:
                done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
            except OSError as error:
                pytest.skip(f"no network namespaces here: {error}")
            if done.returncode:
                pytest.skip(f"no network namespaces here: {command.strip()}: {done.stderr.strip()}")
        yield
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def inside(name: str) -> list[str]:
    """Words before a command that is to run there."""
    return ["ip", "netns", "exec", name]
