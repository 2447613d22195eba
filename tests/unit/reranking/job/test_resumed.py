"""A job that is run again: what was scored is kept, what is missing is made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crossrank.derived import Derived
from crossrank.errors import JobFailed, OutputError
from crossrank.reranking import plan
from crossrank.reranking.job import rerank
from crossrank.reranking.prepare import blocks
from crossrank.reranking.settings import RerankSettings
from crossrank.resumable.block_job import Figures
from crossrank.resumable.layout import Layout
from crossrank.resumable.output import read_json, write_json
from tests.unit.in_process import Killed, UseRay
from tests.unit.reranking.job.in_process import (
    NUM_BLOCKS,
    RESULT,
    SPEC,
    InProcess,
    measured,
    parts,
)


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
    assert resumed.num_calls == 0, "nor is the job prepared twice"
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
    assert (ray.num_calls, ray.scored) == (1, list(range(NUM_BLOCKS)))
    assert parts(settings) == parts(whole)


@pytest.mark.parametrize("state", ["running", "finished"])
def test_of_a_job_whose_preparation_was_removed_only_the_parts_that_are_gone_are_made_again(
    settings: RerankSettings, use_ray: UseRay, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(plan, "queries_per_block", lambda *_: Derived(2, "by the test"))
    use_ray(InProcess())
    manifest = rerank(settings, SPEC)
    whole = parts(settings)
    assert len(whole) == 3
    write_json(f"{settings.output}/_manifest.json", manifest | {"state": state})
    shutil.rmtree(Layout(settings.output).prepared)
    Path(settings.output, "part-00001.parquet").unlink()
    before = {name: Path(settings.output, name).stat().st_mtime_ns for name in whole if name != "part-00001.parquet"}

    # Another speed is measured now, by which blocks would be cut otherwise.
    monkeypatch.setattr(plan, "queries_per_block", lambda *_: Derived(1, "by the test"))
    ray = use_ray(InProcess())
    rerank(settings, SPEC)
    assert ray.scored == [1], "and not 0 and 2 again"
    assert {name: Path(settings.output, name).stat().st_mtime_ns for name in before} == before
    assert parts(settings) == whole


def in_format(dtype: str) -> InProcess:
    """Workers whose model computes in a number format, by its name in torch."""
    about = measured()
    return InProcess(measured=about | {"scorer": about["scorer"] | {"dtype": dtype}})


def test_a_job_that_was_killed_and_whose_preparation_was_removed_goes_on_in_its_number_format(
    settings: RerankSettings, use_ray: UseRay
) -> None:
    layout = Layout(settings.output)
    gpu = in_format("bfloat16")
    gpu.kill_after = 2
    use_ray(gpu)
    with pytest.raises(Killed):
        rerank(settings, SPEC)
    assert read_json(layout.manifest)["chosen"] == {"precision": "bf16"}
    shutil.rmtree(layout.prepared)

    cpu = in_format("float32")
    cpu.kill_after = 1
    use_ray(cpu)
    with pytest.raises(Killed):
        rerank(settings, SPEC)
    assert read_json(layout.plan)["precision"] == "bf16", "and not fp32, beside two parts in bf16"
    shutil.rmtree(layout.prepared)

    use_ray(in_format("float32"))
    assert rerank(settings, SPEC)["chosen"]["precision"] == "bf16"


def test_a_job_of_an_earlier_version_that_did_not_keep_its_number_format_goes_on(
    settings: RerankSettings, use_ray: UseRay
) -> None:
    layout = Layout(settings.output)
    use_ray(InProcess(kill_after=2))
    with pytest.raises(Killed):
        rerank(settings, SPEC)
    manifest = read_json(layout.manifest)
    del manifest["chosen"]
    write_json(layout.manifest, manifest)
    shutil.rmtree(layout.prepared)

    use_ray(in_format("float32"))
    assert rerank(settings, SPEC)["chosen"]["precision"] == "fp32"


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


def test_overwrite_starts_afresh(settings: RerankSettings, use_ray: UseRay) -> None:
    use_ray(InProcess())
    rerank(settings, SPEC)
    ray = use_ray(InProcess())
    manifest = rerank(replace(settings, overwrite=True, top_n=1, limit=2), SPEC)
    assert (ray.num_calls, ray.scored) == (1, [0, 1])
    assert manifest["documents_out"] == 2
    assert pq.read_table(settings.output)["query_id"].to_pylist() == ["q1", "q2"]


def test_a_block_without_its_part_fails_the_job_and_is_scored_the_next_time(
    settings: RerankSettings, use_ray: UseRay
) -> None:
    use_ray(InProcess(leave_out=3))
    with pytest.raises(JobFailed, match=r"part-00003\.parquet is not there"):
        rerank(settings, SPEC)
    ray = use_ray(InProcess())
    rerank(settings, SPEC)
    assert ray.scored == [3]


@pytest.mark.parametrize("bytes_left", [None, 100])
@pytest.mark.parametrize("state", ["finished", "running"])
def test_a_part_that_is_gone_or_cut_off_is_made_again_and_no_other(
    settings: RerankSettings, use_ray: UseRay, bytes_left: int | None, state: str
) -> None:
    use_ray(InProcess())
    manifest = rerank(settings, SPEC)
    whole = parts(settings)
    lost = Path(settings.output, "part-00003.parquet")
    lost.write_bytes(lost.read_bytes()[:bytes_left]) if bytes_left else lost.unlink()
    write_json(f"{settings.output}/_manifest.json", manifest | {"state": state})
    ray = use_ray(InProcess())
    rerank(settings, SPEC)
    assert ray.scored == [3]
    assert parts(settings) == whole


def test_parts_that_were_swapped_are_made_again(settings: RerankSettings, use_ray: UseRay) -> None:
    use_ray(InProcess())
    rerank(settings, SPEC)
    whole = parts(settings)
    first, second = (Path(settings.output, f"part-0000{number}.parquet") for number in (2, 3))
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    ray = use_ray(InProcess())
    rerank(settings, SPEC)
    assert ray.scored == [2, 3]
    assert parts(settings) == whole


def test_parts_that_were_swapped_are_made_again_though_the_plan_is_gone(
    settings: RerankSettings, use_ray: UseRay
) -> None:
    use_ray(InProcess())
    rerank(replace(settings, run=None), SPEC)
    output = Path(settings.output)
    (output / "_prepared" / "plan.json").unlink()
    (output / "part-00003.parquet").write_bytes((output / "part-00002.parquet").read_bytes())
    ray = use_ray(InProcess())
    rerank(replace(settings, run=str(output.parent / "late.trec")), SPEC)
    assert ray.scored == [3]
    assert (output.parent / "late.trec").read_text() == RESULT


def test_a_second_job_on_the_same_output_is_refused_while_the_first_works(
    settings: RerankSettings, use_ray: UseRay
) -> None:
    class Nosy(InProcess):
        """Starts the same job again in the middle of it."""

        def run_blocks(self, job: Any, numbers: Sequence[int], pool: Any) -> Iterator[Figures]:
            for overwrite in (False, True):
                with pytest.raises(OutputError, match="another job is at work on"):
                    rerank(replace(settings, overwrite=overwrite), SPEC)
            yield from super().run_blocks(job, numbers, pool)

    ray = use_ray(Nosy())
    assert rerank(settings, SPEC)["state"] == "finished"
    assert ray.num_calls == 1
