"""The bias that is fitted at the end: by hand, on groups of its own, and in the file of the weights."""

from __future__ import annotations

import io
import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from crossrank import storage
from crossrank.errors import OutputError
from crossrank.training.level import (
    LEAST,
    Level,
    copy_with_level,
    fitted,
    in_files,
    likeliest,
    parts_of,
    sentence,
    standard_error,
    too_few,
    why_not,
)
from tests.unit.training.conftest import Source, doc, good, group, train_settings

BIAS = "classifier.bias"


def sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-values)))


# the number


def test_scores_that_are_all_equal_get_the_odds_of_the_share_of_positives() -> None:
    # One of four matches: sigmoid(b) = 1/4, so b = ln(1/3), less the level that they had.
    assert likeliest(np.zeros(4), 1) == pytest.approx(math.log(1 / 3), abs=1e-9)
    assert likeliest(np.full(4, 2.5), 1) == pytest.approx(math.log(1 / 3) - 2.5, abs=1e-9)


def test_two_scores_apart_meet_in_the_middle() -> None:
    # sigmoid(3 + b) + sigmoid(1 + b) = 1 where 3 + b = -(1 + b).
    assert likeliest(np.array([3.0, 1.0]), 1) == pytest.approx(-2.0, abs=1e-9)


def test_no_other_number_makes_the_labels_likelier() -> None:
    draw = np.random.default_rng(1)
    logits = draw.normal(-3, 4, 500)
    is_positive = draw.random(500) < sigmoid(logits - 1.5)

    def likelihood(bias: float) -> float:
        return float(np.log(sigmoid(np.where(is_positive, 1, -1) * (logits + bias))).sum())

    best = likeliest(logits, int(is_positive.sum()))
    assert sigmoid(logits + best).sum() == pytest.approx(is_positive.sum(), abs=1e-6)
    assert all(likelihood(best) >= likelihood(best + step) for step in (-1.0, -0.01, 0.01, 1.0))
    assert best == pytest.approx(-1.5, abs=0.5)


@pytest.mark.parametrize("far", [-1e4, 1e4])
def test_scores_far_from_0_are_brought_back(far: float) -> None:
    assert likeliest(np.array([far, far + 2, far + 4]), 1) + far == pytest.approx(
        likeliest(np.array([0.0, 2, 4]), 1), abs=1e-6
    )


def test_it_is_fitted_on_documents_that_are_judged(source: Source) -> None:
    lines = group("a", doc("1", 1), doc("2", None), doc("3", 0)) + group("b", doc("4", 0.5), doc("5", 0), doc("6", 0))
    store = source(lines, "validate").open()
    labels = [store.documents(number).labels_D for number in range(2)]
    scores = [np.where(np.isnan(labels_D), 99.0, 1.0).astype(np.float32) for labels_D in labels]
    level = fitted(store, scores, BIAS)
    assert (level.groups, level.documents, level.positives) == (2, 5, 2)
    assert level.added == pytest.approx(math.log(2 / 3) - 1.0, abs=1e-6)
    assert level.why_not is None


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_leaves_the_bias_as_it_is(source: Source, wrong: float) -> None:
    store = source(group("a", doc("1", 1), doc("2", 0)), "validate").open()
    level = fitted(store, [np.array([wrong, 2.0], dtype=np.float32)], BIAS)
    assert (level.added, level.why_not) == (0.0, "a score of the groups kept apart is no number")


# how sure


def test_scores_that_are_all_equal_leave_the_error_of_the_log_odds() -> None:
    # sqrt(1 / positives + 1 / negatives), as of any share that is counted; here 20 and 20, which LEAST allows.
    is_positive = np.arange(40) % 2 == 0
    assert standard_error(np.zeros(40), is_positive, [2] * 20) == pytest.approx(math.sqrt(1 / 20 + 1 / 20))
    # A quarter matches: p (1 - p) is 3/16 each.
    quarter = np.arange(160) % 8 < 2
    error = standard_error(np.full(160, math.log(1 / 3)), quarter, [8] * 20)
    assert error == pytest.approx(math.sqrt(1 / 40 + 1 / 120))


def test_groups_whose_documents_go_together_count_as_groups() -> None:
    # Every other group matches whole: residuals of 4 x 1/2 each, so sqrt(20 x 4 x 20/19) over 80/4.
    is_positive = np.repeat(np.arange(20) % 2 == 0, 4)
    error = standard_error(np.zeros(80), is_positive, [4] * 20)
    assert error == pytest.approx(math.sqrt(20 * 4 * 20 / 19) / 20)
    assert error > 2 * math.sqrt(1 / 40 + 1 / 40), "as if the 80 documents knew nothing of each other"


def test_the_error_is_how_far_the_number_moves_where_groups_are_drawn_anew() -> None:
    draw = np.random.default_rng(2)
    found, said = [], []
    for _ in range(300):
        logits = draw.normal(0, 2, 200) + np.repeat(draw.normal(0, 1, 25), 8)
        is_positive = draw.random(200) < sigmoid(logits - 1.0)
        found.append(likeliest(logits, int(is_positive.sum())))
        said.append(standard_error(logits + found[-1], is_positive, [8] * 25))
    assert np.mean(said) == pytest.approx(np.std(found), rel=0.15)


def groups_of(source: Source, groups: int, positives: int, negatives: int) -> str | None:
    """What `too_few` says of groups with so many documents of each kind in all."""
    docs: list[list[dict[str, Any]]] = [[doc("p", 1), doc("u", None)] for _ in range(groups)]
    for number in range(positives - groups):
        docs[number % groups].append(doc(f"p{number}", 1))
    for number in range(negatives):
        docs[number % groups].append(doc(f"n{number}", 0))
    return too_few(source("".join(group(f"g{number}", *each) for number, each in enumerate(docs)), "validate").open())


def test_the_bias_is_fitted_on_no_fewer_than_it_takes(source: Source) -> None:
    assert groups_of(source, LEAST, LEAST, LEAST) is None
    assert groups_of(source, LEAST - 1, LEAST, 100) == (
        "20% of the held-out groups, which may be kept apart for it, are 19 with 20 documents labelled above 0 and 100 "
        "labelled 0, and it takes 20 of each; hold more out"
    )
    said = groups_of(source, LEAST, LEAST, LEAST - 1)
    assert said is not None
    assert "20 documents labelled above 0 and 19 labelled 0" in said, "unjudged documents are none of either"


# the groups


def test_the_groups_that_it_is_fitted_on_are_others_than_those_that_figures_are_of(source: Source) -> None:
    whole = source("".join(good(f"g{number}") for number in range(200)), "validate")
    figures, apart = parts_of(whole)
    assert apart is not None
    ids = [set(part.open().query_ids(range(len(part.open())))) for part in (figures, apart)]
    assert not ids[0] & ids[1]
    assert ids[0] | ids[1] == {f"g{number}" for number in range(200)}
    assert 20 <= len(ids[1]) <= 60, "about a fifth"


def test_all_groups_of_one_query_are_on_one_side(source: Source) -> None:
    lines = "".join(
        group(f"{number}-{copy}", doc("p", 1), doc("n", 0), query=f"query {number}")
        for number in range(60)
        for copy in range(3)
    )
    figures, apart = parts_of(source(lines, "validate"))
    assert apart is not None
    queries = [set(part.open().queries(range(len(part.open())))) for part in (figures, apart)]
    assert not queries[0] & queries[1]


def test_a_part_that_was_held_out_of_training_is_parted_and_nothing_else_comes_into_it(source: Source) -> None:
    whole = source("".join(good(f"g{number}") for number in range(300)), "validate", low=0.0, high=0.3)
    figures, apart = parts_of(whole)
    assert apart is not None
    assert len(figures.open()) + len(apart.open()) == len(whole.open())


def test_with_one_group_the_figures_have_it(source: Source) -> None:
    whole = source(good("only"), "validate")
    assert parts_of(whole) == (whole, None)


# why not


@pytest.mark.parametrize(
    ("settings", "bias", "is_held_out", "began_before", "reason"),
    [
        ({}, BIAS, True, False, None),
        ({"weight_kl": 1.0, "weight_group_ce": 0.0}, BIAS, True, False, None),
        ({}, None, True, False, "the head has no bias"),
        ({"weight_bce": 0.1}, BIAS, True, False, "weight_bce trains it"),
        ({}, BIAS, False, False, "no groups were held out"),
        ({}, BIAS, True, True, "the run began under an earlier version, which kept no groups apart for it"),
    ],
)
def test_where_it_is_left_as_it_is_the_reason_is_said(
    settings: dict[str, float], bias: str | None, is_held_out: bool, began_before: bool, reason: str | None
) -> None:
    assert why_not(train_settings(**settings), bias, is_held_out, began_before) == reason
    if reason is not None:
        assert sentence(Level(bias, why_not=reason)) == f"The bias of the head was left as it is: {reason}."


def test_the_card_says_at_which_share_a_sigmoid_is_a_probability() -> None:
    said = sentence(Level(BIAS, -1.25, None, groups=40, documents=320, positives=40, standard_error=0.234))
    assert "on 40 held-out groups, apart from those that the figures are of (-1.2500, standard error 0.23)" in said
    assert "Of their 320 judged documents 12.5% match" in said
    assert "add ln(p / (1 - p)) + 1.95 to the logit" in said, "ln(0.125 / 0.875) is -1.95"


# the file


def safetensors(folder: Path, **tensors: list[float]) -> Path:
    """A file as the format describes it: a length, a header, the numbers."""
    header, numbers, begin = {}, b"", 0
    for name, values in tensors.items():
        block = np.array(values, dtype="<f4").tobytes()
        header[name.replace("_", ".")] = {
            "dtype": "F32",
            "shape": [len(values)],
            "data_offsets": [begin, begin + len(block)],
        }
        numbers, begin = numbers + block, begin + len(block)
    text = json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + numbers)
    return path


def test_the_bias_is_raised_in_the_copy_and_no_other_byte_changes(tmp_path: Path) -> None:
    path = safetensors(tmp_path, a_weight=[1.0, 2.0], classifier_bias=[0.5], z_weight=[3.0])
    copy_with_level(path, str(tmp_path / "copy"), Level(BIAS, -2.25))
    before, after = path.read_bytes(), (tmp_path / "copy").read_bytes()
    assert np.frombuffer(after[-16:], dtype="<f4").tolist() == [1.0, 2.0, -1.75, 3.0]
    assert (after[:-8], after[-4:]) == (before[:-8], before[-4:])


@pytest.mark.parametrize("level", [Level(BIAS, why_not="weight_bce trains it"), Level(None), Level("other.bias", 1.0)])
def test_a_file_without_it_and_a_level_that_was_left_are_copied_as_they_are(tmp_path: Path, level: Level) -> None:
    path = safetensors(tmp_path, a_weight=[1.0, 2.0], classifier_bias=[0.5])
    copy_with_level(path, str(tmp_path / "copy"), level)
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


def test_weights_that_lack_the_bias_are_not_called_fitted(tmp_path: Path) -> None:
    safetensors(tmp_path, a_weight=[1.0, 2.0], classifier_bias=[0.5])
    fit = Level(BIAS, -2.25, None, groups=40, documents=320, positives=40)
    assert in_files(fit, tmp_path) == fit
    left = in_files(replace(fit, bias="score.bias"), tmp_path)
    assert (left.added, left.groups) == (0.0, 0)
    assert sentence(left) == "The bias of the head was left as it is: no file of the weights holds score.bias."


def test_a_disk_that_kept_another_bias_than_the_fitted_one_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = safetensors(tmp_path, classifier_bias=[0.5])

    @contextmanager
    def keeps_what_was_there(uri: str) -> Iterator[BinaryIO]:
        yield io.BytesIO()
        shutil.copy(path, uri)

    monkeypatch.setattr(storage, "writing", keeps_what_was_there)
    with pytest.raises(OutputError, match=r"copy was written with another classifier\.bias than was fitted"):
        copy_with_level(path, str(tmp_path / "copy"), Level(BIAS, 1.0))


def test_a_bias_of_several_numbers_is_no_level(tmp_path: Path) -> None:
    path = safetensors(tmp_path, classifier_bias=[0.5, 1.0])
    with pytest.raises(ValueError, match="is F32 of 8 bytes, and no single float"):
        copy_with_level(path, str(tmp_path / "copy"), Level(BIAS, 1.0))
