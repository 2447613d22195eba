"""Numbers that people type: what Python alone reads as one is refused with the flag and what was typed."""

from __future__ import annotations

import pytest

from crossrank.cli import main
from crossrank.config.plain_numbers import plain_float, plain_whole

MINE = ["mine", "--groups", "no-such-groups.jsonl", "--corpus", "no-such-corpus.jsonl", "--output", "no-such-output"]


def told(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main.main([*MINE, *flags])
    assert stopped.value.code == 2
    return capsys.readouterr().err.splitlines()[-1].removeprefix("crossrank: ")


@pytest.mark.parametrize("typed", ["1_0", "１０", "٣", "ten", "1.5", ""])
def test_a_flag_takes_a_whole_number_in_plain_digits_alone(capsys: pytest.CaptureFixture[str], typed: str) -> None:
    assert told(capsys, "--limit", typed) == f"--limit is {typed!r}; use a whole number, such as 10"


@pytest.mark.parametrize("typed", ["0_5", "０.5", "half", "0,5"])
def test_a_flag_takes_a_number_in_plain_digits_alone(capsys: pytest.CaptureFixture[str], typed: str) -> None:
    assert told(capsys, "--gpus-per-worker", typed) == f"--gpus-per-worker is {typed!r}; use a number, such as 0.5"


@pytest.mark.parametrize("typed", ["1_0", "２", "1:1_0"])
def test_so_does_a_number_of_workers(capsys: pytest.CaptureFixture[str], typed: str) -> None:
    assert told(capsys, "--workers", typed) == f"--workers is {typed!r}; use a number from 1, or MIN:MAX such as 1:8"


def test_plain_numbers_are_what_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    assert [plain_whole("10"), plain_whole("-3"), plain_float("2e-5"), plain_float("-.5")] == [10, -3, 2e-5, -0.5]
    assert "no-such-corpus.jsonl" in told(capsys, "--limit", "10", "--gpus-per-worker", "0.5", "--workers", "1:2")
