"""A server is asked again for what it left without scores, and nothing that it had answered gets lost by that.

How it could fail users: parts that lack an answer are removed first, and then the server is gone, the job is refused or
killed, and answers that were paid for are gone, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from crossrank.derived import Derived
from crossrank.errors import OutputError
from crossrank.evaluation.server_system import PlainTextEncoder
from crossrank.reranking import plan
from crossrank.reranking.job import reranked
from crossrank.reranking.settings import RerankSettings
from crossrank.resumable.layout import Layout
from crossrank.resumable.output import read_json
from crossrank.scoring.interfaces import EncodedText, PlainText, Scored, Scorer
from crossrank.scoring.spec import ScorerSpec
from tests.unit.in_process import Killed, NoRay, UseRay
from tests.unit.reranking.job.in_process import InProcess, parts


class Remote(Scorer):
    """A server that answers some queries, with the length of a document as its score, and others not."""

    encoder = PlainTextEncoder()

    def __init__(self, answers: set[str], asked: list[str]) -> None:
        self._answers = answers
        self._asked = asked

    def describe(self) -> dict[str, Any]:
        return {}

    def score_encoded(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> Scored:
        texts_Q = [query.text for query in queries if isinstance(query, PlainText)]
        texts_D = [document.text for document in documents if isinstance(document, PlainText)]
        self._asked += [texts_Q[q] for q in dict.fromkeys(query_P.tolist())]
        scores = [
            float(len(texts_D[d])) if texts_Q[q] in self._answers else np.nan
            for q, d in zip(query_P.tolist(), document_P.tolist(), strict=True)
        ]
        nothing_P = np.zeros(len(scores), dtype=np.int32)
        return Scored(np.array(scores, dtype=np.float32), nothing_P, nothing_P, nothing_P)


@dataclass
class RemoteSpec(ScorerSpec):
    """What runs there is not known, so that it is the same server whatever it answers."""

    answers: set[str]
    asked: list[str] = field(default_factory=list)
    revision = "https://somewhere"

    def load(self, threads: int | None) -> Remote:
        return Remote(self.answers, self.asked)


RED, BLUE, CAT = "red cat", "blue dog", "cat"
"""The queries q1, q2 and q5, which have candidates; q3 is empty and q4 has none, so nobody is asked for them."""


@pytest.fixture(params=[1, 2, 5], ids="{} queries a part".format)
def settings(settings: RerankSettings, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(plan, "queries_per_block", lambda *_: Derived(request.param, "by the test"))
    return settings


def reasons(settings: RerankSettings) -> dict[str, str | None]:
    table = pq.read_table(settings.output)
    assert table["row"].to_pylist() == list(range(5)), "each row once, in its place"
    return dict(zip(table["query_id"].to_pylist(), table["reason"].to_pylist(), strict=True))


def run(settings: RerankSettings, *answers: str, asks_again: bool = True) -> tuple[dict[str, Any], list[str]]:
    """The manifest, and the queries that a server was asked which answers these alone."""
    spec: Any = RemoteSpec(set(answers))
    return reranked(settings, spec, asks_again=asks_again), spec.asked


def test_only_queries_without_scores_are_asked_for_again(
    settings: RerankSettings, use_ray: UseRay, capsys: pytest.CaptureFixture[str]
) -> None:
    use_ray(InProcess())
    run(settings, RED)
    assert reasons(settings) == {
        "q1": None,
        "q2": "score_not_finite",
        "q3": "empty_query",
        "q4": "no_candidates",
        "q5": "score_not_finite",
    }
    manifest, asked = run(settings, RED, BLUE, CAT)
    assert asked == [BLUE, CAT], "what was answered is not paid for again"
    assert "was finished, and 2 of its queries have no scores: asking for them again" in capsys.readouterr().err
    assert manifest["rows"]["rejected"] == {"empty_query": 1, "no_candidates": 1}
    assert manifest["rows"]["resumed"] == 3
    assert reasons(settings) == {"q1": None, "q2": None, "q3": "empty_query", "q4": "no_candidates", "q5": None}


def test_asked_in_two_tries_the_parts_are_those_of_one(
    settings: RerankSettings, use_ray: UseRay, tmp_path: Path
) -> None:
    use_ray(InProcess())
    whole = replace(settings, output=str(tmp_path / "whole"))
    run(whole, RED, BLUE, CAT)
    run(settings, CAT)
    run(settings, RED, BLUE)
    assert pq.read_table(settings.output).equals(pq.read_table(whole.output))
    assert Path(settings.run or "").read_text().count("\n") == 7


def test_a_server_that_answers_less_the_second_time_takes_nothing_away(
    settings: RerankSettings, use_ray: UseRay
) -> None:
    use_ray(InProcess())
    run(settings, RED, BLUE)
    before = pq.read_table(settings.output)
    manifest, asked = run(settings)
    assert asked == [CAT]
    assert manifest["rows"]["ok"] == 2, "the part with q1 and q2 was removed before"
    assert pq.read_table(settings.output).equals(before)


@pytest.mark.parametrize("kill_after", [0, 1])
def test_killed_while_it_asks_again_it_has_all_that_was_answered(
    settings: RerankSettings, use_ray: UseRay, kill_after: int
) -> None:
    use_ray(InProcess())
    run(settings, RED)
    use_ray(InProcess(kill_after=kill_after))
    try:
        run(settings, BLUE, CAT)
    except Killed:
        assert read_json(Layout(settings.output).manifest)["state"] == "running"
    found = reasons(settings)
    assert found["q1"] is None, "an answer that was there before"
    use_ray(InProcess())
    _, asked = run(settings, BLUE, CAT)
    assert asked == [query for query_id, query in (("q2", BLUE), ("q5", CAT)) if found[query_id] is not None]
    assert set(reasons(settings).values()) == {None, "empty_query", "no_candidates"}


def test_a_job_that_is_refused_before_it_asks_again_leaves_all_parts(settings: RerankSettings, use_ray: UseRay) -> None:
    use_ray(InProcess())
    run(settings, RED, BLUE)
    before = parts(settings)
    use_ray(NoRay())
    with pytest.raises(OutputError, match="holds a job with other settings"):
        run(replace(settings, depth=1), CAT)
    assert parts(settings) == before


def test_a_part_that_is_gone_is_made_whole_and_beside_it_the_others_are_asked_for_what_they_lack(
    settings: RerankSettings, use_ray: UseRay
) -> None:
    use_ray(InProcess())
    run(settings, RED)
    Path(Layout(settings.output).part(0)).write_bytes(b"PAR1 cut off")
    _, asked = run(settings, RED, BLUE, CAT)
    assert sorted(asked) == sorted([RED, BLUE, CAT])
    assert set(reasons(settings).values()) == {None, "empty_query", "no_candidates"}


def test_a_model_is_not_asked_again_since_its_answer_would_be_the_same(
    settings: RerankSettings, use_ray: UseRay
) -> None:
    use_ray(InProcess())
    run(settings, RED)
    use_ray(NoRay())
    _, asked = run(settings, BLUE, asks_again=False)
    assert asked == []


def test_when_all_is_answered_there_is_nothing_to_do(settings: RerankSettings, use_ray: UseRay) -> None:
    use_ray(InProcess())
    run(settings, RED, BLUE, CAT)
    use_ray(NoRay())
    run(settings)
