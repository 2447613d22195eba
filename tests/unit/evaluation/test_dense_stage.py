"""A dense first stage, with a stand-in for Ray and for the encoder: what it finds, and what is done only once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossrank.evaluation import dense_stage
from crossrank.evaluation.candidates import WrittenCandidates, write_candidates
from crossrank.evaluation.inputs import fingerprints
from crossrank.evaluation.lists import Lists
from crossrank.evaluation.settings import EvaluateSettings
from tests.unit.in_process import InProcess, UseRay
from tests.unit.mining.in_process import WordEncoder, WordSpec

PASSAGES = {
    "p0": "apple pear plum",
    "p1": "apple apple apple apple fig",
    "p2": "pear quince",
    "p3": "",
    "p4": "plum plum plum apple",
}
QUERIES = {"q0": "apple", "q1": "quince pear", "q2": "plum", "q3": "nowhere"}


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch, use_ray: UseRay, tmp_path: Path) -> InProcess:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    stand_in: InProcess = use_ray(InProcess(backwards=True))
    return stand_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, rows in (("corpus", PASSAGES), ("queries", QUERIES)):
        lines = [json.dumps({"_id": identifier, "text": text}) + "\n" for identifier, text in rows.items()]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    (tmp_path / "qrels.txt").write_text("q0 0 p0 1\nq1 0 p2 1\nq2 0 p0 1\n")
    return tmp_path


def settings_of(folder: Path, candidates: str, **more: Any) -> EvaluateSettings:
    given: dict[str, Any] = {name: str(folder / f"{name}.jsonl") for name in ("queries", "corpus")}
    given |= {"qrels": str(folder / "qrels.txt"), "candidates": candidates, "encoder": "stand-in", "language": "en"}
    given |= {"models": ("m=model",), "output": str(folder / "out"), "depth": 3, "contexts": 1}
    return EvaluateSettings(**(given | more))


def found(folder: Path, candidates: str, **more: Any) -> dict[str, list[tuple[str, float]]]:
    """What the first stage has for each query, with its scores."""

    def refuse(row: Any) -> None:
        raise AssertionError(row)

    settings = settings_of(folder, candidates, **more)
    aside: list[Any] = []
    written: WrittenCandidates = write_candidates(
        settings, str(folder / "out" / "groups.parquet"), aside.append, WordSpec()
    )
    assert {str(row.reason) for row in aside} <= {"empty_document"}
    lists = Lists.read(written)
    told = {}
    for query_id, facts, start in zip(lists.query_ids, lists.facts, lists.starts_Q.tolist(), strict=False):
        span = slice(start, start + facts.retrieved)
        told[query_id] = list(zip(lists.doc_ids_P[span].to_pylist(), lists.scores_P[span].tolist(), strict=True))
    return told


def cosine(one: str, other: str) -> float:
    vectors = WordEncoder().queries([one, other])
    return float(vectors[0] @ vectors[1])


def test_the_nearest_passages_are_the_candidates_and_one_without_text_is_none(folder: Path, ray: InProcess) -> None:
    hits = found(folder, "dense")
    for query_id in ("q0", "q1", "q2"):
        scores = {name: cosine(QUERIES[query_id], text) for name, text in PASSAGES.items() if text}
        best = sorted(scores, key=lambda name: (-scores[name], name))[:3]
        assert [doc_id for doc_id, _ in hits[query_id]] == best
        assert [score for _, score in hits[query_id]] == pytest.approx([scores[name] for name in best], abs=1e-6)
    assert "q3" not in hits, "nobody judged it"


def test_what_was_encoded_and_searched_is_not_done_again(folder: Path, ray: InProcess) -> None:
    first = found(folder, "dense")
    assert ray.done == ["encode 0", "search 0"]
    assert found(folder, "dense") == first
    assert ray.done == ["encode 0", "search 0"]
    (folder / "out" / "dense" / "found-00000.parquet").unlink()
    assert found(folder, "dense") == first
    assert ray.done == ["encode 0", "search 0", "search 0"]


def test_queries_in_several_chunks_keep_what_was_found_for_them(
    folder: Path, ray: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = found(folder, "dense")
    (folder / "out" / "dense" / "found-00000.parquet").unlink()
    monkeypatch.setattr(dense_stage, "CHUNK_QUERIES", 2)
    assert found(folder, "dense") == whole
    assert ray.done[2:] == ["search 1", "search 0"]


def test_bm25_and_the_encoder_are_fused_by_rank_by_hand(folder: Path, ray: InProcess) -> None:
    bm25, dense = found(folder, "bm25", encoder=None), found(folder, "dense")
    fused = found(folder, "bm25+dense")
    for query_id, hits in fused.items():
        by_hand: dict[str, float] = {}
        for ranking in (bm25[query_id], dense[query_id]):
            for rank, (doc_id, _) in enumerate(ranking, start=1):
                by_hand[doc_id] = by_hand.get(doc_id, 0.0) + 1 / (60 + rank)
        assert [score for _, score in hits] == pytest.approx(sorted(by_hand.values(), reverse=True)[:3])
        assert all(by_hand[doc_id] == pytest.approx(score) for doc_id, score in hits)


def test_the_report_says_which_encoder_and_another_stage_is_another_input(folder: Path, ray: InProcess) -> None:
    def told(candidates: str) -> str:
        settings = settings_of(folder, candidates)
        return write_candidates(settings, str(folder / "g.parquet"), lambda _: None, WordSpec()).first_stage

    assert told("dense") == "dense, stand-in"
    assert told("bm25+dense") == "BM25, en (as given), and dense, stand-in, fused by reciprocal rank"
    stages = [fingerprints(settings_of(folder, each)) for each in ("dense", "bm25+dense")]
    stages.append(fingerprints(settings_of(folder, "bm25", encoder=None)))
    assert len({json.dumps(stage, sort_keys=True) for stage in stages}) == 3


def test_on_a_cluster_the_vectors_lie_where_other_nodes_see_them(
    folder: Path, ray: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://somewhere")
    found(folder, "dense")
    assert list((folder / "out" / "dense").glob("*/vectors-000000.npy"))


def test_a_csv_is_searched_by_an_encoder_too(tmp_path: Path, ray: InProcess) -> None:
    from crossrank.evaluation.question_csv import beir_of

    (tmp_path / "set.csv").write_text(
        "question,answer,doc_id,doc\nthe plum,fruit,d1,a plum\na quince,fruit,d2,quince\n"
    )
    beir_of(str(tmp_path / "set.csv"), str(tmp_path / "beir"), lambda _: None)
    beir = str(tmp_path / "beir")
    settings = settings_of(tmp_path, "dense", queries=beir, corpus=beir, qrels=beir, depth=2)
    lists = Lists.read(write_candidates(settings, str(tmp_path / "g.parquet"), lambda _: None, WordSpec()))
    assert lists.retrieved_Q.tolist() == [2, 2]
    assert np.flatnonzero(lists.labels_P == 1).tolist() == [0, 2], "each question's own document is the nearest"
