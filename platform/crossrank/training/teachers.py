"""A check of a teacher's scores, before anything is learnt from them."""

from __future__ import annotations

from crossrank.training.groups import GroupStore
from crossrank.training.settings import TrainSettings

SCALE = 10
"""Value of `teacher_scale` proposed for scores between 0 and 1: over eight documents the softmax of 10 and seven times
0 is 0.9997, and that of 1 and seven times 0 is 0.28."""


def scale_warning(settings: TrainSettings, groups: GroupStore) -> str | None:
    """A warning where every teacher score that is trained on lies between 0 and 1; None where all is well.

    A softmax over probabilities, or over cosines, is nearly even whatever the teacher thinks, so a student learns next
    to nothing from it. Scores are taken after `teacher_scale`.
    """
    if not settings.needs_teacher:
        return None
    scale = settings.teacher_scale or 1.0
    lowest, highest = (scale * score for score in groups.teacher_range())
    if not (lowest >= 0 and highest <= 1):
        return None
    return (
        f"every teacher score lies between 0 and 1 ({lowest:.4g} to {highest:.4g}), as probabilities and cosines do, "
        f"and a softmax over them is nearly even; set teacher_scale, such as {SCALE / scale:g}, or give logits, which "
        f"`crossrank mine --teacher` writes"
    )
