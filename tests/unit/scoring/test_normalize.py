"""Scores from logits, worked by hand."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.errors import SettingsError
from crossrank.scoring.normalize import check, normalize

LOGITS = st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=40)


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_none_keeps_the_logits() -> None:
    assert normalize(np.array([-3.5, 0.0, 12.25]), "none").tolist() == [-3.5, 0.0, 12.25]


def test_sigmoid_by_hand() -> None:
    # 1 / (1 + e^0) = 1/2, 1 / (1 + e^-ln 3) = 1 / (1 + 1/3) = 3/4, and its mirror image 1/4.
    logits = np.array([0.0, math.log(3), -math.log(3)])
    assert normalize(logits, "sigmoid").tolist() == pytest.approx([0.5, 0.75, 0.25], abs=1e-7)


def test_softmax_by_hand() -> None:
    # e^0 : e^ln 2 : e^ln 5 = 1 : 2 : 5, of 8.
    logits = np.array([0.0, math.log(2), math.log(5)])
    assert normalize(logits, "softmax").tolist() == pytest.approx([1 / 8, 2 / 8, 5 / 8], abs=1e-7)


def test_softmax_of_one_document_is_one() -> None:
    assert normalize(np.array([-7.0]), "softmax").tolist() == [1.0]


def test_nothing_overflows_at_a_thousand() -> None:
    logits = np.array([-1000.0, 1000.0], dtype=np.float32)
    assert normalize(logits, "sigmoid").tolist() == [0.0, 1.0]
    assert normalize(logits, "softmax").tolist() == [0.0, 1.0]
    assert normalize(np.array([-1000.0, -1000.0]), "softmax").tolist() == [0.5, 0.5]


def test_a_logit_that_is_not_finite_comes_back_as_nan_and_spoils_no_neighbour() -> None:
    logits = np.array([np.inf, -np.inf, np.nan, 0.0])
    assert np.isnan(normalize(logits, "sigmoid")).tolist() == [True, True, True, False]
    assert np.isnan(normalize(logits, "none")).tolist() == [True, True, True, False]


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_list_with_a_logit_that_is_not_finite_has_no_softmax(bad: float) -> None:
    assert np.isnan(normalize(np.array([1.0, bad, 2.0]), "softmax")).all()


@pytest.mark.parametrize("how", ["none", "sigmoid", "softmax"])
def test_no_candidates_give_no_scores(how: str) -> None:
    scores = normalize(np.zeros(0, dtype=np.float32), how)  # type: ignore[arg-type]
    assert scores.shape == (0,)
    assert scores.dtype == np.float32


@pytest.mark.parametrize("how", ["none", "sigmoid", "softmax"])
def test_the_logits_passed_in_are_left_as_they_were(how: str) -> None:
    logits = np.array([1.0, np.inf, -2.0], dtype=np.float32)
    before = logits.copy()
    normalize(logits, how)  # type: ignore[arg-type]
    assert logits.tolist() == before.tolist()


@pytest.mark.parametrize("how", ["minmax", "Sigmoid", "", "none "])
def test_an_unknown_name_is_refused(how: str) -> None:
    for refuse in (check, lambda name: normalize(np.array([1.0]), name)):
        with pytest.raises(SettingsError, match=f"normalize is {how!r}; use none, sigmoid or softmax"):
            refuse(how)


@given(LOGITS)
def test_sigmoid_stays_between_0_and_1_and_keeps_the_order(logits: list[float]) -> None:
    scores = normalize(np.array(logits), "sigmoid")
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (np.diff(scores[np.argsort(logits, kind="stable")]) >= 0).all()


@given(LOGITS)
def test_softmax_sums_to_one_and_keeps_the_order(logits: list[float]) -> None:
    scores = normalize(np.array(logits), "softmax")
    assert float(scores.sum()) == pytest.approx(1, abs=1e-5)
    assert (np.diff(scores[np.argsort(logits, kind="stable")]) >= 0).all()


@given(LOGITS, st.integers(-100, 100))
def test_softmax_does_not_change_when_all_logits_move_together(logits: list[float], shift: int) -> None:
    moved = normalize(np.array(logits) + shift, "softmax")
    assert moved.tolist() == pytest.approx(normalize(np.array(logits), "softmax").tolist(), abs=1e-6)


def test_what_needs_no_model_loads_neither_torch_nor_ray() -> None:
    modules = ["crossrank", "crossrank.batching"]
    modules += [f"crossrank.scoring.{name}" for name in ("normalize", "prompts", "interfaces")]
    code = f"import sys, {', '.join(modules)}; print(sorted({{'torch', 'ray', 'transformers'}} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
