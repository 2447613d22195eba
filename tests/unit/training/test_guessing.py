"""The line of guessing beside the validation."""

from __future__ import annotations

import pytest

from crossrank.training.validation import guessing
from tests.unit.training.conftest import Source, doc, group


def test_the_line_of_guessing_is_the_mean_over_the_held_out_groups(source: Source) -> None:
    one_of_four = group("q1", doc("a", 1), doc("b", 0), doc("c", None), doc("d", 0), query="one")
    one_of_one = group("q2", doc("e", 1), query="two")
    found = guessing(source(one_of_four + one_of_one, "validate").open())["guessing"]
    assert found["mrr@10"] == pytest.approx(((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4 + 1) / 2)
    assert found["success@3"] == pytest.approx((3 / 4 + 1) / 2)
    assert found.keys() == {"mrr@10", "ndcg@10", "success@3"}


def test_nothing_is_drawn_where_nothing_is_held_out() -> None:
    assert guessing(None) == {}
