"""The level of the scores: one number, the bias of the head, fitted at the end so that a sigmoid is a probability.

A loss over the score differences in a group does not depend on it, so training leaves it alone. The order of
documents does not depend on it either.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank import storage
from crossrank.errors import InputError, OutputError
from crossrank.training.groups import GroupSource, GroupStore
from crossrank.training.settings import TrainSettings

SHARE = 0.2
"""Share of the held-out groups, by their queries, that the bias is fitted on. Checkpoints are measured on the rest."""
LEAST = 20
"""Groups, documents labelled above 0, and documents labelled 0 that the bias is fitted on: at least 20 of each.

Its standard error is at least ``sqrt(1 / positives + 1 / negatives)``, which it is where all scores are equal: 0.32 for
20 and 20, 0.24 for one positive in each of 20 groups of eight. A sigmoid rises by a quarter of that at most, so a
probability is then off by 0.08, where a level that no loss trains is off by all of it. Documents of one query rise and
fall together, so groups count too: from 20 of them the standard error itself is known to a sixth, ``1 / sqrt(2 * 19)``.
"""
BEGAN_BEFORE = "the run began under an earlier version, which kept no groups apart for it"
TOO_FEW = "there are too few held-out groups to keep some apart for it"
FARTHEST = 1e3
"""Logits from 0 within which the bias is looked for: a sigmoid is 0 or 1 long before."""


@dataclass(frozen=True, slots=True)
class Level:
    """The outcome for the bias, as the manifest and the model card have it."""

    bias: str | None = None
    """Name of the weight; None in a head without one."""
    added: float = 0.0
    """Logits that were added to the bias."""
    why_not: str | None = None
    """Reason why the bias was left as it is; None where it was fitted."""
    groups: int = 0
    """Groups that the bias was fitted on."""
    documents: int = 0
    """Judged documents of those groups."""
    positives: int = 0
    """Documents among them that are labelled above 0."""
    standard_error: float | None = None
    """Standard error of `added`, in logits; see `standard_error`."""

    def state(self) -> dict[str, Any]:
        """The fields as JSON holds them."""
        return asdict(self)


def why_not(settings: TrainSettings, bias: str | None, is_held_out: bool, began_before: bool) -> str | None:
    """The reason why the bias cannot be fitted, as far as the settings say; None where it can."""
    if bias is None:
        return "the head has no bias"
    if terms := settings.objective.level_terms:
        return f"weight_{terms[0]} trains it"
    if not is_held_out:
        return "no groups were held out"
    return BEGAN_BEFORE if began_before else None


def parts_of(held_out: GroupSource) -> tuple[GroupSource, GroupSource | None]:
    """The held-out groups to measure on, and those to fit the bias on; None for the latter where there are too few."""
    middle = held_out.low + SHARE * (held_out.high - held_out.low)
    parts = replace(held_out, low=middle), replace(held_out, high=middle)
    try:
        for part in parts:
            part.open()
    except InputError:
        return held_out, None  # where the input is wrong in itself, opening the whole of it says so
    return parts


def too_few(groups: GroupStore) -> str | None:
    """The reason why the bias is not fitted on these groups; None where they have `LEAST` of all that it takes."""
    positives = negatives = 0
    for group in range(len(groups)):
        labels_D = groups.documents(group).labels_D
        positives += int((labels_D > 0).sum())
        negatives += int((labels_D <= 0).sum())  # unjudged documents, whose label is NaN, are neither
    if min(len(groups), positives, negatives) >= LEAST:
        return None
    return (
        f"{SHARE:.0%} of the held-out groups, which may be kept apart for it, are {len(groups):,} with {positives:,} "
        f"documents labelled above 0 and {negatives:,} labelled 0, and it takes {LEAST} of each; hold more out"
    )


def fitted(groups: GroupStore, scores: Iterable[NDArray[np.float32]], bias: str) -> Level:
    """The bias at which the labels of these groups are likeliest; unjudged documents are left out.

    Args:
        groups: groups for which `too_few` is None.
        scores: logits of the documents of each group.
    """
    logits, is_positive, sizes = [], [], []
    for group, scores_D in enumerate(scores):
        labels_D = groups.documents(group).labels_D
        judged_D = ~np.isnan(labels_D)
        logits.append(scores_D[judged_D])
        is_positive.append(labels_D[judged_D] > 0)
        sizes.append(int(judged_D.sum()))
    logits_N = np.concatenate(logits).astype(np.float64)
    is_positive_N = np.concatenate(is_positive)
    positives = int(is_positive_N.sum())
    if not np.isfinite(logits_N).all():
        return Level(bias, why_not="a score of the groups kept apart is no number")
    added = likeliest(logits_N, positives)
    error = standard_error(logits_N + added, is_positive_N, sizes)
    return Level(bias, added, None, len(groups), len(logits_N), positives, error)


def likeliest(logits_N: NDArray[np.float64], positives: int) -> float:
    """The number b at which ``sum(log sigmoid(+-(logit + b)))`` is greatest: there the sigmoids sum to the positives.

    That sum rises with b, so halving an interval finds it.
    """
    low, high = -FARTHEST - float(logits_N.max()), FARTHEST - float(logits_N.min())
    for _ in range(200):
        middle = (low + high) / 2
        expected = _sigmoid(logits_N + middle).sum()
        low, high = (middle, high) if expected < positives else (low, middle)
    return (low + high) / 2


def standard_error(logits_N: NDArray[np.float64], is_positive_N: NDArray[np.bool_], sizes: Sequence[int]) -> float:
    """Standard error of a fitted bias, in logits: that of the likelihood, or of groups drawn anew if it is more.

    The first is ``1 / sqrt(sum p (1 - p))``. The second lets documents of a group depend on each other: the square root
    of ``sum over groups (sum (y - p))^2 G / (G - 1)`` over ``sum p (1 - p)``, the cluster-robust variance of Liang and
    Zeger (1986).

    Args:
        logits_N: logits with the bias added.
        sizes: documents of each group, one group after another; at least two groups.
    """
    probability_N = _sigmoid(logits_N)
    information = float((probability_N * (1 - probability_N)).sum())
    residuals = [part.sum() for part in np.split(is_positive_N - probability_N, np.cumsum(sizes)[:-1])]
    between = math.sqrt(float(np.square(residuals).sum()) * len(sizes) / (len(sizes) - 1))
    return max(math.sqrt(information), between) / max(information, sys.float_info.min)


def _sigmoid(logits_N: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(logits_N / 2)))  # without overflow


def in_files(level: Level, folder: Path) -> Level:
    """The level, or why it is left as it is where no file of the weights in a folder holds the bias."""
    if level.why_not is not None or any(_place(file, level.bias) for file in folder.glob("*.safetensors")):
        return level
    return Level(level.bias, why_not=f"no file of the weights holds {level.bias}")


def copy_with_level(source: Path, target: str, level: Level) -> None:
    """Copy a file of weights; where it holds the bias, raise it, and read the copy to check it.

    Raises:
        ValueError: the bias is no single 32-bit float.
        OutputError: the copy has another bias than was fitted.
    """
    place = _place(source, level.bias) if level.why_not is None else None
    with open(source, "rb") as file, storage.writing(target) as copy:
        if place is not None:
            _copy(file, copy, place)
            [before] = struct.unpack("<f", file.read(4))
            raised = struct.pack("<f", before + level.added)
            copy.write(raised)
        shutil.copyfileobj(file, copy, 1 << 22)
    if place is not None and _four_bytes(target, place) != raised:
        raise OutputError(f"{target} was written with another {level.bias} than was fitted; run the same command again")


def _four_bytes(uri: str, place: int) -> bytes:
    with storage.open_seekable(uri) as file:
        file.seek(place)
        return file.read(4)


def _place(file: Path, name: str | None) -> int | None:
    """The byte at which a bias begins in a safetensors file, None where the file lacks it. Source: https://github.com/huggingface/safetensors#format."""
    with open(file, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length))
    if name not in header:
        return None
    begin, end = header[name]["data_offsets"]
    if header[name]["dtype"] != "F32" or end - begin != 4:
        raise ValueError(f"{name} of {file} is {header[name]['dtype']} of {end - begin} bytes, and no single float")
    return 8 + length + int(begin)


def _copy(source: Any, target: Any, num_bytes: int) -> None:
    while num_bytes:
        read = source.read(min(num_bytes, 1 << 22))
        target.write(read)
        num_bytes -= len(read)


def sentence(level: Level) -> str:
    """The sentences of the model card on what `sigmoid(logit)` means."""
    if level.why_not is not None:
        return f"The bias of the head was left as it is: {level.why_not}."
    share = level.positives / level.documents
    odds = math.log(share / (1 - share))
    error = "" if level.standard_error is None else f", standard error {level.standard_error:.2f}"
    return (
        f"The bias of the head was fitted by maximum likelihood on {level.groups:,} held-out groups, apart from those "
        f"that the figures are of ({level.added:+.4f}{error}). Of their {level.documents:,} judged documents "
        f"{share:.1%} match, so at that share `sigmoid(logit)` is the probability that a document matches. Where "
        f"another share p matches, add ln(p / (1 - p)) {'+' if odds < 0 else '-'} {abs(odds):.2f} to the logit. The "
        f"order is the same whatever it is."
    )
