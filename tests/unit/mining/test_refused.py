"""What is refused with one sentence, before anything is written or Ray is started."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from crossrank import storage
from crossrank.errors import CorpusTooLarge, InputError, OutputError, SettingsError, UserError
from crossrank.mining.job import mine
from crossrank.mining.settings import MineSettings
from crossrank.retrieval.bm25 import Bm25Index
from tests.unit.in_process import InProcess, NoRay
from tests.unit.mining.in_process import (
    WordSpec,
    corpus_file,
    group,
    mined_groups,
    positive,
    rejected,
    write_lines,
)

LEFT = (
    "--skip-top {skip_top} and --depth {depth} leave {left} ranks, under --negatives (15), so no group could ever get "
    "them; raise --depth, or lower one of the others"
)
INSIDE = (
    "--embeddings out/vectors lies in --output, which would no longer be a folder of groups alone; name a folder "
    "beside it"
)
GIVEN = {"groups": "g.jsonl", "corpus": "c.jsonl", "output": "out"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"negatives": 0}, "--negatives is 0; use at least 1"),
        ({"depth": 0}, "--depth is 0; use at least 1"),
        ({"skip_top": -1}, "--skip-top is -1; use at least 0"),
        ({"rrf_k": 0}, "rrf_k is 0; use at least 1"),
        (
            {"skip_top": 100},
            LEFT.format(skip_top=100, depth=100, left=0),
        ),
        (
            {"depth": 10},
            LEFT.format(skip_top=0, depth=10, left=10),
        ),
        (
            {"relative_margin": 0.1, "absolute_margin": 1.0, "teacher": "t"},
            "--relative-margin and --absolute-margin are two ways to say one thing; leave one out",
        ),
        ({"relative_margin": 1.0, "teacher": "t"}, "--relative-margin is 1; use a part from 0 to below 1"),
        ({"absolute_margin": -1.0, "teacher": "t"}, "--absolute-margin is -1; use at least 0"),
        (
            {"absolute_margin": 1.0},
            "--absolute-margin is 1.0, and there is no --teacher to use it; name one, or leave it out",
        ),
        (
            {"query_prompt": "query: "},
            "--query-prompt is 'query: ', and there is no --encoder to use it; name one, or leave it out",
        ),
        ({"near_duplicate_jaccard": 0.0}, "near_duplicate_jaccard is 0; use a share above 0 and up to 1"),
        ({"output": "c.jsonl"}, "--output c.jsonl would overwrite --corpus c.jsonl; name another file"),
        ({"output": "g.jsonl"}, "--output g.jsonl would overwrite --groups g.jsonl; name another file"),
        (
            {"embeddings": "out/vectors", "encoder": "e"},
            INSIDE,
        ),
    ],
)
def test_settings_that_do_not_go_together_are_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        MineSettings(**{**GIVEN, **changes})
    assert str(refused.value) == sentence


class Files(NamedTuple):
    """Settings over a corpus of three passages, and how to write the groups for them."""

    settings: MineSettings
    write: Callable[..., MineSettings]


@pytest.fixture
def files(tmp_path: Path, use_ray: Callable[[Any], Any]) -> Files:
    use_ray(NoRay())
    settings = MineSettings(
        groups=str(tmp_path / "groups.jsonl"),
        corpus=corpus_file(tmp_path / "corpus.jsonl", {"d1": "red cat", "d2": "blue cat", "d3": "grey dog"}),
        output=str(tmp_path / "out"),
        language="en",
        negatives=2,
    )

    def write(*groups: Any) -> MineSettings:
        write_lines(tmp_path / "groups.jsonl", list(groups))
        return settings

    return Files(settings, write)


def refusal(settings: MineSettings, kind: type[UserError] = InputError) -> str:
    with pytest.raises(kind) as refused:
        mine(settings)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_corpus_without_the_positives_is_refused_with_one_of_them(files: Files) -> None:
    settings = files.write(group("q1", "red cat", positive("x1")), group("q2", "dog", positive("x2")))
    assert refusal(settings) == (
        f"{settings.groups} holds no group that can be used (2 no_positive; the first, {settings.groups} line 1 q1: "
        f"the positive x1 has no text, and the corpus has none for it); {settings.corpus} has none of their positives "
        f"(such as x1); give the corpus they are from"
    )


def test_groups_without_a_positive_are_refused(files: Files) -> None:
    settings = files.write(group("q1", "red cat", {"doc_id": "d1", "label": 0.0}), group("q2", "dog", {"doc_id": "d3"}))
    assert refusal(settings) == (
        f"{settings.groups} holds no group that can be used (2 no_positive; the first, {settings.groups} line 1 q1: no "
        f"document is labelled above 0 and free of flags, so nobody knows what answers); a group needs a query and a "
        f"positive (a document labelled above 0); label some first"
    )


def test_one_group_without_a_positive_is_set_aside_and_the_others_are_mined_for(
    files: Files, use_ray: Callable[[Any], Any]
) -> None:
    use_ray(InProcess())
    settings = files.write(
        group("q1", "red cat", positive("d1")),
        group("q2", "dog", {"doc_id": "d3", "label": 0.0}),
        group("q3", "dog", positive("d3", flags=["empty"])),
        group("q4", "dog", positive("not there")),
        group("q5", "  ", positive("d3")),
        group("q1", "again", positive("d3")),
    )
    manifest = mine(settings)
    assert [each.query_id for each in mined_groups(settings)] == ["q1"]
    assert rejected(settings) == [
        ("q2", "no_positive"),
        ("q3", "no_positive"),
        ("q4", "no_positive"),
        ("q5", "empty_query"),
        ("q1", "duplicate_id"),
    ]
    assert (manifest["rows"]["in"], manifest["rows"]["out"], manifest["rows"]["set_aside"]) == (6, 1, 5)


def test_a_row_that_is_not_a_group_is_set_aside_with_its_line(files: Files, use_ray: Callable[[Any], Any]) -> None:
    use_ray(InProcess())
    settings = files.write(
        group("q1", "red cat", positive("d1")), {"query_id": "q2", "query": "dog", "docs": "none"}, {"a": 1}
    )
    with open(settings.groups, "a") as lines:
        lines.write("not json\n")
    manifest = mine(settings)
    assert manifest["rejected"] == {settings.groups: {"malformed": 3}}
    assert (manifest["rows"]["in"], manifest["rows"]["out"]) == (4, 1)
    assert rejected(settings) == [("q2", "malformed"), (None, "malformed"), (None, "malformed")]


def test_a_file_of_no_groups_at_all_is_refused(files: Files) -> None:
    settings = files.write({"a": 1})
    sentence = refusal(settings)
    assert sentence.startswith(
        f"{settings.groups} does not hold groups: its rows have a and no query_id, and a group has"
    )


def test_inputs_that_are_not_there_are_named(files: Files, tmp_path: Path) -> None:
    settings = files.write(group("q1", "red cat", positive("d1")))
    nowhere = str(tmp_path / "nowhere")
    assert refusal(replace(settings, corpus=nowhere)) == f"{nowhere} does not exist; check the path"
    assert refusal(replace(settings, groups=nowhere)) == f"{nowhere} does not exist; check the path"


def test_a_corpus_of_empty_texts_is_refused(files: Files, tmp_path: Path) -> None:
    settings = files.write(group("q1", "red cat", positive("d1", "red cat")))
    empty = corpus_file(tmp_path / "empty.jsonl", {"d1": " "})
    assert refusal(replace(settings, corpus=empty)).startswith(f"{empty} holds no documents that can be used (")


def test_a_window_that_begins_behind_the_corpus_is_refused(files: Files) -> None:
    settings = replace(files.write(group("q1", "red cat", positive("d1"))), skip_top=3)
    assert refusal(settings) == (
        f"--skip-top is 3 and {settings.corpus} has 3 documents that can be used, so no rank is left; lower it"
    )


def test_a_language_that_there_is_not_is_refused(files: Files) -> None:
    settings = replace(files.write(group("q1", "red cat", positive("d1"))), language="klingon")
    assert refusal(settings, SettingsError).startswith(
        "the language is 'klingon', which has no analyser; choose one of"
    )


def test_an_output_that_cannot_be_written_is_refused(files: Files, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        (tmp_path / "file").write_text("in the way")
        output = str(tmp_path / "file" / "out")
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
        output = str(tmp_path / "locked" / "out")
    settings = replace(files.write(group("q1", "red cat", positive("d1"))), output=output)
    with pytest.raises((OutputError, InputError)) as refused:
        mine(settings)
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_output_with_other_files_is_refused(files: Files) -> None:
    settings = files.write(group("q1", "red cat", positive("d1")))
    storage.write_bytes(storage.join(settings.output, "thesis.txt"), b"mine")
    assert refusal(settings, OutputError) == (
        f"{settings.output} holds files that no mine job wrote, such as {settings.output}/thesis.txt; name an empty "
        f"folder"
    )


def test_a_corpus_that_bm25_has_no_memory_for_is_refused(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    build = Bm25Index.build

    def with_a_megabyte(*args: Any, **more: Any) -> Bm25Index:
        return build(*args, **more, available_bytes=10)

    monkeypatch.setattr(Bm25Index, "build", with_a_megabyte)
    settings = files.write(group("q1", "red cat", positive("d1")))
    assert refusal(settings, CorpusTooLarge).startswith("BM25 over 3 passages needs about ")


def test_vectors_that_the_disk_does_not_hold_are_refused(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(100))
    settings = replace(files.write(group("q1", "red cat", positive("d1"))), encoder="stand-in")
    with pytest.raises(CorpusTooLarge) as refused:
        mine(settings, WordSpec())
    assert str(refused.value).startswith("the vectors of 3 passages take 0.0 GB and ")
    assert "use --set embedding_dtype=float16, or --embeddings on a larger disk" in str(refused.value)


def test_a_folder_for_vectors_that_cannot_be_written_is_refused_before_anything_is_encoded(
    files: Files, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = files.write(group("q1", "red cat", positive("d1")))
    settings = replace(settings, encoder="stand-in", embeddings=str(tmp_path / "file" / "vectors"))
    with pytest.raises(UserError) as refused:
        mine(settings, WordSpec())
    assert str(tmp_path / "file") in str(refused.value)
    assert "\n" not in str(refused.value)


def test_nothing_is_left_of_a_job_that_was_refused_and_the_corrected_one_runs(
    files: Files, use_ray: Callable[[Any], Any]
) -> None:
    settings = files.write(group("q1", "red cat", positive("x1")))
    refusal(settings)
    assert not Path(settings.output).exists()
    use_ray(InProcess())
    files.write(group("q1", "red cat", positive("d1")))
    mine(settings)
    assert [each.query_id for each in mined_groups(settings)] == ["q1"]
