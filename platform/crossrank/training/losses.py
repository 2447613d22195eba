"""Losses over ragged groups: the positive is the first document of each, the rest are negatives.

Each term is a sum over the groups of a micro-batch. Divided by the groups of the whole step, over all ranks, and
summed, micro-batches of any size give the gradient of one big batch.

Shape letters: P pairs of a micro-batch, S groups, D documents of the largest of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from crossrank.training.settings import TrainSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much each term counts; 0 leaves it out."""

    group_ce: float = 1.0
    bce: float = 0.0
    kl: float = 0.0
    margin_mse: float = 0.0
    temperature: float = 1.0
    """Of the softmax over teacher and student scores in `kl`."""

    @classmethod
    def of(cls, settings: TrainSettings) -> Weights:
        """The weights that the settings give."""
        return cls(
            group_ce=settings.weight_group_ce,
            bce=settings.weight_bce,
            kl=settings.weight_kl,
            margin_mse=settings.weight_margin_mse,
            temperature=settings.temperature,
        )

    @property
    def move_level(self) -> bool:
        """Whether any term changes when all scores of a group rise alike; the others see differences alone."""
        return self.bce > 0


def summed(
    scores_P: Tensor, sizes_S: Sequence[int], labels_P: Tensor, teachers_P: Tensor | None, weights: Weights
) -> Tensor:
    """The weighted sum of the terms, summed over the groups; a scalar in float32.

    Args:
        scores_P: logits, group after group, the positive of each first.
        sizes_S: documents of each group.
        labels_P: above 0 for a positive.
        teachers_P: a teacher's scores on the scale of logits; None where no term reads them.
    """
    scores_P = scores_P.float()
    scores_SD = rows(scores_P, sizes_S, -torch.inf)
    total = scores_P.new_zeros(())
    if weights.group_ce:
        total = total + weights.group_ce * group_cross_entropy(scores_SD)
    if weights.bce:
        total = total + weights.bce * binary_cross_entropy(scores_P, sizes_S, labels_P)
    if weights.kl or weights.margin_mse:
        assert teachers_P is not None, "settings ask for teacher scores where a term reads them"
        teachers_SD = rows(teachers_P.float(), sizes_S, -torch.inf)
        if weights.kl:
            total = total + weights.kl * distillation(scores_SD, teachers_SD, weights.temperature)
        if weights.margin_mse:
            total = total + weights.margin_mse * margin_mse(scores_SD, teachers_SD)
    return total


def guessing(sizes_S: Sequence[int], labels_P: Tensor, teachers_P: Tensor | None, weights: Weights) -> Tensor:
    """What `summed` is for a model that cannot tell the documents of a group apart; a scalar in float32.

    Such a model gives all documents of a group one score. Only the binary cross-entropy says which: it is least where
    the sigmoid is the group's share of positives. So no such model has a lower loss, and one that has learnt that share
    and nothing else is at it: ln(n) for a group's cross-entropy, the entropy of the share for a binary one, the
    divergence of the teacher from an even distribution, and the mean of its squared margins.
    """
    sizes = torch.tensor(sizes_S, device=labels_P.device)
    shares_S = (rows(labels_P, sizes_S, 0.0) > 0).sum(dim=1) / sizes
    levels_S = torch.logit(shares_S, eps=1e-6)
    return summed(levels_S.repeat_interleave(sizes), sizes_S, labels_P, teachers_P, weights)


def group_cross_entropy(scores_SD: Tensor) -> Tensor:
    """``-log softmax(scores)[positive]``, the loss of the ko-reranker and of FlagEmbedding's rerankers, summed.

    A group of n documents that the model cannot tell apart costs ln n.
    """
    return -F.log_softmax(scores_SD, dim=1)[:, 0].sum()


def binary_cross_entropy(scores_P: Tensor, sizes_S: Sequence[int], labels_P: Tensor) -> Tensor:
    """Each document for itself, 1 for a positive and 0 for a negative; the mean of a group, summed over groups."""
    losses_P = F.binary_cross_entropy_with_logits(scores_P, (labels_P > 0).float(), reduction="none")
    sizes = torch.tensor(sizes_S, device=scores_P.device)
    return (losses_P / sizes.repeat_interleave(sizes)).sum()


def distillation(scores_SD: Tensor, teachers_SD: Tensor, temperature: float) -> Tensor:
    """``T^2 KL(softmax(teacher / T) || softmax(student / T))`` of each group, summed.

    T squared keeps the size of the gradient whatever T is. Source: Hinton, Vinyals and Dean, arXiv 1503.02531.
    """
    student_SD = F.log_softmax(scores_SD / temperature, dim=1)
    teacher_SD = F.log_softmax(teachers_SD / temperature, dim=1)
    is_real_SD = torch.isfinite(teachers_SD)
    # Where there is no document both are -inf, and their difference is no number.
    difference_SD = torch.where(is_real_SD, teacher_SD, 0.0) - torch.where(is_real_SD, student_SD, 0.0)
    return temperature**2 * (teacher_SD.exp() * difference_SD).sum()


def margin_mse(scores_SD: Tensor, teachers_SD: Tensor) -> Tensor:
    """Squared difference of the student's and the teacher's margin of positive over negative.

    The mean over the negatives of a group, summed over groups. Source: Hofstaetter et al., arXiv 2010.02666.
    """
    is_negative_SD = torch.isfinite(teachers_SD)[:, 1:]
    margins = scores_SD[:, :1] - torch.where(is_negative_SD, scores_SD[:, 1:], 0.0)
    wanted = teachers_SD[:, :1] - torch.where(is_negative_SD, teachers_SD[:, 1:], 0.0)
    squares = torch.where(is_negative_SD, (margins - wanted) ** 2, 0.0)
    return (squares.sum(dim=1) / is_negative_SD.sum(dim=1)).sum()


def spread(scores_P: Tensor, sizes_S: Sequence[int]) -> Tensor:
    """Largest minus smallest score of each group, summed: 0 is a model that tells nothing apart."""
    scores_P = scores_P.detach().float()
    return (rows(scores_P, sizes_S, -torch.inf).amax(1) - rows(scores_P, sizes_S, torch.inf).amin(1)).sum()


def rows(values_P: Tensor, sizes_S: Sequence[int], filler: float) -> Tensor:
    """A row for each group, filled up at its end. Shape (S, D)."""
    return pad_sequence(list(values_P.split(list(sizes_S))), batch_first=True, padding_value=filler)
