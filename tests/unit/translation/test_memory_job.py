"""`crossrank translate --backend memory`: the whole job without Ray, a service or money."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crossrank import storage
from crossrank.errors import InputError, JobFailed, OutputError
from crossrank.formats import groups_jsonl, groups_parquet
from crossrank.records import Candidate, Group
from crossrank.translation.apply import FLAG
from crossrank.translation.job import translate
from crossrank.translation.memory.tsv import ImportSettings, import_memory
from crossrank.translation.plan import LEFT_S
from crossrank.translation.settings import TranslateSettings
from crossrank.translation.source import read_source

ROOT = Path(__file__).parents[3]
GROUPS = [
    Group(f"q{number}", f"query {number % 4}", (Candidate("a", f"text {number % 6}", label=1.0), Candidate("b")))
    for number in range(10)
]
"""10 unique texts: 4 queries and 6 passages."""


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def memory(tmp_path: Path) -> str:
    """All texts but `text 5`."""
    lines = [f"query {number}\t질문 {number}" for number in range(4)] + [
        f"text {number}\t글 {number}" for number in range(5)
    ]
    (tmp_path / "m.tsv").write_text("\n".join(["source\ttranslation", *lines]))
    folder = str(tmp_path / "memory")
    import_memory(ImportSettings(memory=folder, input=str(tmp_path / "m.tsv"), source="en", target="ko"))
    return folder


@pytest.fixture
def groups(tmp_path: Path) -> str:
    uri = str(tmp_path / "groups.jsonl")
    groups_jsonl.write_groups(uri, GROUPS, _fail)
    return uri


def _fail(row: Any) -> None:
    raise AssertionError(row)


def settings(tmp_path: Path, groups: str, memory: str, **more: Any) -> TranslateSettings:
    given: dict[str, Any] = {"source": "en", "target": "ko", "backend": "memory", "groups_per_part": 3}
    given |= {"output": str(tmp_path / "out")}
    return TranslateSettings(groups=groups, memory=memory, **given | more)


def read(tmp_path: Path) -> list[Group]:
    return [group for _, group in groups_parquet.read_groups(str(tmp_path / "out"), _fail)]


def test_each_row_is_there_once_in_order_and_what_the_memory_lacks_is_flagged_and_counted(
    tmp_path: Path, groups: str, memory: str
) -> None:
    manifest = translate(settings(tmp_path, groups, memory))
    found = read(tmp_path)
    assert [group.query_id for group in found] == [f"q{number}" for number in range(10)]
    assert [group.query for group in found] == [f"질문 {number % 4}" for number in range(10)]
    for number, group in enumerate(found):
        first = group.docs[0]
        if number % 6 == 5:
            assert (first.text, first.flags) == ("text 5", (FLAG,))
            assert first.meta[FLAG] == "text: not in the translation memory"
        else:
            assert (first.text, first.flags) == (f"글 {number % 6}", ())
    assert manifest["rows"] == {"in": 10, "out": 10, "rejected": 0, "resumed": 0}
    assert manifest["texts"]["all"] == 20
    assert [manifest["texts"][name]["texts"] for name in ("unique", "in_memory", "missing")] == [10, 9, 1]
    assert manifest["documents"] == {
        "documents": 20,
        "documents_without_text": 10,
        "flagged_documents": 1,
        "translated_documents": 9,
    }
    assert len(list((tmp_path / "out").glob("part-*.parquet"))) == 4
    assert pq.read_table(tmp_path / "out").num_rows == 10


def test_killed_between_two_parts_it_goes_on_with_the_next(
    tmp_path: Path, groups: str, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    translate(settings(tmp_path, groups, memory))
    whole = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("part-*")}
    translate_again = settings(tmp_path, groups, memory, output=str(tmp_path / "killed"))
    real: Callable[..., int] = groups_parquet.write_groups
    written: list[str] = []

    def dies(uri: str, groups: Any) -> int:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(uri)
        return real(uri, groups)

    monkeypatch.setattr("crossrank.translation.parts.write_groups", dies)
    with pytest.raises(KeyboardInterrupt):
        translate(translate_again)
    monkeypatch.undo()
    manifest = translate(translate_again)
    assert manifest["rows"]["resumed"] == 6
    assert {path.name: path.read_bytes() for path in (tmp_path / "killed").glob("part-*")} == whole
    assert manifest["documents"]["flagged_documents"] == 1


def test_a_part_without_its_figures_is_counted_again_and_stays(tmp_path: Path, groups: str, memory: str) -> None:
    # Killed after the part and before its figures: its documents must be counted once.
    given = settings(tmp_path, groups, memory)
    before = translate(given)
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    (tmp_path / "out" / "_manifest.json").write_text(json.dumps(manifest | {"state": "running"}))
    (tmp_path / "out" / "_prepared" / "figures-00001.json").unlink()
    after = translate(given)
    assert after["rows"]["resumed"] == 10
    assert after["documents"] == before["documents"]


@pytest.mark.parametrize("bytes_left", [None, 100])
def test_a_part_that_is_gone_or_cut_off_is_made_again(
    tmp_path: Path, groups: str, memory: str, bytes_left: int | None
) -> None:
    translate(settings(tmp_path, groups, memory))
    lost = tmp_path / "out" / "part-00002.parquet"
    lost.write_bytes(lost.read_bytes()[:bytes_left]) if bytes_left else lost.unlink()
    assert translate(settings(tmp_path, groups, memory))["rows"]["resumed"] == 7
    assert len(read(tmp_path)) == 10


def test_rows_that_are_no_groups_are_set_aside_with_reason_and_place(tmp_path: Path, groups: str, memory: str) -> None:
    with open(groups, "a") as lines:
        lines.write('{"query_id": "x"}\nnot json\n{"query_id": "k", "query": "질문", "docs": [], "lang": "ko"}\n')
    manifest = translate(settings(tmp_path, groups, memory))
    assert manifest["rows"] == {"in": 13, "out": 10, "rejected": 3, "resumed": 0}
    assert manifest["rejected"] == {groups: {"malformed": 2, "other_language": 1}}
    rejected = pq.read_table(tmp_path / "out" / "_rejected" / "rejected.parquet").to_pylist()
    assert [(row["line"], row["reason"]) for row in rejected] == [
        (11, "malformed"),
        (12, "malformed"),
        (13, "other_language"),
    ]
    assert rejected[2]["detail"] == "the group is in ko, and en is translated"
    assert len(read(tmp_path)) == 10


def test_groups_that_say_their_language_in_another_way_are_taken(tmp_path: Path, memory: str) -> None:
    uri = str(tmp_path / "g.jsonl")
    languages = ("en", "en-GB", "eng_Latn", "EN", None)
    groups_jsonl.write_groups(uri, [Group(f"q{i}", "query 1", lang=lang) for i, lang in enumerate(languages)], _fail)
    assert translate(settings(tmp_path, uri, memory))["rows"]["out"] == 5
    assert {group.lang for group in read(tmp_path)} == {"ko"}


def test_a_file_without_one_group_is_refused(tmp_path: Path, memory: str) -> None:
    (tmp_path / "g.jsonl").write_text('{"query_id": "1", "docs": []}\n')
    with pytest.raises(
        InputError, match=r"g.jsonl holds no group in en that can be used \(1 malformed; .*\); check --groups, and"
    ):
        translate(settings(tmp_path, str(tmp_path / "g.jsonl"), memory))


def test_another_memory_or_language_is_not_gone_on_with(tmp_path: Path, groups: str, memory: str) -> None:
    translate(settings(tmp_path, groups, memory))
    with pytest.raises(OutputError, match=r"holds a job with other settings \(.*target was ko and is ja"):
        translate(settings(tmp_path, groups, memory, target="ja"))
    (tmp_path / "more.tsv").write_text("source\ttranslation\ntext 5\t글 5\n")
    import_memory(ImportSettings(memory=memory, input=str(tmp_path / "more.tsv"), source="en", target="ko"))
    with pytest.raises(OutputError, match=r"\(the memory .* has changed since\); use --overwrite to start afresh"):
        translate(settings(tmp_path, groups, memory))
    manifest = translate(settings(tmp_path, groups, memory, overwrite=True))
    assert manifest["documents"]["flagged_documents"] == 0


def test_a_dry_run_says_what_the_memory_holds_and_writes_nothing(
    tmp_path: Path, groups: str, memory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = translate(settings(tmp_path, groups, memory, dry_run=True))
    assert (told["unique_texts"], told["texts_in_memory"], told["texts_to_translate"]) == (10, 9, 1)
    assert told["unique_characters"] == 4 * len("query 0") + 6 * len("text 0")
    assert not (tmp_path / "out").exists()
    assert "texts_to_translate             1" in capsys.readouterr().out


def test_the_price_of_what_is_missing_is_told_before_it_is_paid(tmp_path: Path, groups: str, memory: str) -> None:
    # Without credentials and region: nothing is asked. 10 texts of 64 characters, 15 USD a million.
    told = translate(settings(tmp_path, groups, memory, backend="amazon", dry_run=True, requests_per_second=2.0))
    assert (told["texts_to_translate"], told["characters_to_translate"]) == (10, 64)
    assert told["usd"] == 0.00096
    assert told["hours"] == pytest.approx(5 / 3600, abs=1e-4)


def test_limit_takes_the_first_groups(tmp_path: Path, groups: str, memory: str) -> None:
    assert translate(settings(tmp_path, groups, memory, limit=4))["rows"]["in"] == 4
    assert [group.query_id for group in read(tmp_path)] == ["q0", "q1", "q2", "q3"]


def test_a_source_that_shrinks_while_it_is_read_is_told(
    tmp_path: Path, groups: str, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shrunk = "crossrank.translation.parts.read_source"
    monkeypatch.setattr(shrunk, lambda given, reject: iter(list(read_source(given, reject))[:8]))
    with pytest.raises(JobFailed, match="changed while it was translated: part 2 has 2 groups"):
        translate(settings(tmp_path, groups, memory))


def test_neither_ray_nor_torch_nor_boto3_is_loaded(tmp_path: Path, groups: str, memory: str) -> None:
    flags = f"--groups {groups} --memory {memory} --source en --target ko --backend memory --output {tmp_path / 'out'}"
    command = (
        "import sys; from crossrank.cli.main import crossrank; crossrank.main(sys.argv[1:], standalone_mode=False); "
        "assert not {'ray', 'torch', 'boto3'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", command, "translate", *flags.split()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_recipe_in_jobs_does_what_the_command_does(tmp_path: Path, groups: str, memory: str) -> None:
    flags = f"--groups {groups} --memory {memory} --source en --target ko --backend memory --output {tmp_path / 'out'}"
    command = [sys.executable, "jobs/translate_corpus.py", *flags.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(read(tmp_path)) == len(GROUPS)
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "is finished: 10 groups; nothing to do" in again.stderr


def test_what_killed_jobs_left_in_the_cache_goes_and_what_is_new_stays(
    tmp_path: Path, groups: str, memory: str
) -> None:
    scratch = storage.cache_folder() / "scratch"
    for name, age_s in (("left", 2 * LEFT_S), ("of another job", 60.0)):
        (scratch / name).mkdir(parents=True)
        (scratch / name / "texts.arrow").write_bytes(b"x")
        os.utime(scratch / name, (time.time() - age_s,) * 2)
    translate(settings(tmp_path, groups, memory))
    assert [path.name for path in scratch.iterdir()] == ["of another job"]


def test_a_cache_that_cannot_be_written_is_named_and_not_the_output(
    tmp_path: Path, groups: str, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "scratch").write_text("no folder")
    for dry_run in (False, True):
        with pytest.raises(OutputError) as refused:
            translate(settings(tmp_path, groups, memory, dry_run=dry_run))
        assert str(refused.value) == (
            f"the cache {tmp_path / 'cache' / 'scratch'} cannot be written (File exists); set CROSSRANK_CACHE to a "
            f"folder that can"
        )
