"""What an earlier run left in an output: whose it is, and whether a job goes on with it, replaces it or refuses it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from crossrank import storage
from crossrank.config.settings import knob, option
from crossrank.errors import JobFailed, OutputError, SettingsError
from crossrank.resumable.earlier import Earlier, earlier_run, look_at, working
from crossrank.resumable.manifest_shape import Shape, is_count, is_text, list_of
from crossrank.resumable.output import manifest_of, read_json, write_json
from crossrank.resumable.parts import Parts
from crossrank.resumable.settings import JobSettings

READ_AGAIN: dict[str, Shape] = {"blocks": is_count, "rows": {"out": is_count}, "files": list_of(is_text)}
RESULTS: dict[str, Any] = {"blocks": 2, "rows": {"out": 5, "in": 6}, "files": ["config.json"]}
IDENTITY: dict[str, Any] = {
    "format": 1,
    "settings": {"learning_rate": 2e-5, "depth": 100, "limit": None},
    "base_revision": "5617a9f61b028005a4858fdac845db406aefb181",
    "inputs": {"groups": "0f1e", "corpus": "2d3c"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(JobSettings):
    """Of an invented job."""

    base: str = option("xlm", help="A model.")
    groups: str = option("s3://bucket/groups", help="Groups.")
    corpus: str | None = option("s3://bucket/corpus.jsonl", help="A corpus.")
    depth: int = option(100, help="A flag.")
    learning_rate: float = knob(2e-5, help="A knob.")
    invented_later: str = knob("as ever", help="A knob that earlier versions do not have.")


@pytest.fixture
def output(tmp_path: Path) -> str:
    return str(tmp_path / "out")


def write_manifest(output: str, **content: Any) -> None:
    given = {"base": "xlm", "groups": "s3://bucket/groups", "corpus": "s3://bucket/corpus.jsonl"}
    named = {"kind": "train", "state": "running", "identity": IDENTITY, "settings": given}
    results = RESULTS if content.get("state") == "finished" else {}
    write_json(manifest_of(output), named | results | content)


def begin(output: str, *names: str) -> None:
    """Files of a job that had begun."""
    for name in names:
        storage.write_bytes(storage.join(output, name), b"work")


def looked(output: str, identity: dict[str, Any] = IDENTITY, **settings: Any) -> Earlier:
    return look_at(output, "train", identity, Settings(output=output, **settings), READ_AGAIN, num_parts="blocks")


def changed(**values: Any) -> dict[str, Any]:
    """The identity with other values, by the path to them."""
    other = {name: dict(each) if isinstance(each, dict) else each for name, each in IDENTITY.items()}
    for path, value in values.items():
        folder, _, name = path.rpartition("__")
        place = other[folder] if folder else other
        if value is None:
            place.pop(name)
        else:
            place[name] = value
    return other


def refusal(output: str, identity: dict[str, Any], **settings: Any) -> str:
    with pytest.raises(OutputError) as refused:
        looked(output, identity, **settings)
    return str(refused.value)


# whose it is


def test_a_folder_that_is_not_there_or_empty_has_no_earlier_run(output: str) -> None:
    assert earlier_run(output, "train") is None
    os.mkdir(output)
    assert earlier_run(output, "train") is None


def test_an_earlier_run_is_read(output: str) -> None:
    write_manifest(output, steps=7)
    found = earlier_run(output, "train")
    assert found is not None
    assert (found["state"], found["steps"], found["identity"]) == ("running", 7, IDENTITY)


def test_files_of_somebody_else_are_not_written_among(output: str) -> None:
    os.mkdir(output)
    (Path(output) / "thesis.tex").write_text("")
    with pytest.raises(OutputError) as refused:
        earlier_run(output, "train")
    assert str(refused.value) == (
        f"{output} holds files that no train job wrote, such as {output}/thesis.tex; name an empty folder"
    )


def test_a_file_is_no_output(tmp_path: Path) -> None:
    file = str(tmp_path / "ranked.jsonl")
    Path(file).write_text("somebody's\n")
    with pytest.raises(OutputError) as refused:
        earlier_run(file, "rerank")
    assert str(refused.value) == f"{file} is a file, and the output of rerank is a folder; name another --output"
    assert Path(file).read_text() == "somebody's\n"


def test_what_a_kill_leaves_before_the_manifest_is_nobodys(output: str) -> None:
    # Killed while starting afresh, when the old manifest is gone; or while its first one was half written.
    os.mkdir(output)
    (Path(output) / "_lock").write_text("")
    (Path(output) / "__manifest.json.0a1b2c3d.tmp").write_text("{")
    assert earlier_run(output, "train") is None


def test_the_result_of_another_kind_of_job_is_refused(output: str) -> None:
    write_manifest(output)
    with pytest.raises(OutputError) as refused:
        earlier_run(output, "mine")
    assert str(refused.value) == f"{output} holds the result of another kind of job; name another --output"


def test_a_manifest_that_says_no_kind_is_of_a_rerank_job(output: str) -> None:
    # To train there with --overwrite would throw its checkpoint away.
    write_json(manifest_of(output), {"state": "running", "identity": IDENTITY})
    assert earlier_run(output, "rerank") is not None
    with pytest.raises(OutputError, match="holds the result of another kind of job"):
        earlier_run(output, "train")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"state": None}, "state is null"),
        ({"state": 1}, "state is 1"),
        ({"identity": None}, "identity is null"),
        ({"identity": "x"}, "identity is 'x'"),
        ({"identity": IDENTITY | {"inputs": None}}, "identity.inputs is null"),
        ({"settings": "x"}, "settings is 'x'"),
        ({"blocks": "two"}, "blocks is 'two'"),
        ({"blocks": True}, "blocks is True"),
        ({"blocks": -2}, "blocks is -2"),
        ({"rows": None}, "rows is null"),
        ({"rows": {"in": 6}}, "rows.out is missing"),
        ({"rows": {"out": 5.5}}, "rows.out is 5.5"),
        ({"files": ["config.json", None]}, "files is ['config.json', None]"),
    ],
)
def test_a_manifest_that_no_job_left_so_is_damaged_and_says_where(
    output: str, wrong: dict[str, Any], said: str
) -> None:
    write_manifest(output, **{"state": "finished"} | wrong)
    begin(output, "part-00000.parquet")
    assert refusal(output, IDENTITY) == (
        f"{output}/_manifest.json is damaged ({said}); use --overwrite to start afresh, or another --output"
    )
    assert looked(output, overwrite=True).is_replaced, "the way out that the sentence names"
    assert len(storage.list_files(output)) == 2, "nothing is removed yet"


@pytest.mark.parametrize("gone", ["blocks", "rows", "files"])
def test_a_finished_manifest_without_its_results_is_damaged_and_that_of_a_job_at_work_is_not(
    output: str, gone: str
) -> None:
    write_manifest(output, state="finished")
    manifest = read_json(manifest_of(output))
    del manifest[gone]
    write_json(manifest_of(output), manifest)
    assert f"_manifest.json is damaged ({gone} is missing); use --overwrite" in refusal(output, IDENTITY)
    write_json(manifest_of(output), manifest | {"state": "running"})
    assert looked(output).kept is not None


def test_a_manifest_without_an_identity_is_of_another_kind(output: str) -> None:
    write_json(manifest_of(output), {"kind": "train"})
    with pytest.raises(OutputError, match="holds the result of another kind of job"):
        earlier_run(output, "train")


# other settings, where work was done


@pytest.fixture
def begun(output: str) -> str:
    """An output with a checkpoint."""
    write_manifest(output)
    begin(output, "_checkpoint/step-00000010/model.safetensors")
    return output


def test_the_same_settings_go_on(begun: str) -> None:
    earlier = looked(begun)
    assert (earlier.kept, earlier.is_replaced) == (read_json(manifest_of(begun)), False)


@pytest.mark.parametrize(
    ("identity", "settings", "told"),
    [
        (changed(settings__depth=50), {"depth": 50}, "--depth was 100 and is 50"),
        (changed(settings__limit=3), {"limit": 3}, "--limit was not given and is 3"),
        (changed(settings__learning_rate=1e-5), {"learning_rate": 1e-5}, "learning_rate was 2e-05 and is 1e-05"),
        (changed(inputs__corpus="ffff"), {}, "the corpus s3://bucket/corpus.jsonl has changed since"),
        (changed(inputs__groups="ffff"), {}, "the groups s3://bucket/groups have changed since"),
        (
            changed(inputs__groups="ffff"),
            {"groups": "s3://bucket/others"},
            "--groups was s3://bucket/groups and is s3://bucket/others, which holds something else",
        ),
        (changed(inputs__corpus=None), {"corpus": None}, "--corpus was s3://bucket/corpus.jsonl and is not given"),
        (changed(base_revision="ffff"), {}, "the base xlm has changed since"),
        (changed(base_revision="ffff"), {"base": "bert"}, "--base was xlm and is bert, which holds something else"),
        (changed(format=2), {}, "it was begun by a version of crossrank that kept it otherwise"),
    ],
)
def test_what_differs_is_named_as_the_user_wrote_it(
    begun: str, identity: dict[str, Any], settings: dict[str, Any], told: str
) -> None:
    sentence = refusal(begun, identity, **settings)
    assert sentence == (
        f"{begun} holds a job with other settings ({told}); use --overwrite to start afresh, or another --output"
    )
    assert "0f1e" not in sentence, "a hash is no reason"
    assert "ffff" not in sentence


def test_an_input_that_was_not_given_before_is_named(output: str) -> None:
    write_manifest(output, identity=changed(inputs__corpus=None), settings={"corpus": None})
    begin(output, "part-00000.parquet")
    assert "(--corpus was not given and is s3://bucket/corpus.jsonl)" in refusal(output, IDENTITY)


def test_a_setting_that_came_later_and_has_its_default_is_no_difference(begun: str) -> None:
    # Runs that began before an update go on after it.
    assert looked(begun, changed(settings__invented_later="as ever")).kept is not None
    told = refusal(begun, changed(settings__invented_later="anew"), invented_later="anew")
    assert "(invented_later was as ever and is anew)" in told


def test_files_that_moved_are_the_same_inputs(begun: str) -> None:
    assert looked(begun, corpus="/mnt/corpus.jsonl", base="/models/xlm").kept is not None


# other settings, where nothing was done


@pytest.mark.parametrize("names", [(), ("_lock",), ("_prepared/plan.json", "_rejected/rejected.parquet", "_lock")])
def test_a_folder_in_which_nothing_was_done_takes_new_settings(output: str, names: tuple[str, ...]) -> None:
    write_manifest(output)
    begin(output, *names)
    earlier = looked(output, changed(settings__depth=50))
    assert (earlier.kept, earlier.is_replaced) == (None, True)


@pytest.mark.parametrize(
    "name",
    [
        "part-00000.parquet",
        "_spent.json",
        "_checkpoint/step-00000010/COMPLETE",
        "_rows/base/part-00000.parquet",
        "_prepared/found-000-00000.parquet",
        "_candidates/dense/found.npy",
    ],
    ids=lambda name: name.split("/")[0],
)
def test_a_part_or_a_paid_row_or_a_checkpoint_or_a_search_is_work(output: str, name: str) -> None:
    write_manifest(output)
    begin(output, name)
    assert "--depth was 100 and is 50" in refusal(output, changed(settings__depth=50), depth=50)


def test_a_finished_job_is_not_replaced_though_its_files_are_gone(output: str) -> None:
    write_manifest(output, state="finished")
    assert "--depth was 100 and is 50" in refusal(output, changed(settings__depth=50), depth=50)


# working


MANIFEST = {"kind": "train", "state": "running", "identity": IDENTITY, "steps": 7}


def end_with(error: Exception, output: str, *names: str) -> None:
    """Work in an output, write these files, and end with an error."""
    with working(looked(output), MANIFEST):
        begin(output, *names)
        raise error


def test_the_first_manifest_is_there_as_soon_as_a_job_works(output: str) -> None:
    with working(looked(output), MANIFEST):
        assert read_json(manifest_of(output)) == MANIFEST


def test_a_job_that_began_since_the_manifest_was_read_is_not_gone_on_with(output: str) -> None:
    # Both found an empty folder, and the first one began and ended before the second had the lock.
    found = [looked(output), Earlier(output, {"kind": "train", "state": "running"}, False)]
    write_manifest(output, state="finished")
    for earlier in found:
        with pytest.raises(OutputError) as refused, working(earlier, MANIFEST):
            pytest.fail("written over")
        assert str(refused.value) == (
            f"another job wrote {output} just now; run the same command again to see what is there"
        )


def test_a_manifest_that_went_meanwhile_is_not_gone_on_with(output: str) -> None:
    gone = Earlier(output, {"kind": "train"}, False)
    with pytest.raises(OutputError, match="just now"), working(gone, MANIFEST):
        pytest.fail("written")


def test_a_job_that_was_refused_before_it_did_anything_leaves_nothing_behind(output: str) -> None:
    with pytest.raises(SettingsError):
        end_with(SettingsError("no GPU"), output, "_prepared/block-00000.parquet", "_rejected/rejected.parquet")
    assert {file.uri.rsplit("/", 1)[1] for file in storage.list_files(output, recursive=True)} <= {"_lock"}
    assert earlier_run(output, "mine") is None, "another verb may have the folder"


@pytest.mark.parametrize("error", [SettingsError("refused"), JobFailed("failed")])
def test_what_a_job_did_stays_whatever_ends_it(output: str, error: Exception) -> None:
    with pytest.raises(type(error)):
        end_with(error, output, "part-00000.parquet")
    assert os.path.exists(f"{output}/part-00000.parquet")
    assert read_json(manifest_of(output)) == MANIFEST


def test_a_job_that_failed_has_its_folder(output: str) -> None:
    with pytest.raises(JobFailed), working(looked(output), MANIFEST):
        raise JobFailed("a worker died")
    assert read_json(manifest_of(output)) == MANIFEST


def test_while_lost_parts_are_made_again_the_job_is_running(output: str) -> None:
    write_manifest(output, state="finished", blocks=3)
    with working(looked(output), MANIFEST):
        assert read_json(manifest_of(output))["state"] == "running"
    assert read_json(manifest_of(output))["blocks"] == 3, "what is known of the parts stays known"


# replaced


def test_what_is_replaced_stays_until_it_gives_way(begun: str) -> None:
    begin(begun, "part-00000.parquet", "_rejected/rejected.parquet", "notes.txt")
    earlier = looked(begun, overwrite=True)
    before = {file.uri for file in storage.list_files(begun, recursive=True)}
    with pytest.raises(SettingsError), working(earlier, MANIFEST):
        raise SettingsError("the corpus is empty")
    assert {file.uri for file in storage.list_files(begun, recursive=True)} - {f"{begun}/_lock"} == before
    with working(replace(earlier, manifest=read_json(manifest_of(begun))), MANIFEST):
        earlier.give_way(MANIFEST, Parts(begun), [f"{begun}/_checkpoint", f"{begun}/_rejected"])
    assert read_json(manifest_of(begun)) == MANIFEST
    names = {file.uri.removeprefix(f"{begun}/") for file in storage.list_files(begun, recursive=True)}
    assert names - {"_lock"} == {"_manifest.json", "notes.txt"}


def test_a_job_that_goes_on_replaces_nothing(begun: str) -> None:
    looked(begun).give_way(MANIFEST, Parts(begun), [f"{begun}/_checkpoint"])
    assert os.path.exists(f"{begun}/_checkpoint")
    assert "steps" not in read_json(manifest_of(begun))
