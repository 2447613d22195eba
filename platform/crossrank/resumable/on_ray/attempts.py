"""A limit on how often a block is begun again: one that kills every worker must not be tried for ever.

Ray can limit its own attempts, but it also counts calls that reach no worker: six calls to a lost machine fail within
ten seconds, before the cluster knows of the loss. So Ray retries without a limit, and the blocks that restarted workers
begin are counted in the key-value store of the cluster's head. A run in which no worker dies does not use it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_put

from crossrank.errors import JobFailed

AFTER_DEATH = 5
"""Times that a block is given to a worker again after one died with it."""


@dataclass(frozen=True, slots=True)
class AttemptLimit:
    """The attempts at each block of one run, and their limit."""

    run: str
    """A name that no other run on the cluster has."""
    most: int

    def begin(self, number: int) -> None:
        """Count that a restarted worker begins a block.

        Raises:
            JobFailed: too many workers have died with it.
        """
        # Read and then written, since one worker has a block at a time.
        begun = int(_internal_kv_get(self._key(number)) or 0)
        if begun >= self.most:
            raise JobFailed(
                f"block {number} was given up after {begun + 1} workers had died with it, perhaps for want of memory; "
                f"finished blocks are kept, so mend the cause and run the same command again"
            )
        _internal_kv_put(self._key(number), str(begun + 1))

    def forget(self) -> None:
        """Delete the counts of this run."""
        _internal_kv_del(self._key(""), del_by_prefix=True)

    def _key(self, number: int | str) -> str:
        return f"crossrank-tries-{self.run}-{number}"
