"""The level of the scores: one number, the bias of the head, fitted at the end so that a sigmoid is a probability.

A loss over the differences in a group says nothing of it, so training leaves it alone. Ranks do not depend on it.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank import storage
from crossrank.errors import InputError
from crossrank.training.groups import GroupSource, GroupStore
from crossrank.training.settings import TrainSettings

SHARE = 0.2
"""Part of the held-out groups, by their queries, that the bias is fitted on. The figures are of the rest."""
BEGAN_BEFORE = "the run began under an earlier version, which kept no groups apart for it"
TOO_FEW = "there are too few held-out groups to keep some apart for it"
FARTHEST = 1e3
"""Logits that the bias is looked for within: a sigmoid is 0 or 1 long before."""


@dataclass(frozen=True, slots=True)
class Level:
    """What became of the bias. It goes into the manifest and the model card."""

    bias: str | None = None
    """Name of the weight; None in a head without one."""
    added: float = 0.0
    why_not: str | None = None
    """Why it was left as it is; None where it was fitted."""
    groups: int = 0
    """Groups that it was fitted on."""
    documents: int = 0
    positives: int = 0
    """Documents of them that are labelled above 0."""

    def state(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def why_not(settings: TrainSettings, bias: str | None, is_held_out: bool, began_before: bool) -> str | None:
    """Why the bias cannot be fitted, as far as the settings say; None where it can."""
    if bias is None:
        return "the head has no bias"
    if settings.weight_bce:
        return "weight_bce trains it"
    if not is_held_out:
        return "no groups were held out"
    return BEGAN_BEFORE if began_before else None


def parts_of(held_out: GroupSource) -> tuple[GroupSource, GroupSource | None]:
    """The held-out groups that figures are of, and those that the bias is fitted on; None where there are too few."""
    middle = held_out.low + SHARE * (held_out.high - held_out.low)
    parts = replace(held_out, low=middle), replace(held_out, high=middle)
    try:
        for part in parts:
            part.open()
    except InputError:
        return held_out, None  # where it is wrong otherwise, it is said when it is opened whole
    return parts


def fitted(groups: GroupStore, scores: Iterable[NDArray[np.float32]], bias: str) -> Level:
    """The bias at which the labels of these groups are likeliest; unjudged documents are left out.

    Args:
        scores: logits of the documents of each group.
    """
    logits, is_positive = [], []
    for group, scores_D in enumerate(scores):
        labels_D = groups.documents(group).labels_D
        judged_D = ~np.isnan(labels_D)
        logits.append(scores_D[judged_D])
        is_positive.append(labels_D[judged_D] > 0)
    logits_N = np.concatenate(logits).astype(np.float64)
    positives = int(np.concatenate(is_positive).sum())
    if not np.isfinite(logits_N).all():
        return Level(bias, why_not="a score of the groups kept apart is no number")
    if positives in (0, len(logits_N)):
        return Level(bias, why_not=f"the groups kept apart have no document labelled {'above ' * (not positives)}0")
    return Level(bias, likeliest(logits_N, positives), None, len(groups), len(logits_N), positives)


def likeliest(logits_N: NDArray[np.float64], positives: int) -> float:
    """The number b at which ``sum(log sigmoid(+-(logit + b)))`` is greatest: there the sigmoids sum to the positives.

    That sum rises with b, so halving an interval finds it.
    """
    low, high = -FARTHEST - float(logits_N.max()), FARTHEST - float(logits_N.min())
    for _ in range(200):
        middle = (low + high) / 2
        expected = (0.5 * (1 + np.tanh((logits_N + middle) / 2))).sum()  # the sigmoid, without overflow
        low, high = (middle, high) if expected < positives else (low, middle)
    return (low + high) / 2


def copy_with_level(source: Path, target: str, level: Level) -> None:
    """Copy a file of weights, the bias raised where it is in this one.

    Raises:
        ValueError: the bias is no single 32-bit float.
    """
    with open(source, "rb") as file, storage.writing(target) as copy:
        place = _place(source, level.bias) if level.added and level.bias else None
        if place is not None:
            _copy(file, copy, place)
            [value] = struct.unpack("<f", file.read(4))
            copy.write(struct.pack("<f", value + level.added))
        shutil.copyfileobj(file, copy, 1 << 22)


def _place(file: Path, name: str) -> int | None:
    """Where a bias begins in a safetensors file: https://github.com/huggingface/safetensors#format."""
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
    """What a reader of the model card needs to know of `sigmoid(logit)`."""
    if level.why_not is not None:
        return f"The bias of the head was left as it is: {level.why_not}."
    share = level.positives / level.documents
    odds = math.log(share / (1 - share))
    return (
        f"The bias of the head was fitted by maximum likelihood on {level.groups:,} held-out groups, apart from those "
        f"that the figures are of ({level.added:+.4f}). Of their {level.documents:,} judged documents {share:.1%} "
        f"match, so at that share `sigmoid(logit)` is the probability that a document matches. Where another share p "
        f"matches, add ln(p / (1 - p)) {'+' if odds < 0 else '-'} {abs(odds):.2f} to the logit. The order is the same "
        f"whatever it is."
    )
