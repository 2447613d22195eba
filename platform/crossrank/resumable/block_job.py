"""What workers do with the blocks of a job, as a value that is sent to each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Figures = dict[str, Any]
"""What was done to a block, in numbers."""


class BlockJob(Protocol):
    """What is done to the blocks of a job: sent to every worker, and so small. It pickles."""

    def open(self, threads: int) -> Callable[[int], Figures]:
        """Make ready to work in this process.

        Args:
            threads: CPU threads that it may use.

        Returns:
            A function that does the block of a number, writes what it made as one file under the block's own name,
            and gives figures of it. A retry after a death writes the same file again.
        """
