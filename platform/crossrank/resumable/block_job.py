"""The work on the blocks of a job, as a value that is sent to every worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Figures = dict[str, Any]
"""Numbers about a finished block, by name."""


class BlockJob(Protocol):
    """The work on the blocks of a job. It is pickled and sent to every worker, so it is small."""

    def open(self, threads: int) -> Callable[[int], Figures]:
        """Prepare the work in this process.

        Args:
            threads: CPU threads that the process may use.

        Returns:
            A function that takes the number of a block, works it off, writes the result as one file under the block's
            own name, and returns figures about it. A retry after a worker died writes the same file again.
        """
