"""Collapse, and gradients that are no numbers."""

from __future__ import annotations

import json
import math

import pytest

from crossrank.errors import JobFailed
from crossrank.training.guards import Guards, Seen, TrainingStopped

LN_8 = math.log(8)


def seen(step: int, loss: float = 0.5, spread: float = 3.0, is_finite: bool = True, guessing: float = LN_8) -> Seen:
    return Seen(step, loss, guessing, spread, is_finite)


def see_steps(guards: Guards, *losses: float, first: int = 0) -> None:
    for step, loss in enumerate(losses, start=first):
        guards.see(seen(step, loss))


def see_steps_of(guards: Guards, guessing: float, losses: list[float]) -> None:
    for step, loss in enumerate(losses):
        guards.see(seen(step, loss, guessing=guessing))


# collapse


def test_a_loss_that_stays_at_ln_of_the_group_size_is_a_collapse() -> None:
    # FlagEmbedding #864: twenty epochs at ln 2, and nothing had said so.
    guards = Guards(collapse_patience=4, max_skipped_steps=0)
    see_steps(guards, *[LN_8] * 3)
    with pytest.raises(TrainingStopped) as stopped:
        guards.see(seen(3, LN_8))
    assert str(stopped.value) == (
        "collapsed: over the 4 steps up to 4 the loss was 1.000 of that of a model that cannot tell documents apart; "
        "change learning_rate, look at the labels, or raise collapse_patience if it is only slow"
    )
    assert isinstance(stopped.value, JobFailed), "the work failed, not the flags"


def test_a_loss_worse_than_ln_of_the_group_size_is_a_collapse_too() -> None:
    with pytest.raises(TrainingStopped, match=r"^collapsed: over the 2 steps up to 2 the loss was 1\.443 of that"):
        see_steps(Guards(2, 0), 3.0, 3.0)


def test_a_model_that_learns_is_let_be() -> None:
    # 0.98 of it is learning; 0.99 and above is not. The mean of the last four counts, not the last alone.
    see_steps(Guards(4, 0), *[0.98 * LN_8] * 100)
    with pytest.raises(TrainingStopped, match=r"the loss was 0\.991 of"):
        see_steps(Guards(4, 0), *[0.991 * LN_8] * 4)
    see_steps(Guards(4, 0), *[LN_8, LN_8, LN_8, 0.9 * LN_8] * 10)


def test_a_loss_that_falls_from_far_above_is_learning() -> None:
    # A fresh head may begin at twice ln 8; the mean of four is above it, and the later two are below the earlier two.
    see_steps(Guards(4, 0), *[2.0 * LN_8, 1.8 * LN_8, 1.6 * LN_8, 1.4 * LN_8, 1.2 * LN_8, 0.9 * LN_8, 0.8 * LN_8])


def test_only_the_last_steps_count() -> None:
    guards = Guards(3, 0)
    see_steps(guards, *[0.1] * 50)
    see_steps(guards, LN_8, LN_8, first=50)
    with pytest.raises(TrainingStopped, match="over the 3 steps up to 53"):
        guards.see(seen(52, LN_8))


def test_a_student_that_has_learnt_its_teacher_is_let_be_and_one_that_has_not_is_stopped() -> None:
    # Distillation by KL alone went from 0.872, what guessing costs, to 0.00015, and was stopped as collapsed: its
    # cross-entropy against the labels was still that of guessing, which nobody had asked it to lower.
    see_steps_of(Guards(4, 0, reads_teacher=True), guessing=0.872, losses=[0.872 * 0.9**step for step in range(80)])
    see_steps_of(Guards(4, 0, reads_teacher=True), guessing=0.872, losses=[0.00015] * 20)
    with pytest.raises(
        TrainingStopped, match=r"the loss was 1\.000 of .*, look at the labels and the teacher's scores \(teacher_sc"
    ):
        see_steps_of(Guards(4, 0, reads_teacher=True), guessing=0.872, losses=[0.872] * 4)


def test_a_loss_that_guessing_brings_to_0_says_nothing() -> None:
    # A teacher that gives every document of a group the same score: there is nothing to learn from it.
    see_steps_of(Guards(2, 0), guessing=0.0, losses=[0.01] * 10)


def test_groups_of_any_size_are_measured_by_their_own() -> None:
    # ln 2 is a collapse of groups of two, and good for groups of eight.
    see_steps(Guards(2, 0), *[math.log(2)] * 10)
    guards = Guards(2, 0)
    guards.see(seen(0, math.log(2), guessing=math.log(2)))
    with pytest.raises(TrainingStopped, match="collapsed"):
        guards.see(seen(1, math.log(2), guessing=math.log(2)))


def test_equal_scores_in_every_group_are_a_collapse() -> None:
    # FlagEmbedding #240: all scores -1.4931640625. With another loss than cross-entropy the loss does not show it.
    guards = Guards(3, 0)
    for step in range(2):
        guards.see(seen(step, loss=0.1, spread=0.0))
    with pytest.raises(TrainingStopped) as stopped:
        guards.see(seen(2, loss=0.1, spread=0.0))
    assert str(stopped.value) == (
        "collapsed: at step 3 the scores of every group had been equal for 3 steps; lower learning_rate, or start "
        "from another base"
    )


def test_equal_scores_count_in_a_row() -> None:
    guards = Guards(3, 0)
    for step in range(30):
        guards.see(seen(step, spread=1.0 if step % 3 == 2 else 0.0))


def test_scores_that_are_close_are_not_equal() -> None:
    guards = Guards(2, 0)
    for step in range(10):
        guards.see(seen(step, spread=0.001))


def test_a_patience_of_0_never_calls_it_a_collapse() -> None:
    guards = Guards(0, 0)
    for step in range(1000):
        guards.see(seen(step, loss=5.0, spread=0.0))


# gradients that are no numbers


def test_steps_are_skipped_until_there_are_too_many_in_a_row() -> None:
    guards = Guards(0, max_skipped_steps=2)
    guards.see(seen(0, is_finite=False))
    guards.see(seen(1, is_finite=False))
    with pytest.raises(TrainingStopped) as stopped:
        guards.see(seen(2, is_finite=False))
    assert str(stopped.value) == (
        "step 3 is number 3 in a row whose gradient is no number, over max_skipped_steps (2); lower learning_rate, or "
        "use --precision bf16 or fp32"
    )
    assert guards.skipped == 3


def test_a_step_that_is_none_begins_the_row_anew_and_all_are_counted() -> None:
    guards = Guards(0, max_skipped_steps=1)
    for step in range(20):
        guards.see(seen(step, is_finite=step % 2 == 0))
    assert guards.skipped == 10


def test_where_none_may_be_skipped_the_first_stops_it() -> None:
    with pytest.raises(
        TrainingStopped, match=r"^step 1 is number 1 in a row whose gradient is no number, over max_skipped_steps"
    ):
        Guards(0, 0).see(seen(0, is_finite=False))


def test_a_skipped_step_is_no_sign_of_collapse() -> None:
    # Its loss and its spread may be anything, nan among it, and are not looked at.
    guards = Guards(2, 100)
    for step in range(50):
        guards.see(seen(step, loss=math.nan, spread=math.nan, is_finite=False))
    guards.see(seen(50, loss=LN_8))
    with pytest.raises(TrainingStopped, match="over the 2 steps up to 52"):
        guards.see(seen(51, loss=LN_8))


# going on from a checkpoint


def kept(guards: Guards) -> dict[str, object]:
    """Its state as a file holds it."""
    state: dict[str, object] = json.loads(json.dumps(guards.state()))
    return state


def test_a_run_that_is_resumed_stops_at_the_same_step() -> None:
    before = Guards(4, 2)
    see_steps(before, 0.1, LN_8, LN_8, LN_8)
    after = Guards(4, 2)
    after.restore(kept(before))
    assert after.loss_share() == before.loss_share()
    with pytest.raises(TrainingStopped, match="over the 4 steps up to 5"):
        after.see(seen(4, LN_8))


def test_skipped_steps_and_equal_scores_are_kept_as_well() -> None:
    before = Guards(3, 2)
    for step, is_finite in enumerate((False, True, True, False, False)):
        before.see(seen(step, spread=0.0, is_finite=is_finite))
    for what, match in ((seen(5, is_finite=False), "number 3 in a row"), (seen(5, spread=0.0), "equal for 3 steps")):
        after = Guards(3, 2)
        after.restore(kept(before))
        assert after.skipped == 3
        with pytest.raises(TrainingStopped, match=match):
            after.see(what)


def test_what_was_seen_before_restoring_is_forgotten() -> None:
    fresh, after = Guards(3, 0), Guards(3, 0)
    see_steps(after, LN_8, LN_8)
    after.restore(kept(fresh))
    see_steps(after, LN_8, LN_8)
    assert kept(after)["objective"] == [[LN_8, LN_8], [LN_8, LN_8]]


def test_a_checkpoint_that_kept_the_cross_entropy_is_gone_on_with_and_its_steps_are_counted_anew() -> None:
    # Of a run by KL that began when the guard looked at the labels: 0.872 and ln 8 do not measure the same.
    guards = Guards(3, 5)
    guards.restore({"skipped": 2, "in_a_row": 1, "losses": [[LN_8, LN_8], [LN_8, LN_8]], "equal_steps": 1})
    assert guards.skipped == 2
    guards.see(seen(2, 0.001, guessing=0.872))
    assert kept(guards) == {"skipped": 2, "in_a_row": 0, "objective": [[0.001, 0.872]], "equal_steps": 0}


def test_another_patience_may_be_given_on_resume() -> None:
    before = Guards(5, 0)
    see_steps(before, 0.1, 0.1, LN_8, LN_8)
    shorter, longer = Guards(3, 0), Guards(50, 0)
    shorter.restore(kept(before))
    longer.restore(kept(before))
    longer.see(seen(4, LN_8))
    with pytest.raises(TrainingStopped, match="over the 3 steps"):
        shorter.see(seen(4, LN_8))
