"""Jobs that are killed and run again, and jobs that are done in another order."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossrank.errors import JobFailed, OutputError
from crossrank.mining import plan as plan_module
from crossrank.mining.job import mine
from crossrank.mining.settings import MineSettings
from crossrank.retrieval import vectors
from tests.unit.in_process import InProcess, Killed, NoRay
from tests.unit.mining.in_process import (
    WordSpec,
    corpus_file,
    dropped,
    group,
    mined_groups,
    parts,
    positive,
    write_lines,
)
from tests.unit.stand_ins import OverlapSpec

WORDS = ["red", "green", "blue", "grey", "cat", "dog", "bird", "fish", "house", "tree", "road", "river", "sun", "rain"]
SPEC, TEACHER = WordSpec(), OverlapSpec()


def texts_of(number: int) -> dict[str, str]:
    """Passages of six words each, all different."""
    return {f"d{n}": " ".join(WORDS[(n * step + n // 14) % 14] for step in range(1, 7)) for n in range(number)}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MineSettings:
    """Five groups in blocks of two, and forty passages in shards of eight, in two slices."""
    monkeypatch.setattr(plan_module, "LEAST_BLOCKS", 2)
    monkeypatch.setattr(vectors, "SHARD_ROWS", 8)
    monkeypatch.setattr(plan_module, "available_memory_bytes", lambda: 2 * 3 * 8 * 64 * 4)  # half of it: three shards
    texts = texts_of(40)
    groups = [group(f"q{n}", " ".join(WORDS[n : n + 3]), positive(f"d{n}")) for n in range(5)]
    return MineSettings(
        groups=write_lines(tmp_path / "in" / "groups.jsonl", groups),
        corpus=corpus_file(tmp_path / "in" / "corpus.jsonl", texts),
        output=str(tmp_path / "out"),
        language="en",
        teacher="stand-in",
        negatives=3,
        absolute_margin=0.5,
        embeddings=str(tmp_path / "embeddings"),
        encoder="stand-in",
    )


UseRay = Callable[[Any], Any]
NUM_ITEMS = 5 + 2 * 3 + 3
"""Five shards to encode, two slices for each of three blocks, three blocks to mine for."""


@pytest.fixture
def undisturbed(settings: MineSettings, use_ray: UseRay, tmp_path: Path) -> dict[str, bytes]:
    """The parts of a job that nobody disturbed, in a folder and with vectors of its own."""
    apart = replace(settings, output=str(tmp_path / "undisturbed"), embeddings=str(tmp_path / "other"))
    ray = use_ray(InProcess())
    mine(apart, SPEC, TEACHER)
    assert Counter(item.split()[0] for item in ray.done) == {"encode": 5, "search": 6, "mine": 3}
    return parts(apart)


@pytest.mark.parametrize("kill_after", range(NUM_ITEMS))
def test_killed_anywhere_and_run_again_the_result_is_the_same_and_nothing_is_done_twice(
    settings: MineSettings, use_ray: UseRay, undisturbed: dict[str, bytes], kill_after: int
) -> None:
    first = use_ray(InProcess(kill_after=kill_after))
    with pytest.raises(Killed):
        mine(settings, SPEC, TEACHER)
    second = use_ray(InProcess())
    manifest = mine(settings, SPEC, TEACHER)
    assert parts(settings) == undisturbed
    assert not set(first.done) & set(second.done)
    done = [*first.done, *second.done]
    # What was searched for is not searched again, but for the blocks that are finished.
    assert [len([item for item in done if item.startswith(kind)]) for kind in ("encode", "search", "mine")] == [5, 6, 3]
    assert manifest["rows"]["resumed"] == {0: 0, 1: 2, 2: 4}[max(0, kill_after - 11)]


def test_the_order_in_which_workers_finish_changes_nothing(
    settings: MineSettings, use_ray: UseRay, undisturbed: dict[str, bytes]
) -> None:
    use_ray(InProcess(backwards=True))
    mine(settings, SPEC, TEACHER)
    assert parts(settings) == undisturbed


def test_the_slices_of_a_corpus_change_nothing(
    settings: MineSettings, use_ray: UseRay, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "available_memory_bytes", lambda: 10**9)
    ray = use_ray(InProcess())
    mine(settings, SPEC, TEACHER)
    assert len([item for item in ray.done if item.startswith("search")]) == 3
    assert parts(settings) == undisturbed


def test_each_group_is_there_once_and_in_its_order(settings: MineSettings, use_ray: UseRay) -> None:
    use_ray(InProcess())
    mine(settings, SPEC, TEACHER)
    assert [group.query_id for group in mined_groups(settings)] == ["q0", "q1", "q2", "q3", "q4"]
    assert sorted(dropped(settings)) == ["q0", "q1", "q2", "q3", "q4"]


@pytest.mark.parametrize("bytes_left", [None, 100])
def test_a_part_that_is_gone_or_cut_off_is_made_again_and_the_others_are_left(
    settings: MineSettings, use_ray: UseRay, undisturbed: dict[str, bytes], bytes_left: int | None
) -> None:
    use_ray(InProcess())
    mine(settings, SPEC, TEACHER)
    lost = Path(settings.output) / "part-00001.parquet"
    lost.write_bytes(lost.read_bytes()[:bytes_left]) if bytes_left else lost.unlink()
    ray = use_ray(InProcess())
    mine(settings, SPEC, TEACHER)
    assert ray.done == ["search 0 1", "search 1 1", "mine 1"]
    assert parts(settings) == undisturbed


def test_parts_whose_list_of_dropped_passages_is_gone_are_made_again_with_one_that_is_lost(
    settings: MineSettings, use_ray: UseRay, undisturbed: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    use_ray(InProcess())
    manifest = mine(settings, SPEC, TEACHER)
    folder = Path(settings.output) / "_dropped"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert len(before) == 3
    shutil.rmtree(folder)
    use_ray(NoRay())
    mine(settings, SPEC, TEACHER)
    assert "nothing to do" in capsys.readouterr().err, "what was asked for is there"

    (Path(settings.output) / "part-00001.parquet").unlink()
    ray = use_ray(InProcess())
    again = mine(settings, SPEC, TEACHER)
    assert [item for item in ray.done if item.startswith("mine")] == ["mine 0", "mine 1", "mine 2"]
    assert f"what was dropped from 2 parts is gone from {folder}: making them again" in capsys.readouterr().err
    assert parts(settings) == undisturbed
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert again["dropped"] == manifest["dropped"]


def test_the_vectors_of_a_corpus_are_made_once_for_all_jobs(
    settings: MineSettings, use_ray: UseRay, tmp_path: Path
) -> None:
    use_ray(InProcess())
    mine(settings, SPEC, TEACHER)
    ray = use_ray(InProcess())
    mine(replace(settings, output=str(tmp_path / "second"), negatives=4), SPEC, TEACHER)
    assert not [item for item in ray.done if item.startswith("encode")]


@pytest.mark.parametrize("what", ["encoder", "corpus", "dtype"])
def test_vectors_of_another_encoder_corpus_or_format_are_not_taken_for_these(
    settings: MineSettings, use_ray: UseRay, tmp_path: Path, what: str
) -> None:
    use_ray(InProcess())
    mine(settings, SPEC, TEACHER)
    other = replace(settings, output=str(tmp_path / "second"))
    spec = SPEC
    if what == "encoder":
        spec = WordSpec("others")
    elif what == "corpus":
        other = replace(other, corpus=corpus_file(tmp_path / "in" / "more.jsonl", texts_of(41)))
    else:
        other = replace(other, embedding_dtype="float16")
    ray = use_ray(InProcess())
    mine(other, spec, TEACHER)
    assert [item for item in ray.done if item.startswith("encode")]


def test_vectors_that_are_not_whole_are_named(settings: MineSettings, use_ray: UseRay) -> None:
    use_ray(InProcess(kill_after=5))
    with pytest.raises(Killed):
        mine(settings, SPEC, TEACHER)
    [folder] = Path(settings.embeddings or "").iterdir()
    (folder / "vectors-000002.npy").write_bytes(b"half a file")
    use_ray(InProcess())
    with pytest.raises(JobFailed, match=r"vectors-000002.npy cannot be read as vectors .*; remove it and run the same"):
        mine(settings, SPEC, TEACHER)


def test_overwrite_starts_afresh_and_touches_nothing_else(settings: MineSettings, use_ray: UseRay) -> None:
    use_ray(InProcess())
    mine(settings, SPEC, TEACHER)
    (Path(settings.output) / "_mine.txt").write_text("a note")
    ray = use_ray(InProcess())
    mine(replace(settings, overwrite=True, negatives=1), SPEC, TEACHER)
    assert len([item for item in ray.done if item.startswith("mine")]) == 3
    assert (Path(settings.output) / "_mine.txt").read_text() == "a note"
    assert all(sum("mined" in doc.meta for doc in group.docs) <= 1 for group in mined_groups(settings))


@pytest.mark.parametrize(
    ("changes", "spec", "sentence"),
    [
        ({"negatives": 4}, SPEC, "--negatives was 3 and is 4"),
        ({"absolute_margin": 1.0}, SPEC, "--absolute-margin was 0.5 and is 1.0"),
        ({"near_duplicate_jaccard": 0.9}, SPEC, "near_duplicate_jaccard was 0.5 and is 0.9"),
        ({"with_text": True}, SPEC, "--with-text was False and is True"),
        ({}, WordSpec("others"), "the encoder stand-in has changed since"),
    ],
)
def test_an_output_of_another_configuration_is_refused_with_the_old_and_the_new_value(
    settings: MineSettings, use_ray: UseRay, changes: dict[str, Any], spec: WordSpec, sentence: str
) -> None:
    use_ray(InProcess(kill_after=12))
    with pytest.raises(Killed):
        mine(settings, SPEC, TEACHER)
    before = parts(settings)
    use_ray(NoRay())
    with pytest.raises(OutputError) as refused:
        mine(replace(settings, **changes), spec, TEACHER)
    assert str(refused.value) == (
        f"{settings.output} holds a job with other settings ({sentence}); use --overwrite to start afresh, or another "
        f"--output"
    )
    assert parts(settings) == before


def test_other_workers_or_another_place_of_the_vectors_are_no_other_configuration(
    settings: MineSettings, use_ray: UseRay, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    use_ray(InProcess(kill_after=12))
    with pytest.raises(Killed):
        mine(settings, SPEC, TEACHER)
    use_ray(InProcess())
    mine(replace(settings, workers="2", embeddings=str(tmp_path / "elsewhere")), SPEC, TEACHER)
    assert parts(settings) == undisturbed


def test_a_dry_run_tells_pairs_and_hours_and_writes_nothing(
    settings: MineSettings, use_ray: UseRay, capsys: pytest.CaptureFixture[str]
) -> None:
    use_ray(InProcess())
    plan = mine(replace(settings, dry_run=True), SPEC, TEACHER)
    # A judged document and three negatives for each of five groups.
    assert (plan["groups"], plan["passages"], plan["passages_to_encode"], plan["pairs"]) == (5, 40, 40, 20)
    assert plan["hours"] >= 0
    assert plan["workers"] == 2
    assert not Path(settings.output).exists()
    assert not Path(settings.embeddings or "").exists()
    assert "pairs" in capsys.readouterr().out


def test_a_job_of_another_kind_is_not_written_over(settings: MineSettings, use_ray: UseRay) -> None:
    Path(settings.output).mkdir()
    (Path(settings.output) / "_manifest.json").write_text(json.dumps({"identity": {}, "kind": "train"}))
    use_ray(NoRay())
    with pytest.raises(OutputError, match=r"holds the result of another kind of job; name another --output"):
        mine(settings, SPEC, TEACHER)
