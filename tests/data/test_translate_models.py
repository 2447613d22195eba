"""Local models in Ray actors: a stand-in for one, which is slow, dies or is refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crossrank.cluster.on_ray import pool
from crossrank.cluster.pool import WorkerRequest
from crossrank.errors import JobFailed, ModelRefused
from crossrank.translation.backend import Keep, Outcome
from crossrank.translation.on_ray import models
from crossrank.translation.on_ray.models import seconds_of, translate_on


@dataclass(frozen=True, slots=True)
class Capitals:
    """Writes in capitals, two texts a batch, the longest first. A text `dies` kills its worker, `bug` is one."""

    marker: str
    """A file that is made by the first that dies, so that the next does not."""

    @property
    def identity(self) -> dict[str, Any]:
        return {"backend": "capitals"}

    def check(self) -> None:
        """Works always."""

    def load(self) -> Capitals:
        return self

    def translate(self, texts: Sequence[str], keep: Keep) -> None:
        places = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        for start in range(0, len(places), 2):
            batch = places[start : start + 2]
            some = [texts[place] for place in batch]
            if "dies" in some and not (self.marker and os.path.exists(self.marker)):
                if self.marker:
                    open(self.marker, "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
            if "bug" in some:
                raise ZeroDivisionError("divided by nothing")
            if "refused" in some:
                raise ModelRefused("the model has no such language; name another")
            keep([(place, Outcome(texts[place].upper() or None, None)) for place in batch])


def translated(texts: list[str], marker: str = "", workers: int = 2) -> dict[str, str | None]:
    kept: dict[str, str | None] = {}

    def keep(outcomes: Sequence[tuple[str, Outcome]]) -> None:
        for text, outcome in outcomes:
            assert text not in kept, "twice"
            kept[text] = outcome.text

    translate_on(Capitals(marker), pool(WorkerRequest((workers, workers), 0.0)), iter(texts), keep)
    return kept


TEXTS = [f"text {number} {'x' * (number % 7)}" for number in range(50)]


@pytest.fixture(autouse=True)
def _small_calls(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "TEXTS_PER_CALL", 8)


@pytest.mark.parametrize("workers", [1, 3])
def test_every_text_is_translated_once_and_is_its_own(workers: int) -> None:
    assert translated(TEXTS, workers=workers) == {text: text.upper() for text in TEXTS}


def test_no_text_is_nothing_to_do() -> None:
    assert translated([]) == {}


def test_a_worker_that_dies_is_replaced_and_what_it_gave_back_is_not_done_again(tmp_path: Path) -> None:
    texts = [*TEXTS[:20], "dies", *TEXTS[20:]]
    assert translated(texts, str(tmp_path / "died")) == {text: text.upper() for text in texts}


def test_texts_that_kill_every_worker_end_the_job_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "TRIES_AFTER_DEATH", 2)  # a worker takes seconds to start
    with pytest.raises(JobFailed, match=r"3 workers died with the same texts \(.*\); what is translated is kept"):
        translated(["dies"], workers=1)


def test_what_a_model_says_to_the_user_reaches_the_user() -> None:
    with pytest.raises(ModelRefused, match="the model has no such language; name another"):
        translated(["a", "refused"])


def test_a_bug_is_one_sentence() -> None:
    with pytest.raises(
        JobFailed, match="failed: ZeroDivisionError: divided by nothing; what is translated is kept, so"
    ):
        translated(["a", "bug"])


def test_the_time_of_a_sample_is_measured() -> None:
    assert seconds_of(Capitals(""), pool(WorkerRequest((1, 1), 0.0)), TEXTS) > 0
