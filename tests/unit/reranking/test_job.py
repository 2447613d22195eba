"""The whole job, with a stand-in for Ray: what it writes, and what it does when it is run again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pyarrow.parquet as pq
import pytest

import crossrank.cluster
import crossrank.reranking
from crossrank.errors import InputError, JobFailed, OutputError
from crossrank.provenance import Provenance
from crossrank.reranking import job, plan
from crossrank.reranking import manifest as manifest_module
from crossrank.reranking.block import Corpus, rerank_block
from crossrank.reranking.job import rerank
from crossrank.reranking.layout import Layout, read_json, read_table, write_table
from crossrank.reranking.prepare import blocks
from crossrank.reranking.settings import RerankSettings
from tests.unit.stand_ins import OverlapScorer, OverlapSpec

QUERIES = """\
{"_id": "q1", "text": "red cat"}
{"_id": "q2", "text": "blue dog"}
{"_id": "q3", "text": " "}
{"_id": "q1", "text": "again"}
{"_id": "q4", "text": "green bird"}
{"_id": "q5", "text": "cat"}
"""
CORPUS = """\
{"_id": "d1", "text": "a red cat"}
{"_id": "d2", "text": "a blue dog and a red dog"}
{"_id": "d3", "text": "one cat"}
not json
"""
RUN = """\
q1 Q0 d2 1 9 bm25
q1 Q0 d3 2 8 bm25
q1 Q0 d1 3 7 bm25
q2 Q0 d1 1 9 bm25
q2 Q0 d2 2 8 bm25
q5 Q0 d1 1 9 bm25
q5 Q0 d3 2 8 bm25
q9 Q0 d1 1 9 bm25
"""
RESULT = """\
q1 Q0 d1 1 2.0 crossrank
q1 Q0 d2 2 1.0 crossrank
q1 Q0 d3 3 0.99999994 crossrank
q2 Q0 d2 1 2.0 crossrank
q2 Q0 d1 2 0.0 crossrank
q5 Q0 d1 1 1.0 crossrank
q5 Q0 d3 2 0.99999994 crossrank
"""
"""Scores are the number of shared words; equal ones stay in their order of RUN,
and are a step of a float32 apart, or a reader that sorts by score would undo it. q3 is empty, q4 has no candidates."""
NUM_BLOCKS = 5
"""One for each of q1 to q5: with so few queries, 1 % is one at least."""


class Killed(BaseException):
    """As if the process had been killed: nothing that handles errors sees it."""


@dataclass
class InProcess:
    """Stands in for both files that use Ray: the same functions, scoring in this process."""

    kill_after: int | None = None
    """Blocks after which it is killed."""
    leave_out: int | None = None
    """A block that is said to be scored and is not."""
    scored: list[int] = field(default_factory=list)
    num_probes: int = 0

    def connect(self) -> None: ...

    def pool(self, workers: tuple[int, int] | None, gpus: float | None) -> Any:
        return SimpleNamespace(least=1, most=2)

    def probe(self, spec: OverlapSpec, pairs: list[tuple[str, str]], pool: Any) -> dict[str, Any]:
        self.num_probes += 1
        return {"pairs_per_second": 50.0, "tokens_per_pair": 6.0, "load_s": 0.0, "scorer": OverlapScorer().describe()}

    def probed(self, found: dict[str, Any]) -> dict[str, Any]:
        return found

    def task_of(self, layout: Layout, spec: OverlapSpec, corpus: Any, keep: Any) -> Any:
        return SimpleNamespace(layout=layout, scorer=spec.load(1), corpus=corpus, keep=keep)

    def run_blocks(self, task: Any, numbers: list[int], pool: Any) -> Iterator[dict[str, Any]]:
        corpus = Corpus(task.corpus.open(), None) if task.corpus else None
        for number in numbers:
            if len(self.scored) == self.kill_after:
                raise Killed
            self.scored.append(number)
            part = rerank_block(read_table(task.layout.block(number)), task.scorer, corpus, task.keep)
            if number != self.leave_out:
                write_table(task.layout.part(number), part)
            pairs = sum(stats["pairs"] for stats in part["stats"].to_pylist())
            yield {"block": number, "queries": len(part), "pairs": pairs, "started": time.time(), "seconds": 0.0}


class NoRay:
    """Stands in for both files that use Ray where it must not be used."""

    def __getattr__(self, name: str) -> NoReturn:
        pytest.fail(f"on_ray.{name} was used")


UseRay = Callable[[Any], Any]


@pytest.fixture
def use_ray(monkeypatch: pytest.MonkeyPatch) -> UseRay:
    """Put a stand-in where the job looks for Ray, and return it."""

    def use_ray(stand_in: Any) -> Any:
        monkeypatch.setattr(crossrank.reranking, "on_ray", stand_in, raising=False)
        monkeypatch.setattr(crossrank.cluster, "on_ray", stand_in, raising=False)
        return stand_in

    return use_ray


@pytest.fixture
def settings(tmp_path: Path) -> RerankSettings:
    for name, content in (("q.jsonl", QUERIES), ("c.jsonl", CORPUS), ("bm25.trec", RUN)):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text(content)
    return RerankSettings(
        model="stand-in",
        queries=str(tmp_path / "in" / "q.jsonl"),
        corpus=str(tmp_path / "in" / "c.jsonl"),
        candidates=str(tmp_path / "in" / "bm25.trec"),
        output=str(tmp_path / "out"),
        run=str(tmp_path / "out.trec"),
    )


SPEC = OverlapSpec()


@pytest.fixture(autouse=True)
def _asks_git_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (job, manifest_module):
        monkeypatch.setattr(module, "provenance", lambda: Provenance("1.2", "here", None, "01ab"))


def parts(settings: RerankSettings) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(settings.output).glob("part-*")}


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
        ("part-00002.parquet", 1, "q3", "empty_query"),
        ("part-00003.parquet", 1, "q4", "no_candidates"),
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
    assert sum(sum(reasons.values()) for reasons in manifest["rejected"].values()) == len(rejected)
    assert (manifest["pairs"], manifest["documents_out"], manifest["blocks"]) == (7, 7, NUM_BLOCKS)
    # Words of query and document: q1 2 + 7, 2 + 2, 2 + 3; q2 2 + 3, 2 + 7; q5 1 + 3, 1 + 2.
    assert manifest["tokens"] == 9 + 4 + 5 + 5 + 9 + 4 + 3
    assert manifest["tie_rate"] == round(4 / 7, 6), "two documents of q1, two of q5"
    assert manifest["model"] == {"name": "stand-in", "revision": SPEC.revision}
    assert manifest["crossrank"] == {"version": "1.2", "file": "here", "commit": None, "digest": "01ab"}
    assert set(manifest["seconds"]) == {"start_ray", "prepare", "score", "derive"}


def test_a_finished_job_does_nothing_and_says_so(
    settings: RerankSettings, use_ray: UseRay, capsys: pytest.CaptureFixture[str]
) -> None:
    use_ray(InProcess())
    first = rerank(settings, SPEC)
    before = {path: path.stat().st_mtime_ns for path in Path(settings.output).rglob("*")}
    use_ray(NoRay())
    capsys.readouterr()
    assert rerank(settings, SPEC) == first
    assert {path: path.stat().st_mtime_ns for path in Path(settings.output).rglob("*")} == before
    [_, said] = capsys.readouterr().err.splitlines()
    assert said.endswith(f"{settings.output} is finished: 5 queries; nothing to do")


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


@pytest.mark.parametrize("kill_after", range(NUM_BLOCKS))
def test_a_job_that_was_killed_goes_on_with_what_is_missing(
    settings: RerankSettings, use_ray: UseRay, tmp_path: Path, kill_after: int
) -> None:
    use_ray(InProcess())
    whole = replace(settings, output=str(tmp_path / "whole"))
    rerank(whole, SPEC)

    killed = use_ray(InProcess(kill_after=kill_after))
    with pytest.raises(Killed):
        rerank(settings, SPEC)
    assert read_json(Layout(settings.output).manifest)["state"] == "running"

    resumed = use_ray(InProcess())
    manifest = rerank(settings, SPEC)
    assert killed.scored + resumed.scored == list(range(NUM_BLOCKS)), "no block is scored twice"
    assert resumed.num_probes == 0, "nor is the job prepared twice"
    assert parts(settings) == parts(whole)
    assert Path(settings.run or "").read_text() == RESULT
    assert manifest["rows"]["resumed"] == kill_after


def test_a_job_that_was_killed_while_preparing_is_prepared_again(
    settings: RerankSettings, use_ray: UseRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_ray(InProcess())
    whole = replace(settings, output=str(tmp_path / "whole"))
    rerank(whole, SPEC)

    def killed_after_one(rows: Any, size: int) -> Iterator[Any]:
        yield next(blocks(rows, size))
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(plan, "blocks", killed_after_one)
        with pytest.raises(Killed):
            rerank(settings, SPEC)
    assert [path.name for path in Path(settings.output, "_prepared").iterdir()] == ["block-00000.parquet"]

    ray = use_ray(InProcess())
    rerank(settings, SPEC)
    assert (ray.num_probes, ray.scored) == (1, list(range(NUM_BLOCKS)))
    assert parts(settings) == parts(whole)


def test_parts_without_a_plan_are_not_taken_for_those_of_new_blocks(settings: RerankSettings, use_ray: UseRay) -> None:
    # Blocks may be cut otherwise the next time, when another speed is measured.
    use_ray(InProcess(kill_after=2))
    with pytest.raises(Killed):
        rerank(settings, SPEC)
    Path(Layout(settings.output).plan).unlink()
    ray = use_ray(InProcess())
    rerank(settings, SPEC)
    assert ray.scored == list(range(NUM_BLOCKS))


@pytest.mark.parametrize(
    ("state", "changes", "spec", "sentence"),
    [
        ("running", {"depth": 50}, SPEC, "depth was 100 and is 50"),
        ("finished", {"depth": 50}, SPEC, "depth was 100 and is 50"),
        (
            "running",
            {"top_n": 3, "normalize": "sigmoid"},
            SPEC,
            "normalize was none and is sigmoid; top_n was 10 and is 3",
        ),
        ("finished", {"limit": 3}, SPEC, "limit was None and is 3"),
        ("finished", {}, OverlapSpec(max_length=64), "model_revision was overlap-512-None and is overlap-64-None"),
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
    with pytest.raises(OutputError, match=r"inputs\.queries was [0-9a-f]{32} and is [0-9a-f]{32}"):
        rerank(settings, SPEC)


def test_another_kind_of_candidates_is_refused(settings: RerankSettings, use_ray: UseRay) -> None:
    use_ray(InProcess())
    rerank(settings, SPEC)
    with pytest.raises(OutputError, match="candidates was None and is bm25"):
        rerank(replace(settings, candidates="bm25"), SPEC)


def test_inputs_may_move_and_workers_may_change(settings: RerankSettings, use_ray: UseRay, tmp_path: Path) -> None:
    use_ray(InProcess(kill_after=2))
    with pytest.raises(Killed):
        rerank(settings, SPEC)
    (tmp_path / "in").rename(tmp_path / "moved")
    moved: dict[str, Any] = {
        name: str(getattr(settings, name)).replace("/in/", "/moved/") for name in ("queries", "corpus", "candidates")
    }
    ray = use_ray(InProcess())
    rerank(replace(settings, **moved, model="elsewhere", workers="1:4", gpus_per_worker=0.0), SPEC)
    assert ray.scored == [2, 3, 4]
    assert Path(settings.run or "").read_text() == RESULT


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


def test_overwrite_starts_afresh(settings: RerankSettings, use_ray: UseRay) -> None:
    use_ray(InProcess())
    rerank(settings, SPEC)
    ray = use_ray(InProcess())
    manifest = rerank(replace(settings, overwrite=True, top_n=1, limit=2), SPEC)
    assert (ray.num_probes, ray.scored) == (1, [0, 1])
    assert manifest["documents_out"] == 2
    assert pq.read_table(settings.output)["query_id"].to_pylist() == ["q1", "q2"]


def test_overwrite_removes_only_what_the_job_wrote(settings: RerankSettings, use_ray: UseRay) -> None:
    use_ray(InProcess())
    rerank(settings, SPEC)
    notes = Path(settings.output, "notes.txt")
    notes.write_text("mine")
    rerank(replace(settings, overwrite=True), SPEC)
    assert notes.read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_other_files_is_refused_and_left_as_it_is(
    settings: RerankSettings, use_ray: UseRay, overwrite: bool
) -> None:
    use_ray(NoRay())
    thesis = Path(settings.output, "part-00000.parquet")
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    with pytest.raises(OutputError, match=r"holds files that no rerank job wrote, such as .*part-00000\.parquet"):
        rerank(replace(settings, overwrite=overwrite), SPEC)
    assert [path.read_text() for path in Path(settings.output).iterdir()] == ["years of work"]


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
    with pytest.raises(OutputError, match=r"cannot write .*file/out"):
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


def test_a_score_that_is_no_number_rejects_its_query_in_output_and_manifest(
    settings: RerankSettings, use_ray: UseRay
) -> None:
    use_ray(InProcess())
    manifest = rerank(settings, OverlapSpec(nan_for="one cat"))
    assert manifest["rows"]["rejected"] == {"empty_query": 1, "no_candidates": 1, "score_not_finite": 2}
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


def test_a_block_without_its_part_fails_the_job_and_is_scored_the_next_time(
    settings: RerankSettings, use_ray: UseRay
) -> None:
    use_ray(InProcess(leave_out=3))
    with pytest.raises(JobFailed, match=r"part-00003\.parquet is not there"):
        rerank(settings, SPEC)
    ray = use_ray(InProcess())
    rerank(settings, SPEC)
    assert ray.scored == [3]


def test_ids_that_a_run_cannot_hold_are_refused_before_anything_is_scored(
    settings: RerankSettings, use_ray: UseRay
) -> None:
    Path(settings.corpus or "").write_text(CORPUS.replace('"d1"', '"d 1"'))
    ray = use_ray(InProcess())
    with pytest.raises(InputError, match="leave --run out"):
        rerank(replace(settings, candidates="bm25"), SPEC)
    assert ray.scored == []
    assert rerank(replace(settings, candidates="bm25", run=None), SPEC)["state"] == "finished"


def test_a_finished_job_that_lost_a_part_makes_it_again(settings: RerankSettings, use_ray: UseRay) -> None:
    use_ray(InProcess())
    rerank(settings, SPEC)
    whole = parts(settings)
    Path(settings.output, "part-00003.parquet").unlink()
    ray = use_ray(InProcess())
    rerank(settings, SPEC)
    assert ray.scored == [3]
    assert parts(settings) == whole


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


def test_no_run_is_written_from_parts_that_were_swapped(settings: RerankSettings, use_ray: UseRay) -> None:
    use_ray(InProcess())
    rerank(replace(settings, run=None), SPEC)
    output = Path(settings.output)
    (output / "part-00003.parquet").write_bytes((output / "part-00002.parquet").read_bytes())
    with pytest.raises(JobFailed, match=r"part-00003\.parquet holds row 2 where 3 belongs"):
        rerank(replace(settings, run=str(output.parent / "late.trec")), SPEC)
    assert not (output.parent / "late.trec").exists()


def test_a_run_onto_an_input_is_refused(settings: RerankSettings) -> None:
    with pytest.raises(OutputError, match="would overwrite --queries"):
        replace(settings, run=settings.queries)


def test_a_second_job_on_the_same_output_is_refused_while_the_first_works(
    settings: RerankSettings, use_ray: UseRay
) -> None:
    class Nosy(InProcess):
        """Starts the same job again in the middle of it."""

        def run_blocks(self, task: Any, numbers: list[int], pool: Any) -> Iterator[dict[str, Any]]:
            for overwrite in (False, True):
                with pytest.raises(OutputError, match="another job is at work on"):
                    rerank(replace(settings, overwrite=overwrite), SPEC)
            yield from super().run_blocks(task, numbers, pool)

    ray = use_ray(Nosy())
    assert rerank(settings, SPEC)["state"] == "finished"
    assert ray.num_probes == 1
