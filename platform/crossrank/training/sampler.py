"""The groups that a step trains on, and the documents of each: a pure function of seed, epoch and step.

Neither the number of workers, nor what was done before, nor a random state decides anything: a run that is resumed, or
that goes on with more workers, sees the same groups in the same order.

Shape letters: G groups of the data, S groups of a step, D documents of a group, K documents kept of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

ALL = 0
"""Group size that keeps every negative."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """Assignment of groups to steps. Every group comes once an epoch; the last step of an epoch has what is left."""

    num_groups: int
    groups_per_step: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one epoch. No group is dropped, so the last step may be smaller."""
        return -(-self.num_groups // self.groups_per_step)

    def epoch(self, step: int) -> int:
        """The epoch that a step, counted from 0 through all epochs, belongs to."""
        return step // self.steps_per_epoch

    def groups(self, step: int) -> NDArray[np.int64]:
        """The groups of a step, counted from 0 through all epochs. Shape (S,)."""
        epoch, within = divmod(step, self.steps_per_epoch)
        start = within * self.groups_per_step
        return _order(self.num_groups, self.seed, epoch)[start : start + self.groups_per_step]


@lru_cache(maxsize=2)  # the step that is trained and the one that is made ready may lie in two epochs
def _order(num_groups: int, seed: int, epoch: int) -> NDArray[np.int64]:
    order = np.random.Generator(np.random.PCG64([seed, epoch])).permutation(num_groups)
    order.flags.writeable = False  # it is shared by all who ask
    return order


def documents_of(
    labels_D: NDArray[np.floating], size: int, seed: int, epoch: int, group_hash: int
) -> NDArray[np.int64]:
    """The documents of a group that one epoch trains on: one positive first, then negatives.

    A hash of seed, epoch, group and place decides, so another epoch draws others, and nothing else changes them. A
    group with fewer negatives than wanted is smaller; none is repeated. Unjudged documents are never drawn.

    Args:
        labels_D: above 0 a positive, 0 or less a negative, NaN unjudged.
        size: documents wanted, the positive among them; `ALL` keeps every negative.
        group_hash: 64 bits that stand for the group, whatever its place in the data.

    Returns:
        Places in the group, shape (K,).
    """
    keys_D = _mixed(np.arange(len(labels_D), dtype=np.uint64), _mixed_key(seed, epoch, group_hash))
    order_D = np.argsort(keys_D, kind="stable")
    labels = labels_D[order_D]
    positives, negatives = order_D[labels > 0], order_D[labels <= 0]  # NaN is neither
    wanted = len(negatives) if size == ALL else size - 1
    return np.concatenate([positives[:1], negatives[:wanted]])


def seed_of(*parts: int) -> int:
    """63 bits that depend on every part and its place: the seed of one micro-batch's dropout."""
    return _mixed_key(*parts) >> 1


def _mixed_key(*parts: int) -> int:
    key = 0
    for part in parts:
        key = int(_mixed(np.array([part % (1 << 64)], dtype=np.uint64), key)[0])
    return key


def _mixed(values: NDArray[np.uint64], key: int) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 over values and a key: every bit of both reaches every bit of the result.

    Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    mixed = (values + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(key)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return result
