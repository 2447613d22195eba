"""The losses, by hand, and that it does not matter how groups are put together."""

from __future__ import annotations

import math

import pytest
import torch

from crossrank.training.losses import (
    LOSSES,
    Objective,
    binary_cross_entropy,
    distillation,
    group_cross_entropy,
    guessing,
    margin_mse,
    rows,
    spread,
    summed,
)

SCORES = torch.tensor([2.0, 1.0, 0.0, 0.5, -0.5])
SIZES = [3, 2]
LABELS = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0])
TEACHERS = torch.tensor([3.0, 1.0, -1.0, 2.0, 1.0])


def objective(temperature: float = 1.0, **weights: float) -> Objective:
    return Objective(weights=weights, temperature=temperature)


def scores_by_group() -> torch.Tensor:
    return rows(SCORES, SIZES, -torch.inf)


def teachers_by_group() -> torch.Tensor:
    return rows(TEACHERS, SIZES, -torch.inf)


def test_cross_entropy_of_the_positive_against_its_group_by_hand() -> None:
    # ln(e^2 + e^1 + e^0) - 2, and ln(e^0.5 + e^-0.5) - 0.5.
    first = math.log(math.exp(2) + math.exp(1) + 1) - 2
    second = math.log(math.exp(0.5) + math.exp(-0.5)) - 0.5
    assert group_cross_entropy(scores_by_group()).item() == pytest.approx(first + second, abs=1e-6)


def test_a_model_that_tells_nothing_apart_costs_the_logarithm_of_the_group_size() -> None:
    same = rows(torch.full((5,), -1.4931640625), SIZES, -torch.inf)
    assert group_cross_entropy(same).item() == pytest.approx(math.log(3) + math.log(2), abs=1e-6)


def test_cross_entropy_equals_that_of_the_recipe_on_equal_groups() -> None:
    logits = torch.randn(12, generator=torch.Generator().manual_seed(1))
    recipe = torch.nn.functional.cross_entropy(logits.view(4, 3), torch.zeros(4, dtype=torch.long))
    assert group_cross_entropy(rows(logits, [3] * 4, -torch.inf)).item() / 4 == pytest.approx(recipe.item(), abs=1e-6)


def test_binary_cross_entropy_is_the_mean_of_each_group_by_hand() -> None:
    def cost(score: float, label: float) -> float:
        probability = 1 / (1 + math.exp(-score))
        return -math.log(probability if label else 1 - probability)

    first = (cost(2, 1) + cost(1, 0) + cost(0, 0)) / 3
    second = (cost(0.5, 1) + cost(-0.5, 0)) / 2
    assert binary_cross_entropy(SCORES, SIZES, LABELS).item() == pytest.approx(first + second, abs=1e-6)


def test_distillation_by_hand() -> None:
    def softmax(values: list[float]) -> list[float]:
        total = sum(map(math.exp, values))
        return [math.exp(value) / total for value in values]

    # Temperature 2 halves every score, and the loss is multiplied with 4.
    expected = 0.0
    for teacher, student in (([3.0, 1.0, -1.0], [2.0, 1.0, 0.0]), ([2.0, 1.0], [0.5, -0.5])):
        p, q = softmax([value / 2 for value in teacher]), softmax([value / 2 for value in student])
        expected += 4 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert distillation(scores_by_group(), teachers_by_group(), 2.0).item() == pytest.approx(expected, abs=1e-6)


def test_a_student_that_scores_as_its_teacher_up_to_a_constant_has_nothing_to_learn() -> None:
    moved = rows(TEACHERS + 7, SIZES, -torch.inf)
    assert distillation(moved, teachers_by_group(), 1.0).item() == pytest.approx(0, abs=1e-6)
    assert margin_mse(moved, teachers_by_group()).item() == pytest.approx(0, abs=1e-6)


def test_margins_by_hand() -> None:
    # Student margins 1 and 2, teacher 2 and 4: (1 + 4) / 2. Then 1 against 1: 0.
    assert margin_mse(scores_by_group(), teachers_by_group()).item() == pytest.approx(2.5)


def test_the_terms_are_weighed_and_added() -> None:
    weights = objective(group_ce=0.5, bce=2.0, kl=0.25, margin_mse=3.0, temperature=2.0)
    expected = (
        0.5 * group_cross_entropy(scores_by_group())
        + 2 * binary_cross_entropy(SCORES, SIZES, LABELS)
        + 0.25 * distillation(scores_by_group(), teachers_by_group(), 2.0)
        + 3 * margin_mse(scores_by_group(), teachers_by_group())
    )
    assert summed(SCORES, SIZES, LABELS, TEACHERS, weights).item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_ragged_groups_together_give_the_gradient_of_each_alone(name: str) -> None:
    weights = objective(**{name: 1.0})
    together = SCORES.clone().requires_grad_()
    summed(together, SIZES, LABELS, TEACHERS, weights).backward()
    alone = SCORES.clone().requires_grad_()
    for some, size in ((slice(0, 3), 3), (slice(3, 5), 2)):
        summed(alone[some], [size], LABELS[some], TEACHERS[some], weights).backward()
    assert together.grad is not None
    assert alone.grad is not None
    torch.testing.assert_close(together.grad, alone.grad, rtol=0, atol=1e-6)
    assert torch.isfinite(together.grad).all()


def test_the_mean_of_means_would_be_wrong_on_ragged_groups() -> None:
    # The trap: averaging micro-batches of unequal counts. One of 2 groups and one of 1 are not one half each.
    scores = torch.tensor([1.0, 0.0, 1.0, 0.0, -3.0, 0.0])
    each = [group_cross_entropy(rows(scores[i : i + 2], [2], -torch.inf)).item() for i in (0, 2, 4)]
    ours = group_cross_entropy(rows(scores, [2, 2, 2], -torch.inf)).item() / 3
    assert ours == pytest.approx(sum(each) / 3, abs=1e-6)
    assert ours != pytest.approx(((each[0] + each[1]) / 2 + each[2]) / 2, abs=1e-2)


def test_spread_is_the_largest_less_the_smallest_of_each_group() -> None:
    assert spread(SCORES, SIZES).item() == pytest.approx(2.0 + 1.0)
    assert spread(torch.full((5,), 2.861), SIZES).item() == 0.0


# what guessing costs

ENTROPY = {1 / 3: math.log(3) - 2 / 3 * math.log(2), 1 / 2: math.log(2)}
"""Of a coin with this share of heads: -p ln p - (1 - p) ln(1 - p)."""


def guessed(**weights: float) -> float:
    return guessing(SIZES, LABELS, TEACHERS, objective(**weights)).item()


def test_guessing_costs_the_logarithm_of_the_group_size() -> None:
    assert guessed(group_ce=1.0) == pytest.approx(math.log(3) + math.log(2), abs=1e-6)


def test_guessing_the_share_of_positives_costs_its_entropy_and_not_ln_2_a_document() -> None:
    assert guessed(bce=1.0) == pytest.approx(ENTROPY[1 / 3] + ENTROPY[1 / 2], abs=1e-5)
    assert guessed(bce=1.0) < 2 * math.log(2) - 0.05, "a model that has learnt the share alone would pass for learning"


def test_guessing_costs_the_divergence_of_the_teacher_from_an_even_distribution() -> None:
    # ln n less the teacher's entropy, group by group.
    def divergence(scores: list[float]) -> float:
        total = sum(map(math.exp, scores))
        shares = [math.exp(score) / total for score in scores]
        return math.log(len(shares)) + sum(share * math.log(share) for share in shares)

    expected = divergence([3, 1, -1]) + divergence([2, 1])
    assert guessed(kl=1.0) == pytest.approx(expected, abs=1e-6)
    halved = divergence([1.5, 0.5, -0.5]) + divergence([1, 0.5])
    assert guessed(kl=1.0, temperature=2.0) == pytest.approx(4 * halved, abs=1e-6)


def test_guessing_costs_the_mean_of_the_teachers_squared_margins() -> None:
    assert guessed(margin_mse=1.0) == pytest.approx((2**2 + 4**2) / 2 + 1**2, abs=1e-6)


def test_guessing_at_a_mixture_costs_the_sum_of_its_terms() -> None:
    parts = guessed(group_ce=0.3), guessed(bce=0.5), guessed(kl=2.0), guessed(margin_mse=0.1)
    assert guessed(group_ce=0.3, bce=0.5, kl=2.0, margin_mse=0.1) == pytest.approx(sum(parts), abs=1e-5)


@pytest.mark.parametrize("term", LOSSES)
def test_no_model_that_gives_a_group_one_score_is_better_than_guessing(term: str) -> None:
    weights = objective(**{term: 1.0})
    for first in (-3.0, -0.7, 0.0, 2.0):
        for second in (-2.0, 0.0, 1.0):
            same = torch.tensor([first] * 3 + [second] * 2)
            assert summed(same, SIZES, LABELS, TEACHERS, weights).item() >= guessed(**{term: 1.0}) - 1e-5


@pytest.mark.parametrize("term", LOSSES)
def test_a_loss_moves_the_level_of_the_scores_where_its_row_says_so_and_nowhere_else(term: str) -> None:
    low, middle, high = (
        summed(SCORES + level, SIZES, LABELS, TEACHERS, objective(**{term: 1.0})).item() for level in (-4.0, 0.0, 1.5)
    )
    has_level = LOSSES[term].best_level is not None
    assert (max(abs(low - middle), abs(high - middle)) > 1e-3) == has_level
    assert bool(objective(**{term: 1.0}).level_terms) == has_level


@pytest.mark.parametrize("term", LOSSES)
def test_a_loss_reads_the_teacher_where_its_row_says_so_and_nowhere_else(term: str) -> None:
    weights = objective(**{term: 1.0})
    assert weights.needs_teacher == LOSSES[term].needs_teacher
    if not weights.needs_teacher:
        assert summed(SCORES, SIZES, LABELS, None, weights) == summed(SCORES, SIZES, LABELS, TEACHERS, weights)
        return
    assert summed(SCORES, SIZES, LABELS, TEACHERS.flip(0), weights) != summed(SCORES, SIZES, LABELS, TEACHERS, weights)
    with pytest.raises(AssertionError, match="settings ask for teacher scores where a term reads them"):
        summed(SCORES, SIZES, LABELS, None, weights)
