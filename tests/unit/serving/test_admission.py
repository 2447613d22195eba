"""Who is let in.

How it could fail users: a refusal whose word about when to come back is not kept; one that no coming back helps; a
server that refuses though it is idle, or accepts what it cannot do in time; places that are never given back.
"""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrank.serving.admission import Admission, Permit
from crossrank.serving.errors import Invalid, Overloaded
from crossrank.serving.speed_margin import MOST


class Door:
    """Admission before a model of so many tokens a second, with so many tokens waiting."""

    def __init__(self, speed: float = 100.0, backlog: int = 0, queue_s: float = 20.0) -> None:
        self.speed = speed
        self.backlog = backlog
        self.due: list[tuple[float, int]] | None = None
        self.admission = Admission(self, queue_s, clock=lambda: 0.0)

    @property
    def backlog_tokens(self) -> int:
        return self.backlog

    @property
    def tokens_per_second(self) -> float:
        return self.speed

    @property
    def speed_share(self) -> float:
        return MOST

    def promised(self) -> list[tuple[float, int]]:
        """When nothing else is said, all is due before anything that comes."""
        return [(0.0, self.backlog)] if self.due is None else self.due

    def ask(self, tokens: int, timeout_s: float = 30.0, priority: int = 0) -> Permit:
        """A request of so many tokens."""
        return self.admission.admit(tokens, timeout_s, priority)

    def refusal(self, tokens: int, timeout_s: float) -> float | None:
        """When to come back; None where it is let in."""
        try:
            self.ask(tokens, timeout_s).release()
        except Overloaded as refused:
            return refused.retry_after_s
        return None

    def work(self, seconds: float) -> None:
        self.backlog = max(0, math.ceil(self.backlog - seconds * self.speed))


# what a request counts


def test_characters_count_by_the_ratio_and_never_less() -> None:
    admission = Door().admission
    assert [admission.estimate(characters) for characters in (0, 1, 1_000, 1_001)] == [0, 1, 350, 351]


def test_the_ratio_learns_from_the_requests_that_were_counted() -> None:
    admission = Door().admission
    admission.counted(1_000, 1_000)
    assert admission.tokens_per_character == pytest.approx(0.35 + 0.05 * 0.65)
    for _ in range(200):
        admission.counted(1_000, 800)
    assert admission.tokens_per_character == pytest.approx(0.8, abs=1e-3)
    admission.counted(0, 0)
    assert admission.tokens_per_character == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize(("num_tokens", "ratio"), [(0, 0.1), (10**9, 4.0)], ids=["white space", "nonsense"])
def test_texts_that_are_none_do_not_make_all_others_seem_free_or_beyond_all_measure(
    num_tokens: int, ratio: float
) -> None:
    admission = Door().admission
    for _ in range(20_000):
        admission.counted(1_000, num_tokens)
    assert admission.tokens_per_character == pytest.approx(ratio)
    assert admission.estimate(1_000) == pytest.approx(1_000 * ratio, abs=1)


def test_a_request_in_the_queue_is_counted_there_and_no_longer_at_the_door() -> None:
    door = Door()
    permit = door.ask(500)
    assert door.admission.waiting_tokens == 500
    door.backlog = 480  # that is what it was in truth
    permit.release()
    assert door.admission.waiting_tokens == 480


def test_a_place_is_given_back_once_though_it_is_released_twice_and_by_many_threads() -> None:
    door = Door()
    permits = [door.ask(10) for _ in range(100)]
    kept = door.ask(7)
    together = threading.Barrier(4)

    def release() -> None:
        together.wait(10)
        for permit in permits:
            permit.release()

    threads = [threading.Thread(target=release) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert door.admission.waiting_tokens == 7
    kept.release()
    assert door.admission.waiting_tokens == 0


@given(st.lists(st.integers(0, 5_000), max_size=20))
@settings(max_examples=50)
def test_nothing_stays_counted_once_all_are_released(asks: list[int]) -> None:
    door = Door(speed=0.0)
    permits = [door.ask(tokens) for tokens in asks]
    for permit in permits[1::2] + permits[::2]:
        permit.release()
    assert door.admission.waiting_tokens == 0


# who is refused


def test_all_are_let_in_while_the_speed_is_not_known() -> None:
    door = Door(speed=0.0, backlog=10**9)
    door.ask(10**9)
    assert door.admission.max_queued_tokens == 0


def test_a_request_is_refused_when_the_queue_is_full_and_told_when_it_will_not_be() -> None:
    door = Door(speed=100.0, backlog=1_900, queue_s=20.0)
    assert door.admission.max_queued_tokens == 2_000
    door.ask(100).release()
    door.backlog = 2_100
    with pytest.raises(Overloaded, match=r"21\.0 s of work wait here; send the request again in 1\.0 s") as refused:
        door.ask(100)
    assert refused.value.retry_after_s == pytest.approx(1.0)


def test_a_large_request_is_let_in_wherever_a_small_one_is() -> None:
    Door(speed=100.0, backlog=1_990, queue_s=20.0).ask(700)
    for tokens in (1, 700):
        with pytest.raises(Overloaded) as refused:
            Door(speed=100.0, backlog=2_050, queue_s=20.0).ask(tokens)
        assert refused.value.retry_after_s == pytest.approx(0.5)


def test_a_request_that_would_be_too_late_is_refused_at_once() -> None:
    door = Door(speed=100.0, backlog=1_000)
    with pytest.raises(Overloaded) as refused:
        door.ask(100, timeout_s=5.0)
    # It may wait for two thirds of its time: 3.33 s of the 10.
    assert refused.value.retry_after_s == pytest.approx(6.667, abs=1e-3)
    with pytest.raises(Overloaded) as refused:
        door.ask(300, timeout_s=5.0)
    # It takes 3 s of 4.5, since a tenth is left for what is slower than measured: 1.5 s of the 10 may wait.
    assert refused.value.retry_after_s == pytest.approx(8.5)


def test_who_is_in_a_hurry_is_let_in_before_work_that_has_time() -> None:
    door = Door(speed=100.0, backlog=1_500)
    door.due = [(30.0, 1_500)]
    door.ask(100, timeout_s=2.0)
    with pytest.raises(Overloaded):  # the one before it is due first, and leaves it 0.8 s of 1.8
        door.ask(100, timeout_s=2.0)


def test_nobody_is_let_in_who_would_make_another_late() -> None:
    door = Door(speed=100.0, backlog=1_500)
    door.due = [(17.0, 1_500)]  # 15 s of work, and 0.9 * 17 = 15.3 s to do it in
    door.ask(30, timeout_s=2.0).release()
    with pytest.raises(Overloaded):
        door.ask(31, timeout_s=2.0)
    door.due = [(16.0, 1_500)]  # late already, by our reckoning: nobody is refused for its sake
    door.ask(31, timeout_s=2.0)


def test_work_that_has_time_is_not_endless_room_for_those_in_a_hurry() -> None:
    door = Door(speed=100.0, backlog=2_100, queue_s=20.0)
    door.due = [(math.inf, 2_100)]
    with pytest.raises(Overloaded) as refused:
        door.ask(10, timeout_s=2.0)
    assert refused.value.retry_after_s == pytest.approx(21.0 - 4 / 3)  # by then it is let in whatever is due first


def test_a_request_larger_than_its_deadline_is_told_that_coming_back_does_not_help() -> None:
    for backlog, tokens, told in ((5_000, 3_100, "3,100 tokens, 31"), (0, 6_100, "6,100 tokens, 61")):
        with pytest.raises(Invalid, match=told + r"\.0 s of work for this server, and its deadline is 30 s"):
            Door(backlog=backlog).ask(tokens, timeout_s=30.0)


def test_on_an_idle_server_a_request_that_seems_too_large_has_the_benefit_of_the_doubt() -> None:
    Door(backlog=0).ask(5_900, timeout_s=30.0)


def test_what_is_not_important_may_fill_half_of_the_queue() -> None:
    door = Door(speed=100.0, queue_s=20.0, backlog=1_050)
    with pytest.raises(Overloaded) as refused:
        door.ask(100, priority=1)
    assert refused.value.retry_after_s == pytest.approx(0.5)
    door.ask(100, priority=0)


def test_a_huge_request_is_let_in_when_all_that_waits_and_itself_are_in_time() -> None:
    door = Door(speed=100.0, queue_s=20.0)
    huge = door.ask(2_500)
    with pytest.raises(Overloaded):
        door.ask(2_500)
    huge.release()
    door.backlog = 230
    with pytest.raises(Overloaded) as refused:
        door.ask(2_500)
    assert refused.value.retry_after_s == pytest.approx(0.3)  # nine tenths of 30 s are 2,700 tokens
    door.work(0.3)
    door.ask(2_500)


@given(
    tokens=st.integers(1, 100_000),
    backlog=st.integers(0, 1_000_000),
    speed=st.floats(10.0, 1e6),
    queue_s=st.floats(0.1, 60.0),
    timeout_s=st.floats(0.1, 60.0),
)
def test_who_comes_back_when_told_is_let_in(
    tokens: int, backlog: int, speed: float, queue_s: float, timeout_s: float
) -> None:
    door = Door(speed, backlog, queue_s)
    if tokens / speed > timeout_s * (1 if backlog else 2):  # alone, the benefit of the doubt
        with pytest.raises(Invalid):
            door.ask(tokens, timeout_s)
        return
    if (retry_after_s := door.refusal(tokens, timeout_s)) is not None:
        assert 0.05 <= retry_after_s <= max(0.05, backlog / speed)
        door.work(retry_after_s)
        door.ask(tokens, timeout_s)


def test_the_servers_own_pairs_are_let_in_whatever_waits_and_counted_like_all_others() -> None:
    door = Door(speed=1.0, backlog=10**9)
    permit = door.admission.let_in(40, timeout_s=10.0)
    assert door.admission.waiting_tokens == 10**9 + 40
    permit.release()
    assert door.admission.waiting_tokens == 10**9


def test_a_burst_of_threads_is_let_in_up_to_the_limit_and_no_further() -> None:
    door = Door(speed=100.0, queue_s=20.0)
    let_in: list[Permit] = []
    together = threading.Barrier(8)

    def ask() -> None:
        together.wait(10)
        for _ in range(50):
            try:
                let_in.append(door.ask(100))
            except Overloaded:
                continue

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(let_in) == 21  # of 400, at 1 s each: the last of them finds 20 s waiting, and not a token more
