"""What a job refuses before it begins, and that it leaves everything as it was."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossrank.errors import InputError, OutputError
from crossrank.reranking.job import rerank, reranked
from crossrank.reranking.settings import RerankSettings
from tests.unit.in_process import Killed, NoRay, UseRay
from tests.unit.reranking.job.in_process import (
    CORPUS,
    QUERIES,
    SPEC,
    InProcess,
    parts,
)
from tests.unit.stand_ins import OverlapSpec


@pytest.mark.parametrize(
    ("state", "changes", "spec", "sentence"),
    [
        ("running", {"depth": 50}, SPEC, "--depth was 100 and is 50"),
        ("finished", {"depth": 50}, SPEC, "--depth was 100 and is 50"),
        (
            "running",
            {"top_n": 3, "normalize": "sigmoid"},
            SPEC,
            "--normalize was none and is sigmoid; --top-n was 10 and is 3",
        ),
        ("finished", {"limit": 3}, SPEC, "--limit was not given and is 3"),
        ("finished", {}, OverlapSpec(max_length=64), "the model stand-in has changed since"),
    ],
)
def test_other_settings_are_refused_with_the_old_and_the_new_value(
    settings: RerankSettings, use_ray: UseRay, state: str, changes: dict[str, Any], spec: OverlapSpec, sentence: str
) -> None:
    use_ray(InProcess(kill_after=2 if state == "running" else None))
    if state == "running":
        with pytest.raises(Killed):
            rerank(settings, SPEC)
    else:
        rerank(settings, SPEC)
    before = parts(settings)
    use_ray(NoRay())
    with pytest.raises(OutputError) as refused:
        rerank(replace(settings, **changes), spec)
    assert str(refused.value) == (
        f"{settings.output} holds a job with other settings ({sentence}); "
        f"use --overwrite to start afresh, or another --output"
    )
    assert parts(settings) == before


def test_changed_input_is_refused(settings: RerankSettings, use_ray: UseRay) -> None:
    use_ray(InProcess())
    rerank(settings, SPEC)
    Path(settings.queries or "").write_text(QUERIES.replace("blue", "grey"))
    with pytest.raises(OutputError, match=r"\(the queries .*/q\.jsonl have changed since\)") as refused:
        rerank(settings, SPEC)
    assert not re.search("[0-9a-f]{32}", str(refused.value)), "no hash for a reason"


def test_another_kind_of_candidates_is_refused(settings: RerankSettings, use_ray: UseRay) -> None:
    use_ray(InProcess())
    rerank(settings, SPEC)
    with pytest.raises(OutputError, match=r"--candidates was .* and is bm25"):
        rerank(replace(settings, candidates="bm25"), SPEC)


def test_an_output_inside_the_folder_of_the_corpus_does_not_change_the_corpus(
    settings: RerankSettings, use_ray: UseRay, tmp_path: Path
) -> None:
    folder = tmp_path / "beir"
    folder.mkdir()
    (folder / "queries.jsonl").write_text(QUERIES)
    (folder / "corpus.jsonl").write_text(CORPUS)
    inside = replace(settings, queries=str(folder), corpus=str(folder), output=str(folder / "out"))
    use_ray(InProcess())
    first = rerank(inside, SPEC)
    use_ray(NoRay())
    assert rerank(inside, SPEC) == first


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_output_of_another_kind_of_job_is_refused(
    settings: RerankSettings, use_ray: UseRay, overwrite: bool
) -> None:
    use_ray(NoRay())
    Path(settings.output).mkdir()
    Path(settings.output, "_manifest.json").write_text('{"state": "finished"}')
    with pytest.raises(OutputError, match="holds the result of another kind of job"):
        rerank(replace(settings, overwrite=overwrite), SPEC)
    assert Path(settings.output, "_manifest.json").exists()


def test_an_output_that_cannot_be_written_is_named_before_ray_starts(
    settings: RerankSettings, use_ray: UseRay, tmp_path: Path
) -> None:
    use_ray(NoRay())
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/out cannot be written .*; name another --output"):
        rerank(replace(settings, output=str(tmp_path / "file" / "out")), SPEC)


@pytest.mark.parametrize("name", ["queries", "corpus", "candidates"])
def test_an_input_that_is_not_there_is_named_before_ray_starts(
    settings: RerankSettings, use_ray: UseRay, tmp_path: Path, name: str
) -> None:
    use_ray(NoRay())
    missing: dict[str, Any] = {name: str(tmp_path / "nowhere.jsonl")}
    with pytest.raises(InputError, match=r"nowhere\.jsonl does not exist; check the path"):
        rerank(replace(settings, **missing), SPEC)
    assert not Path(settings.output).exists()


@pytest.mark.parametrize("name", ["part-00009.parquet", "part-1.parquet", "old.parquet"])
def test_a_table_that_is_no_part_is_refused_since_readers_would_take_it_for_one(
    settings: RerankSettings, use_ray: UseRay, name: str
) -> None:
    use_ray(InProcess(kill_after=2))
    with pytest.raises(Killed):
        rerank(settings, SPEC)
    foreign = Path(settings.output, name)
    foreign.write_bytes(Path(settings.output, "part-00000.parquet").read_bytes())
    ray = use_ray(InProcess())
    with pytest.raises(OutputError, match=rf"{name} is no part of this job, .*; move it away"):
        rerank(settings, SPEC)
    assert ray.scored == []
    foreign.unlink()
    assert rerank(settings, SPEC)["rows"]["resumed"] == 2


def test_a_run_onto_an_input_is_refused(settings: RerankSettings) -> None:
    with pytest.raises(OutputError, match="would overwrite --queries"):
        replace(settings, run=settings.queries)


def test_queries_of_which_none_could_be_ranked_are_no_success(
    use_ray: UseRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("q.jsonl").write_text('{"_id": "q1", "text": " "}\n{"_id": "q2", "text": "a query"}\n')
    Path("c.jsonl").write_text('{"_id": "d1", "text": "a text"}\n')
    Path("r.trec").write_text("q1 Q0 d1 1 9 bm25\n")
    use_ray(InProcess())
    settings = RerankSettings(model="m", queries="q.jsonl", corpus="c.jsonl", candidates="r.trec", output="out")
    for _ in range(2):  # typed again it is no success either
        with pytest.raises(InputError) as error:
            rerank(settings, SPEC)
        assert str(error.value) == (
            "none of the 2 queries could be ranked (1 empty_query, 1 no_candidates); see _rejected/ in out, mend the "
            "inputs, and use --overwrite to start afresh"
        )
    # To those who compare models, one that ranks nothing is an answer.
    assert reranked(settings, SPEC)["rows"]["ok"] == 0
