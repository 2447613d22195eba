"""Losses over ragged groups: the positive is the first document of each, the rest are negatives.

`LOSSES` is the table of them. A new one is a function and a row in this file, and the knob ``weight_NAME`` of
`TrainSettings`; all else is read from the table. The settings read it too, so torch is imported where it computes.

Each term is a sum over the groups of a micro-batch. Divided by the groups of the whole step, over all ranks, and
summed, micro-batches of any size give the gradient of one big batch.

Shape letters: P pairs of a micro-batch, S groups, D documents of the largest of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ScoredGroups:
    """Input of a loss: the groups of a micro-batch, one after another, the positive of each first."""

    scores_P: Tensor
    """Logits, in float32."""
    sizes_S: Sequence[int]
    """Documents of each group."""
    labels_P: Tensor
    """Labels, above 0 for a positive."""
    teachers_P: Tensor | None
    """A teacher's scores on the scale of logits; None where no term reads them."""

    @cached_property
    def scores_SD(self) -> Tensor:
        """A row of scores for each group; -inf where there is no document."""
        return rows(self.scores_P, self.sizes_S, -math.inf)

    @cached_property
    def teachers_SD(self) -> Tensor:
        """A row of the teacher's scores for each group; -inf where there is no document."""
        assert self.teachers_P is not None, "settings ask for teacher scores where a term reads them"
        return rows(self.teachers_P.float(), self.sizes_S, -math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The loss that is trained: a weighted sum of losses."""

    weights: Mapping[str, float]
    """Weights by the names of `LOSSES`; a loss whose weight is missing or 0 is left out."""
    temperature: float = 1.0
    """Temperature of the softmax over teacher and student scores in `distillation`."""

    @property
    def terms(self) -> dict[str, tuple[Loss, float]]:
        """The losses whose weight is not 0, with their weights."""
        return {name: (loss, weight) for name, loss in LOSSES.items() if (weight := self.weights.get(name, 0.0))}

    @property
    def needs_teacher(self) -> bool:
        """Whether a term reads teacher scores."""
        return any(loss.needs_teacher for loss, _ in self.terms.values())

    @property
    def level_terms(self) -> list[str]:
        """Names of the terms that change when all scores of a group rise alike; the others see differences alone."""
        return [name for name, (loss, _) in self.terms.items() if loss.best_level is not None]


@dataclass(frozen=True, slots=True)
class Loss:
    """A row of `LOSSES`."""

    function: Callable[[ScoredGroups, Objective], Tensor]
    """Computes a scalar: the loss of each group, summed over the groups."""
    needs_teacher: bool = False
    """Whether it reads teacher scores, which every group must then have."""
    best_level: Callable[[ScoredGroups], Tensor] | None = None
    """Function that gives the score of all documents of a group, shape (S,), at which the loss is least for a model
    that cannot tell them apart. None where the loss sees nothing but differences of scores, so that any level is as
    good, and the bias of the head is not trained."""


def summed(
    scores_P: Tensor, sizes_S: Sequence[int], labels_P: Tensor, teachers_P: Tensor | None, objective: Objective
) -> Tensor:
    """The weighted sum of the terms, summed over the groups; a scalar in float32. Arguments as `ScoredGroups`."""
    groups = ScoredGroups(scores_P.float(), sizes_S, labels_P, teachers_P)
    total = groups.scores_P.new_zeros(())
    for loss, weight in objective.terms.values():
        total = total + weight * loss.function(groups, objective)
    return total


def guessing(sizes_S: Sequence[int], labels_P: Tensor, teachers_P: Tensor | None, objective: Objective) -> Tensor:
    """The value of `summed` for a model that cannot tell the documents of a group apart; a scalar in float32.

    Such a model gives all documents of a group one score, and each term is taken at the score that is best for it. So
    no such model has a lower loss, and one that has learnt that score and nothing else has this loss: ln(n) for a
    group's cross-entropy, the entropy of the share of positives for a binary one, the divergence of the teacher from an
    even distribution, and the mean of its squared margins.
    """
    level = ScoredGroups(labels_P.float().new_zeros(labels_P.shape), sizes_S, labels_P, teachers_P)
    total = level.scores_P.new_zeros(())
    for loss, weight in objective.terms.values():
        best = level
        if loss.best_level is not None:
            best = replace(level, scores_P=loss.best_level(level).repeat_interleave(_sizes(sizes_S, labels_P)))
        total = total + weight * loss.function(best, objective)
    return total


def group_cross_entropy(scores_SD: Tensor) -> Tensor:
    """``-log softmax(scores)[positive]``, the loss of the ko-reranker and of FlagEmbedding's rerankers, summed.

    A group of n documents that the model cannot tell apart costs ln n.
    """
    return -scores_SD.log_softmax(dim=1)[:, 0].sum()


def binary_cross_entropy(scores_P: Tensor, sizes_S: Sequence[int], labels_P: Tensor) -> Tensor:
    """Binary cross-entropy of each document, 1 for a positive and 0 for a negative; group means, summed over groups."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    losses_P = binary_cross_entropy_with_logits(scores_P, (labels_P > 0).float(), reduction="none")
    sizes = _sizes(sizes_S, scores_P)
    return (losses_P / sizes.repeat_interleave(sizes)).sum()


def logit_of_share(groups: ScoredGroups) -> Tensor:
    """The level at which `binary_cross_entropy` is least: its sigmoid is the group's share of positives."""
    positives_S = (rows(groups.labels_P, groups.sizes_S, 0.0) > 0).sum(dim=1)
    return (positives_S / _sizes(groups.sizes_S, groups.labels_P)).logit(eps=1e-6)


def distillation(scores_SD: Tensor, teachers_SD: Tensor, temperature: float) -> Tensor:
    """``T^2 KL(softmax(teacher / T) || softmax(student / T))`` of each group, summed.

    T squared keeps the size of the gradient whatever T is. Source: Hinton, Vinyals and Dean, arXiv 1503.02531.
    """
    student_SD = (scores_SD / temperature).log_softmax(dim=1)
    teacher_SD = (teachers_SD / temperature).log_softmax(dim=1)
    is_real_SD = teachers_SD.isfinite()
    # Where there is no document both are -inf, and their difference is no number.
    difference_SD = teacher_SD.where(is_real_SD, 0.0) - student_SD.where(is_real_SD, 0.0)
    return temperature**2 * (teacher_SD.exp() * difference_SD).sum()


def margin_mse(scores_SD: Tensor, teachers_SD: Tensor) -> Tensor:
    """Squared difference of the student's and the teacher's margin of positive over negative.

    The mean over the negatives of a group, summed over groups. Source: Hofstaetter et al., arXiv 2010.02666.
    """
    is_negative_SD = teachers_SD.isfinite()[:, 1:]
    margins = scores_SD[:, :1] - scores_SD[:, 1:].where(is_negative_SD, 0.0)
    wanted = teachers_SD[:, :1] - teachers_SD[:, 1:].where(is_negative_SD, 0.0)
    squares = ((margins - wanted) ** 2).where(is_negative_SD, 0.0)
    return (squares.sum(dim=1) / is_negative_SD.sum(dim=1)).sum()


LOSSES = {
    "group_ce": Loss(lambda groups, _: group_cross_entropy(groups.scores_SD)),
    "bce": Loss(
        lambda groups, _: binary_cross_entropy(groups.scores_P, groups.sizes_S, groups.labels_P),
        best_level=logit_of_share,
    ),
    "kl": Loss(
        lambda groups, objective: distillation(groups.scores_SD, groups.teachers_SD, objective.temperature),
        needs_teacher=True,
    ),
    "margin_mse": Loss(lambda groups, _: margin_mse(groups.scores_SD, groups.teachers_SD), needs_teacher=True),
}
"""Losses by name; the weight of each is the knob ``weight_NAME``. They are added in this order."""


def spread(scores_P: Tensor, sizes_S: Sequence[int]) -> Tensor:
    """Largest minus smallest score of each group, summed; 0 for a model that cannot tell documents apart."""
    scores_P = scores_P.detach().float()
    return (rows(scores_P, sizes_S, -math.inf).amax(1) - rows(scores_P, sizes_S, math.inf).amin(1)).sum()


def rows(values_P: Tensor, sizes_S: Sequence[int], filler: float) -> Tensor:
    """Values of the pairs as one row a group, filled up at its end. Shape (S, D)."""
    from torch.nn.utils.rnn import pad_sequence

    return pad_sequence(list(values_P.split(list(sizes_S))), batch_first=True, padding_value=filler)


def _sizes(sizes_S: Sequence[int], like: Tensor) -> Tensor:
    """The sizes as whole numbers on the device of another tensor."""
    import torch

    return torch.tensor(sizes_S, device=like.device)
