"""A comparison that is run again asks a server for what it left unanswered, over real HTTP.

How it could fail users: answers that were there are removed before the server is asked, and it answers less this time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossrank.evaluation.candidates import write_candidates
from crossrank.evaluation.lists import Lists, Rankings
from crossrank.evaluation.rows import folder_of, rerank_with
from crossrank.evaluation.server_system import ServerSpec
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.formats import groups_jsonl
from crossrank.records import Candidate, Group
from tests.unit.evaluation.test_server_system import Serve, serve, tei
from tests.unit.evaluation.test_wiring import refuse
from tests.unit.in_process import UseRay
from tests.unit.reranking.job.in_process import InProcess

__all__ = ["serve"]

QUERIES = ["one", "two", "three"]


def test_a_server_that_answers_less_the_second_time_leaves_the_answers_of_the_first(
    serve: Serve, tmp_path: Path, use_ray: UseRay
) -> None:
    use_ray(InProcess())
    answers = {"one", "two"}

    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        return tei(path, body) if body["query"] in answers else (404, {"error": "not today"})

    served = serve(answer)
    docs = Candidate("a", "short", label=1.0, rank=1), Candidate("b", "much longer", label=0.0, rank=2)
    uri = str(tmp_path / "groups.jsonl")
    groups_jsonl.write_groups(uri, [Group(query, query, docs) for query in QUERIES], refuse)
    settings = EvaluateSettings(models=(f"m={served.url}",), groups=uri, output=str(tmp_path / "out"))
    written = write_candidates(settings, str(tmp_path / "candidates.parquet"), refuse)

    def unanswered() -> list[bool]:
        """Of the three queries, after the comparison is run (again)."""
        served.asked.clear()
        rerank_with(settings, "m", ServerSpec("m", served.url), written, settings.output)
        missing: list[bool] = Rankings.read(Lists.read(written), folder_of(settings.output, "m")).is_missing_Q.tolist()
        return missing

    assert unanswered() == [False, False, True]
    answers.clear()
    assert unanswered() == [False, False, True], "the first two were answered before"
    assert {body["query"] for _, body, _ in served.asked} == {"three"}
    answers.add("three")
    assert unanswered() == [False, False, False]
    assert unanswered() == [False, False, False]
    assert served.asked == [], "nothing is left to ask for"
