"""How often a block was begun anew: one that kills whoever scores it must not be tried for ever.

Ray can limit its own tries, but counts among them those that reach nobody: of calls to a machine that was lost, six
fail within ten seconds, before the cluster knows of it. So Ray tries without a limit, and what restarted workers begin
is counted here, in the store of keys of the cluster's head. A run in which nobody dies does not ask it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_put

from crossrank.errors import JobFailed

AFTER_DEATH = 5
"""How often a block is given to a worker again after one died with it."""


@dataclass(frozen=True, slots=True)
class AttemptLimit:
    """Those of one run of blocks."""

    run: str
    """A name that no other run on the cluster has."""
    most: int

    def begin(self, number: int) -> None:
        """A restarted worker begins a block.

        Raises:
            JobFailed: too many have died with it.
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
        """Leave nothing behind."""
        _internal_kv_del(self._key(""), del_by_prefix=True)

    def _key(self, number: int | str) -> str:
        return f"crossrank-tries-{self.run}-{number}"
