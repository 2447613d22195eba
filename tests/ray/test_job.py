"""The job on a real Ray gives what a plain computation gives, whatever the workers and the form of the inputs."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crossrank.errors import JobFailed, ModelRefused
from crossrank.reranking.job import rerank, reranked
from crossrank.reranking.settings import RerankSettings
from crossrank.scoring.spec import ScorerSpec
from tests.ray.driver import Driver
from tests.ray.inputs import Inputs, part_files, ranked_of, read_output, settings_of
from tests.ray.stand_ins import AbsentSpec, FailingSpec, LoggedSpec, RefusingSpec
from tests.unit.stand_ins import OverlapSpec

pytestmark = pytest.mark.usefixtures("cluster")


def run(settings: dict[str, Any], spec: ScorerSpec | None = None) -> dict[str, Any]:
    return rerank(RerankSettings(**settings), spec or OverlapSpec())


@pytest.mark.parametrize("workers", [None, "2", "1:2"])
def test_the_output_is_that_of_a_plain_computation(inputs: Inputs, tmp_path: Path, workers: str | None) -> None:
    uris = inputs.write(str(tmp_path))
    manifest = run(settings_of(uris, tmp_path / "out", top_n=5, workers=workers))

    table = read_output(str(tmp_path / "out"))
    assert ranked_of(table) == inputs.ranked(top_n=5)
    assert table["row"].to_pylist() == list(range(40))
    assert set(table["status"].to_pylist()) == {"ok"}
    assert manifest["state"] == "finished"
    assert [manifest["rows"][name] for name in ("in", "out", "ok", "rejected", "resumed")] == [40, 40, 40, {}, 0]
    assert manifest["pairs"] == 40 * 8


@pytest.mark.parametrize("workers", [1, 2])
def test_so_many_workers_are_so_many_processes(inputs: Inputs, tmp_path: Path, workers: int) -> None:
    log = tmp_path / "scored.log"
    uris = inputs.write(str(tmp_path))
    manifest = run(settings_of(uris, tmp_path / "out", workers=str(workers)), LoggedSpec(str(log), pair_s=0.005))

    # Each line is the process and the pairs of a call: 16 at once while measuring, 8 of a block.
    calls = [line.split() for line in log.read_text().splitlines()]
    assert len({pid for pid, pairs in calls if pairs == "8"}) == workers
    assert len({pid for pid, pairs in calls if pairs == "16"} - {pid for pid, pairs in calls if pairs == "8"}) == 1
    assert manifest["workers"] == workers
    assert manifest["threads_of_workers"] == [max(1, (os.cpu_count() or 1) // workers)]
    assert manifest["chosen"]["workers"] == f"{workers} (as given)"


def test_without_a_number_there_is_one_worker_a_core(
    inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cores = os.cpu_count() or 1
    manifest = run(settings_of(inputs.write(str(tmp_path)), tmp_path / "out"))
    assert manifest["chosen"]["workers"] == f"{cores} (one a core, about 0.0 GB each)"
    assert manifest["threads_of_workers"] == [1]
    assert f"workers: {cores} (one a core, " in capsys.readouterr().err


def test_candidates_are_those_of_bm25_where_none_are_given(tmp_path: Path) -> None:
    documents = {
        "d1": "The battery is charged in four hours",
        "d2": "Charge the battery before the first use",
        "d3": "Wash the filter under water",
        "d4": "A filter that is wet harms the battery",
        "d5": "The warranty ends after two years",
    }
    queries = {"q1": "battery hours", "q2": "filter water", "q3": "zebra", "q4": "charging"}
    inputs = Inputs(queries, documents, {})
    uris = inputs.write(str(tmp_path))
    del uris["candidates"]
    manifest = run(settings_of(uris, tmp_path / "out", top_n=0, run=str(tmp_path / "out.trec")))

    # BM25 lists what shares a word, or the stem of one; the stand-in counts shared words as they are written.
    table = read_output(str(tmp_path / "out")).to_pylist()
    found = {row["query_id"]: {doc["doc_id"]: doc["score"] for doc in row["docs"]} for row in table}
    assert found == {
        "q1": {"d1": 2.0, "d2": 1.0, "d4": 1.0},
        "q2": {"d3": 2.0, "d4": 1.0},
        "q3": {},
        "q4": {"d1": 0.0, "d2": 0.0},
    }
    assert [row["reason"] for row in table] == [None, None, "no_candidates", None]
    for row in table:
        scores = [doc["initial_score"] for doc in sorted(row["docs"], key=lambda doc: doc["initial_rank"])]
        assert scores == sorted(scores, reverse=True)
        assert all(score > 0 for score in scores)
    [rejected] = pq.read_table(tmp_path / "out" / "_rejected").to_pylist()
    assert (rejected["source"], rejected["line"], rejected["record_id"]) == (uris["queries"], 3, "q3")
    assert manifest["chosen"]["language"].startswith("en (auto")
    assert len((tmp_path / "out.trec").read_text().splitlines()) == 3 + 2 + 2


def test_groups_that_carry_their_texts_give_the_same(inputs: Inputs, tmp_path: Path) -> None:
    groups = str(tmp_path / "groups.jsonl")
    inputs.write_groups(groups)
    run({"model": "stand-in", "groups": groups, "output": str(tmp_path / "out"), "top_n": 0})

    assert ranked_of(read_output(str(tmp_path / "out"))) == inputs.ranked(top_n=8)


def test_the_trec_run_and_the_texts_are_those_of_the_ranking(inputs: Inputs, tmp_path: Path) -> None:
    uris = inputs.write(str(tmp_path))
    run(settings_of(uris, tmp_path / "out", top_n=3, with_text=True, run=str(tmp_path / "out.trec")))

    lines = [line.split() for line in (tmp_path / "out.trec").read_text().splitlines()]
    expected = [
        (query, doc, rank, score)
        for query, docs in inputs.ranked(top_n=3)
        for rank, (doc, score, _) in enumerate(docs, start=1)
    ]
    assert [(query, doc, int(rank)) for query, _, doc, rank, _, _ in lines] == [line[:3] for line in expected]
    # Equal scores are told apart by a hair in a run, because its readers sort by score.
    assert [float(line[4]) for line in lines] == pytest.approx([line[3] for line in expected], abs=1e-5)
    docs = [doc for docs in read_output(str(tmp_path / "out"))["docs"].to_pylist() for doc in docs]
    assert [doc["text"] for doc in docs] == [inputs.documents[doc["doc_id"]] for doc in docs]


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_query_with_a_score_that_is_no_number_is_rejected_and_the_others_are_ranked(
    inputs: Inputs, tmp_path: Path, score: float
) -> None:
    poison = inputs.candidates["q3"][2]
    hit = [query for query, docs in inputs.candidates.items() if poison in docs]
    uris = inputs.write(str(tmp_path))
    manifest = run(
        settings_of(uris, tmp_path / "out"), OverlapSpec(poison=inputs.documents[poison], poison_score=score)
    )

    table = read_output(str(tmp_path / "out"))
    expected = [(query, [] if query in hit else docs) for query, docs in inputs.ranked(top_n=10)]
    assert ranked_of(table) == expected
    assert manifest["rows"]["rejected"] == {"score_not_finite": len(hit)}
    rejected = pq.read_table(tmp_path / "out" / "_rejected" / "rejected.parquet")
    assert rejected["record_id"].to_pylist() == hit
    assert rejected["line"].to_pylist() == [1 + list(inputs.queries).index(query) for query in hit]
    assert set(rejected["source"].to_pylist()) == {uris["queries"]}
    assert set(rejected["reason"].to_pylist()) == {"score_not_finite"}


def test_a_model_scores_on_ray_as_it_does_in_this_process(minilm: str, tmp_path: Path) -> None:
    from crossrank import Reranker

    inputs = Inputs.made(num_queries=6, depth=5, num_documents=12)
    run(settings_of(inputs.write(str(tmp_path)), tmp_path / "out") | {"model": minilm}, _spec_of(minilm))

    reranker = Reranker.load(minilm, device="cpu")
    for row in read_output(str(tmp_path / "out")).to_pylist():
        pairs = [(row["query"], inputs.documents[doc["doc_id"]]) for doc in row["docs"]]
        assert [doc["score"] for doc in row["docs"]] == pytest.approx(reranker.score(pairs).tolist(), abs=1e-5)
        assert len(pairs) == 5


def _spec_of(model: str) -> ScorerSpec:
    from crossrank.scoring.loading import find_model
    from crossrank.scoring.spec import RerankerSpec

    return RerankerSpec(model, find_model(model).revision, device="cpu")


def test_a_dry_run_says_the_pairs_and_writes_nothing(
    inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = run(settings_of(inputs.write(str(tmp_path)), tmp_path / "out", dry_run=True))

    assert (plan["queries"], plan["pairs"]) == (40, 320)
    assert "pairs " in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_lost_part_alone_is_scored_again(inputs: Inputs, tmp_path: Path) -> None:
    settings = settings_of(inputs.write(str(tmp_path)), tmp_path / "out")
    run(settings)
    before = part_files(str(tmp_path / "out"))
    (tmp_path / "out" / "part-00007.parquet").unlink()
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    (tmp_path / "out" / "_manifest.json").write_text(json.dumps(manifest | {"state": "running"}))

    assert run(settings)["rows"]["resumed"] == 39
    assert part_files(str(tmp_path / "out")) == before


def test_queries_that_a_server_left_unanswered_are_asked_again_and_the_others_keep_their_answers(
    inputs: Inputs, tmp_path: Path
) -> None:
    settings = RerankSettings(**settings_of(inputs.write(str(tmp_path)), tmp_path / "out", top_n=5))
    spec = AbsentSpec(str(tmp_path / "back"))
    unanswered = reranked(settings, spec, asks_again=True)["rows"]["rejected"]["score_not_finite"]
    assert 5 < unanswered < 35
    (tmp_path / "back").touch()
    manifest = reranked(settings, spec, asks_again=True)  # by now it answers the first half no more
    assert manifest["rows"]["rejected"] == {}
    assert manifest["rows"]["resumed"] == 40 - unanswered
    assert ranked_of(read_output(str(tmp_path / "out"))) == inputs.ranked(top_n=5)


def test_what_a_worker_refuses_reaches_the_caller_as_it_was_raised(
    inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(inputs.write(str(tmp_path)), tmp_path / "out")
    spec = RefusingSpec(str(tmp_path / "probed"))
    with pytest.raises(ModelRefused, match=r"^the folder was emptied meanwhile; put the model back$"):
        run(settings, spec)
    with pytest.raises(ModelRefused, match=r"^the folder was emptied meanwhile; put the model back$"):  # by the probe
        run(settings | {"output": str(tmp_path / "other")}, spec)
    assert "Traceback" not in capfd.readouterr().err


def test_a_bug_in_a_worker_is_one_sentence_and_finished_blocks_are_kept(
    inputs: Inputs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(inputs.write(str(tmp_path)), tmp_path / "out")
    with pytest.raises(
        JobFailed, match=r"a worker failed: ZeroDivisionError: the forward divided by nothing; .*again$"
    ):
        run(settings, FailingSpec())
    assert "Traceback" not in capfd.readouterr().err


def test_a_finished_job_says_so_at_once_and_starts_no_ray(
    inputs: Inputs, tmp_path: Path, drivers: list[Driver]
) -> None:
    spec = LoggedSpec(str(tmp_path / "scored.log"), pair_s=0.0)
    settings = settings_of(inputs.write(str(tmp_path)), tmp_path / "out")
    run(settings, spec)
    parts = part_files(str(tmp_path / "out"))
    scored = (tmp_path / "scored.log").read_text()

    driver = Driver.of_job(settings, asdict(spec), tmp_path / "second.log")
    drivers.append(driver)
    children = driver.ever_below()
    assert driver.wait(1) == 0, driver.said
    assert "nothing to do" in driver.said
    assert not {name for name in children if "ray" in name or "gcs" in name}
    assert part_files(str(tmp_path / "out")) == parts
    assert (tmp_path / "scored.log").read_text() == scored
