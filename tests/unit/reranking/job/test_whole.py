"""The whole job, with a stand-in for Ray: what it writes and what it says."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from crossrank.errors import OutputError
from crossrank.reranking.job import rerank
from crossrank.reranking.settings import RerankSettings
from crossrank.resumable.layout import Layout
from crossrank.resumable.output import read_json
from tests.unit.in_process import Killed, NoRay, UseRay
from tests.unit.reranking.job.in_process import (
    NUM_BLOCKS,
    RESULT,
    SPEC,
    InProcess,
    parts,
)
from tests.unit.stand_ins import OverlapSpec


def test_a_job_from_beginning_to_end(settings: RerankSettings, use_ray: UseRay) -> None:
    ray = use_ray(InProcess())
    manifest = rerank(settings, SPEC)
    assert ray.scored == list(range(NUM_BLOCKS))
    assert Path(settings.run or "").read_text() == RESULT

    table = pq.read_table(settings.output)
    assert table["query_id"].to_pylist() == ["q1", "q2", "q3", "q4", "q5"]
    assert table["reason"].to_pylist() == [None, None, "empty_query", "no_candidates", None]

    rejected = pq.read_table(Path(settings.output, "_rejected")).to_pylist()
    assert [(Path(row["source"]).name, row["line"], row["record_id"], row["reason"]) for row in rejected] == [
        ("c.jsonl", 4, None, "malformed"),
        ("q.jsonl", 4, "q1", "duplicate_id"),
        ("bm25.trec", 8, "q9", "unknown_query"),
        ("q.jsonl", 3, "q3", "empty_query"),
        ("q.jsonl", 5, "q4", "no_candidates"),
    ]

    assert manifest == read_json(Layout(settings.output).manifest)
    assert manifest["state"] == "finished"
    assert manifest["rows"] == {
        "in": 6,  # a second q1 is one of them
        "set_aside_while_preparing": 1,
        "out": 5,
        "ok": 3,
        "rejected": {"empty_query": 1, "no_candidates": 1},
        "resumed": 0,
    }
    assert manifest["rejected"] == {
        settings.corpus: {"malformed": 1},
        settings.queries: {"duplicate_id": 1, "empty_query": 1, "no_candidates": 1},
        settings.candidates: {"unknown_query": 1},
    }
    assert (manifest["pairs"], manifest["documents_out"], manifest["blocks"]) == (7, 7, NUM_BLOCKS)
    # Words of query and document: q1 2 + 7, 2 + 2, 2 + 3; q2 2 + 3, 2 + 7; q5 1 + 3, 1 + 2.
    assert manifest["tokens"] == 9 + 4 + 5 + 5 + 9 + 4 + 3
    assert manifest["tie_rate"] == round(4 / 7, 6), "two documents of q1, two of q5"
    assert manifest["model"] == {"name": "stand-in", "revision": SPEC.revision}
    assert manifest["crossrank"] == {"version": "1.2", "file": "here", "commit": None, "digest": "01ab"}
    assert set(manifest["seconds"]) == {"start_ray", "prepare", "score", "derive"}
    assert manifest["chosen"] == {
        "block_size": "1 (at most 1 % of the job)",
        "language": None,  # the candidates are those of a run
        "precision": "fp32",
        "workers": "1 to 2 (by the test)",
        "gpus_per_worker": 0.0,
    }
    assert (manifest["workers"], manifest["threads_of_workers"]) == (1, [3])


def test_what_the_job_chose_for_itself_is_said_with_its_reason(
    settings: RerankSettings, use_ray: UseRay, capsys: pytest.CaptureFixture[str]
) -> None:
    use_ray(InProcess())
    manifest = rerank(replace(settings, candidates="bm25"), SPEC)
    # "a", "red", "cat", ... are Latin letters.
    language = "en (auto: of the letters of 3 sampled passages, 0% Hangul and 0% Han or Kana; name the language if it "
    assert manifest["chosen"]["language"].startswith(language)
    said = capsys.readouterr().err
    assert f"language {language}" in said
    assert "workers: 1 to 2 (by the test)\n" in said
    assert (
        "one worker scores 50 pairs/s, tokens a batch: 64 (as many as fit); queries a block: 1 (at most 1 % of the job)"
        in said
    )


def test_a_resumed_job_tells_the_language_that_the_first_run_chose(settings: RerankSettings, use_ray: UseRay) -> None:
    use_ray(InProcess(kill_after=2))
    bm25 = replace(settings, candidates="bm25")
    with pytest.raises(Killed):
        rerank(bm25, SPEC)
    use_ray(InProcess())
    assert rerank(bm25, SPEC)["chosen"]["language"].startswith("en (auto")


def test_a_run_that_is_asked_for_later_is_written_without_ray(settings: RerankSettings, use_ray: UseRay) -> None:
    use_ray(InProcess())
    run = Path(settings.run or "")
    run.write_text("of another job")
    rerank(replace(settings, run=None), SPEC)
    assert run.read_text() == "of another job"
    use_ray(NoRay())
    rerank(settings, SPEC)
    assert run.read_text() == RESULT
    written = run.stat().st_mtime_ns
    rerank(settings, SPEC)
    assert run.stat().st_mtime_ns == written, "it is this job's by now"
    run.unlink()
    rerank(settings, SPEC)
    assert run.read_text() == RESULT


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_dry_run_says_the_plan_and_writes_nothing(
    settings: RerankSettings, use_ray: UseRay, capsys: pytest.CaptureFixture[str], overwrite: bool
) -> None:
    ray = use_ray(InProcess())
    plan = rerank(replace(settings, dry_run=True, overwrite=overwrite), SPEC)
    # 7 pairs of 6 tokens at 50 pairs/s on each of two workers.
    assert (plan["queries"], plan["pairs"], plan["tokens"], plan["workers"]) == (5, 7, 42, 2)
    assert plan["hours"] == round(7 / 50 / 2 / 3600, 4)
    assert sum(plan["set_aside"].values()) == 3
    assert ray.scored == []
    assert not Path(settings.output).exists()
    assert not Path(settings.run or "").exists()
    assert "pairs_per_second_of_a_worker" in capsys.readouterr().out


def test_a_dry_run_of_other_settings_beside_overwrite_leaves_the_output(
    settings: RerankSettings, use_ray: UseRay
) -> None:
    use_ray(InProcess())
    rerank(settings, SPEC)
    before = parts(settings)
    other = replace(settings, dry_run=True, depth=1)
    assert rerank(replace(other, overwrite=True), SPEC)["pairs"] == 3
    with pytest.raises(OutputError, match="depth was 100 and is 1"):
        rerank(other, SPEC)
    assert parts(settings) == before


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_rejects_its_query_in_output_and_manifest(
    settings: RerankSettings, use_ray: UseRay, score: float
) -> None:
    use_ray(InProcess())
    manifest = rerank(settings, OverlapSpec(poison="one cat", poison_score=score))
    assert manifest["rows"]["rejected"] == {"empty_query": 1, "no_candidates": 1, "score_not_finite": 2}
    rejected = pq.read_table(Path(settings.output, "_rejected")).to_pylist()
    assert [(row["source"], row["line"], row["record_id"], row["detail"]) for row in rejected[3:]] == [
        (settings.queries, 1, "q1", "the model gave a score that is no finite number"),
        (settings.queries, 3, "q3", "the text is empty or white space"),
        (settings.queries, 5, "q4", "no document is left that could be scored"),
        (settings.queries, 6, "q5", "the model gave a score that is no finite number"),
    ]
    assert [line.split()[0] for line in Path(settings.run or "").read_text().splitlines()] == ["q2", "q2"]


def test_groups_with_texts_need_neither_queries_nor_corpus(
    settings: RerankSettings, use_ray: UseRay, tmp_path: Path
) -> None:
    groups = tmp_path / "in" / "g.jsonl"
    docs = '[{"doc_id": "a", "text": "one dog"}, {"doc_id": "b", "text": "red cat", "label": 1}]'
    groups.write_text(f'{{"query_id": "g1", "query": "a red cat", "docs": {docs}}}\n')
    use_ray(InProcess())
    own = replace(settings, queries=None, corpus=None, candidates="bm25", groups=str(groups), with_text=True)
    manifest = rerank(own, SPEC)
    assert manifest["rows"]["ok"] == 1
    [row] = pq.read_table(settings.output).to_pylist()
    assert [(doc["doc_id"], doc["score"], doc["label"], doc["text"]) for doc in row["docs"]] == [
        ("b", 2.0, 1.0, "red cat"),
        ("a", 0.0, None, "one dog"),
    ]
