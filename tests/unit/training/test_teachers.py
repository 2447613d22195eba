"""What is said of a teacher's scores."""

from __future__ import annotations

import pytest

from crossrank.errors import SettingsError
from crossrank.training.teachers import scale_warning
from tests.unit.training.conftest import Source, doc, group, train_settings


def said(source: Source, *scores: float | None, **settings: float) -> str | None:
    docs = (doc(f"d{place}", int(place == 0), teacher_score=score) for place, score in enumerate(scores))
    groups = source(group("q", *docs)).open()
    return scale_warning(train_settings(**{"weight_kl": 1.0, **settings}), groups)


def test_scores_that_all_lie_between_0_and_1_are_told_with_the_way_out(source: Source) -> None:
    assert said(source, 0.9375, 0.125, 0.25) == (
        "every teacher score lies between 0 and 1 (0.125 to 0.9375), as probabilities and cosines do, and a softmax "
        "over them is nearly even; set teacher_scale, such as 10, or give logits, which `crossrank mine --teacher` "
        "writes"
    )


@pytest.mark.parametrize("scores", [(4.0, -2.0), (0.9, -0.1), (1.5, 0.2), (None, None)])
def test_logits_and_groups_without_scores_are_nothing_to_tell(source: Source, scores: tuple[float | None, ...]) -> None:
    assert said(source, *scores) is None


def test_the_ends_are_probabilities_too(source: Source) -> None:
    assert said(source, 1.0, 0.0) is not None


def test_scores_that_are_scaled_are_looked_at_as_scaled(source: Source) -> None:
    assert said(source, 0.9, 0.1, teacher_scale=10.0) is None
    assert "(0.05 to 0.45)" in (said(source, 0.9, 0.1, teacher_scale=0.5) or "")


def test_scores_that_nobody_reads_are_not_looked_at(source: Source) -> None:
    assert said(source, 0.9, 0.1, weight_kl=0.0) is None


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(SettingsError, match=r"^teacher_scale is .*; use a number above 0$"):
        train_settings(weight_kl=1.0, teacher_scale=value)


def test_a_scale_for_scores_that_no_term_reads_is_refused() -> None:
    with pytest.raises(SettingsError, match="no term of the loss reads teacher scores; set weight_kl or weight_margin"):
        train_settings(teacher_scale=10.0)
