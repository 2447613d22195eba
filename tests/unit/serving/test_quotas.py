"""How it could fail users: a key is refused too early or for ever, or takes what is another's."""

from __future__ import annotations

import pytest

from crossrank.serving.errors import Overloaded
from crossrank.serving.quotas import BURST_S, Quotas
from tests.unit.serving.desk import Clock


def refused(quotas: Quotas, key: int, tokens: int, num_replicas: int = 1) -> float | None:
    """The seconds after which to come back; None where it was let in."""
    try:
        quotas.pay(key, tokens, num_replicas)
    except Overloaded as fault:
        return fault.retry_after_s
    return None


def test_a_refusal_says_that_it_is_the_key_and_not_the_server() -> None:
    quotas = Quotas(100.0, Clock())
    quotas.pay(0, 5_000)
    with pytest.raises(Overloaded, match="this API key has used up its 100 tokens a second") as refusal:
        quotas.pay(0, 1)
    assert refusal.value.reason == "key"


def test_a_key_that_stays_under_its_rate_is_never_refused() -> None:
    clock = Clock()
    quotas = Quotas(100.0, clock)
    for _ in range(1_000):
        assert refused(quotas, 0, 100) is None
        clock.now += 1.0


def test_a_key_that_asks_for_twice_its_rate_gets_its_rate() -> None:
    clock = Clock()
    quotas = Quotas(100.0, clock)
    let_in = 0
    for _ in range(2_000):
        let_in += refused(quotas, 0, 100) is None
        clock.now += 0.5
    # 1,000 s at one request a second, and what was saved up.
    assert let_in == pytest.approx(1_000 + BURST_S, abs=2)


def test_who_comes_back_when_told_is_let_in() -> None:
    clock = Clock()
    quotas = Quotas(100.0, clock)
    assert refused(quotas, 0, 5_000) is None  # a debt of 4,000
    retry_s = refused(quotas, 0, 1)
    assert retry_s is not None
    assert retry_s == pytest.approx(40.0, abs=0.02)
    clock.now += retry_s - 0.1
    assert refused(quotas, 0, 1) is not None
    clock.now += 0.1
    assert refused(quotas, 0, 1) is None


def test_a_request_larger_than_the_bucket_is_let_in_when_the_bucket_is_not_empty() -> None:
    assert refused(Quotas(100.0, Clock()), 0, 10**6) is None


def test_one_key_does_not_pay_for_another() -> None:
    quotas = Quotas(100.0, Clock())
    assert refused(quotas, 0, 10**6) is None
    assert refused(quotas, 0, 1) is not None
    assert refused(quotas, 1, 1) is None


def test_what_was_paid_too_much_is_given_back() -> None:
    quotas = Quotas(100.0, Clock())
    assert refused(quotas, 0, 5_000) is None
    quotas.settle(0, -4_500)
    assert refused(quotas, 0, 1) is None


def test_replicas_share_the_rate_of_a_key() -> None:
    quotas = Quotas(100.0, Clock())
    assert refused(quotas, 0, 1_000, num_replicas=4) is None  # 250 were there
    assert refused(quotas, 0, 1, num_replicas=4) == pytest.approx(751 / 25)
