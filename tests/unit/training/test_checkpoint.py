"""Checkpoints as plain files: whole or none, the newest that can be read, and what is kept."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from crossrank import storage
from crossrank.errors import InputError, OutputError, StorageError
from crossrank.training.checkpoint import Checkpoints
from tests.unit.training.checkpoints import filled_with, read_model, save

FULL = OSError(28, "No space left on device")


@pytest.fixture
def output(tmp_path: Path) -> str:
    return str(tmp_path / "out")


def names_in(output: str) -> list[str]:
    return sorted(path.name for path in (Path(output) / "_checkpoint").iterdir())


# saving


def test_a_checkpoint_is_a_folder_with_what_was_written_and_the_sizes_of_it(output: str) -> None:
    checkpoints = Checkpoints(output, 3)
    save(checkpoints, 500)
    assert checkpoints.uri(500) == f"{output}/_checkpoint/step-00000500"
    assert checkpoints.steps() == [500]
    folder = checkpoints.fetch(500)
    assert folder == Path(checkpoints.uri(500))
    assert sorted(path.name for path in folder.iterdir()) == ["complete.json", "model.safetensors", "training.pt"]
    # "model 500" and "state 500" have 9 letters each.
    complete = json.loads((folder / "complete.json").read_text())
    assert complete["files"] == {"model.safetensors": 9, "training.pt": 9}


def test_before_the_first_there_is_none(output: str) -> None:
    checkpoints = Checkpoints(output, 3)
    assert checkpoints.steps() == []
    assert checkpoints.newest_readable(read_model) is None
    checkpoints.wait()


def test_steps_are_in_their_order_and_not_in_that_of_their_names(output: str) -> None:
    checkpoints = Checkpoints(output, 9)
    save(checkpoints, 99, 100_000_000, 5)
    assert checkpoints.steps() == [5, 99, 100_000_000]


def test_another_process_sees_the_same(output: str) -> None:
    save(Checkpoints(output, 3), 5, 10)
    assert Checkpoints(output, 1).steps() == [5, 10]


def test_training_goes_on_while_it_is_brought_to_its_place(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on = threading.Event()
    send = Checkpoints._send

    def slow(self: Checkpoints, *given: Any) -> None:
        assert may_go_on.wait(60)
        send(self, *given)

    monkeypatch.setattr(Checkpoints, "_send", slow)
    checkpoints = Checkpoints(output, 3)
    checkpoints.save(5, filled_with("5"))
    assert checkpoints.steps() == [], "save has returned, and it is not there yet"
    may_go_on.set()
    checkpoints.save(10, filled_with("10"))
    assert 5 in checkpoints.steps(), "the one before is awaited"
    checkpoints.wait()
    assert checkpoints.steps() == [5, 10]


def test_what_follows_a_checkpoint_begins_when_it_is_whole(output: str) -> None:
    checkpoints = Checkpoints(output, 3)
    seen: list[list[int]] = []
    checkpoints.save(5, filled_with("5"), then=lambda: seen.append(checkpoints.steps()))
    checkpoints.wait()
    assert seen == [[5]]


def test_what_follows_may_fail_and_is_told(output: str) -> None:
    def fail() -> None:
        raise StorageError("the validation cannot begin")

    checkpoints = Checkpoints(output, 3)
    checkpoints.save(5, filled_with("5"), then=fail)
    with pytest.raises(StorageError, match="the validation cannot begin"):
        checkpoints.wait()
    assert checkpoints.steps() == [5]
    checkpoints.wait()  # told once


# whole or none


def test_a_folder_without_its_sizes_is_no_checkpoint(output: str) -> None:
    checkpoints = Checkpoints(output, 3)
    save(checkpoints, 5, 10)
    (Path(checkpoints.uri(10)) / "complete.json").unlink()
    assert checkpoints.steps() == [5]
    assert checkpoints.newest_readable(read_model) == (5, "model 5")


def test_other_things_in_the_folder_are_no_checkpoints(output: str) -> None:
    checkpoints = Checkpoints(output, 3)
    save(checkpoints, 5)
    for name in ("step-best", "step-00000010.bak", "crossrank-step-abcdef"):
        (Path(output) / "_checkpoint" / name).mkdir()
        (Path(output) / "_checkpoint" / name / "complete.json").write_text("{}")
    checkpoints.write_note("validation-5", {"mrr@10": 0.5})
    assert checkpoints.steps() == [5]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda file: file.write_text("model 5"), "has 7 bytes, and was written with 8"),
        (lambda file: file.write_text("model 10 and more"), "has 17 bytes, and was written with 8"),
        (lambda file: file.unlink(), "is missing, and was written with 8"),
    ],
)
def test_a_file_of_another_size_makes_it_none(output: str, spoil: Callable[[Path], None], told: str) -> None:
    checkpoints = Checkpoints(output, 3)
    save(checkpoints, 5, 10)
    spoil(Path(checkpoints.uri(10)) / "model.safetensors")
    with pytest.raises(InputError) as refused:
        checkpoints.fetch(10)
    assert str(refused.value) == f"{checkpoints.uri(10)}/model.safetensors {told}"
    assert checkpoints.newest_readable(read_model) == (5, "model 5")


class Odd(Exception):
    """What some library makes of a file that is spoilt: pickle.UnpicklingError and SafetensorError are such."""


@pytest.mark.parametrize("error", [Odd("bad\nmagic  number"), OSError(5, "Input/output error"), KeyError("optimizer")])
def test_the_newest_that_can_be_read_is_gone_on_from_and_the_others_are_said(
    output: str, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = Checkpoints(output, 9)
    save(checkpoints, 5, 10, 15)

    def read(folder: Path) -> str:
        if folder.name != "step-00000005":
            raise error
        return read_model(folder)

    assert checkpoints.newest_readable(read) == (5, "model 5")
    told = " ".join(str(error).split())
    said = [line.partition("] ")[2] for line in capsys.readouterr().err.splitlines()]
    assert said == [
        f"the checkpoint {checkpoints.uri(step)} cannot be read ({told}); going back to the one before"
        for step in (15, 10)
    ]


def test_where_none_can_be_read_it_is_said_that_training_starts_anew(
    output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = Checkpoints(output, 9)
    save(checkpoints, 5)
    (Path(checkpoints.uri(5)) / "complete.json").write_text("{")
    assert checkpoints.newest_readable(read_model) is None
    assert "step-00000005 cannot be read (" in (said := capsys.readouterr().err)
    assert said.endswith("; there is none before it, so training starts anew\n")


@pytest.mark.parametrize("error", [StorageError("s3://b cannot be reached"), OutputError("the cache is full")])
def test_a_store_that_cannot_be_reached_is_no_reason_to_start_anew(output: str, error: Exception) -> None:
    checkpoints = Checkpoints(output, 9)
    save(checkpoints, 5, 10)

    def read(_: Path) -> str:
        raise error

    with pytest.raises(type(error), match=str(error)):
        checkpoints.newest_readable(read)


def test_a_checkpoint_that_could_not_be_read_is_replaced_when_its_step_comes_again(output: str) -> None:
    checkpoints = Checkpoints(output, 3)
    save(checkpoints, 5)
    (Path(checkpoints.uri(5)) / "left.over").write_text("x")
    checkpoints.save(5, filled_with("again"))
    checkpoints.wait()
    assert checkpoints.newest_readable(read_model) == (5, "model again")
    assert not (Path(checkpoints.uri(5)) / "left.over").exists()


# what is kept


def test_the_newest_are_kept(output: str) -> None:
    checkpoints = Checkpoints(output, 2)
    save(checkpoints, 5, 10, 15, 20)
    assert checkpoints.steps() == [15, 20]
    assert names_in(output) == ["step-00000015", "step-00000020"]


def test_the_best_is_kept_whatever_its_age(output: str) -> None:
    checkpoints = Checkpoints(output, 1)
    save(checkpoints, 5, 10)
    save(checkpoints, 15, 20, kept=(10,))
    assert checkpoints.steps() == [10, 20]
    save(checkpoints, 25, kept=(25,))
    assert checkpoints.steps() == [25], "when another is the best, it goes"


def test_a_step_that_is_to_be_kept_may_be_gone(output: str) -> None:
    checkpoints = Checkpoints(output, 1)
    save(checkpoints, 5, 10, kept=(3,))
    assert checkpoints.steps() == [10]


def test_the_newest_is_kept_even_where_none_is_wanted(output: str) -> None:
    checkpoints = Checkpoints(output, 0)
    save(checkpoints, 5, 10)
    assert checkpoints.steps() == [10]


def test_a_kill_while_an_old_one_is_deleted_leaves_none_that_looks_whole(
    output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(output, 1)
    save(checkpoints, 5)
    deleted: list[str] = []
    delete = storage.delete

    def killed_after_the_first(uri: str) -> None:
        if "step-00000005" in uri:
            if deleted:
                raise SystemExit
            deleted.append(uri.rsplit("/", 1)[1])
        delete(uri)

    monkeypatch.setattr(storage, "delete", killed_after_the_first)
    with pytest.raises(SystemExit):
        save(checkpoints, 10)
    assert deleted == ["complete.json"]
    assert Checkpoints(output, 1).steps() == [10]


# a full disk, a kill


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FULL, "No space left on device"),
        # What torch and safetensors make of a full disk.
        (RuntimeError("[enforce fail at inline_container.cc:672] .\nunexpected pos 64"), "[enforce fail at inline_con"),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), "Error while"),
    ],
)
def test_a_write_that_fails_leaves_the_older_ones_and_is_one_sentence(output: str, error: Exception, told: str) -> None:
    checkpoints = Checkpoints(output, 1)
    save(checkpoints, 5)

    def write(folder: Path) -> None:
        (folder / "model.safetensors").write_text("half")
        raise error

    with pytest.raises(OutputError) as refused:
        checkpoints.save(10, write)
    sentence = str(refused.value)
    assert sentence.startswith(f"the checkpoint {checkpoints.uri(10)} cannot be written ({told}")
    assert sentence.endswith("); earlier ones are intact: make room, and run the same command again")
    assert "\n" not in sentence
    assert checkpoints.newest_readable(read_model) == (5, "model 5")
    assert names_in(output) == ["step-00000005"], "nothing half written is left"
    save(checkpoints, 10)
    assert checkpoints.steps() == [10], "and it goes on when there is room"


def test_a_failure_in_the_thread_is_told_by_the_next_to_wait(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(output, 1)
    save(checkpoints, 5)

    def full(*_: object) -> None:
        raise FULL

    monkeypatch.setattr(Path, "rename", full)
    checkpoints.save(10, filled_with("10"))
    with pytest.raises(OutputError, match=r"step-00000010 cannot be written \(No space left on device\); earlier"):
        checkpoints.save(15, filled_with("15"))
    assert checkpoints.newest_readable(read_model) == (5, "model 5")
    assert names_in(output) == ["step-00000005"]


def test_a_folder_that_cannot_be_made_is_the_same_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"step-00000005 cannot be written \(.*\); earlier ones are intact"):
        Checkpoints(str(tmp_path / "file"), 1).save(5, filled_with("5"))


def test_what_kills_left_half_written_is_removed(output: str) -> None:
    for name in ("crossrank-step-aaaa", "crossrank-step-bbbb"):
        (Path(output) / "_checkpoint" / name).mkdir(parents=True)
        (Path(output) / "_checkpoint" / name / "model.safetensors").write_text("half")
    (Path(output) / "_checkpoint" / "validation-5.json").write_text("{}")
    checkpoints = Checkpoints(output, 1)
    save(checkpoints, 5)
    assert names_in(output) == ["step-00000005", "validation-5.json"]


KILLED = """
import os, sys
from pathlib import Path
from crossrank.training.checkpoint import Checkpoints

Path.rename = lambda *_: os._exit(9)
checkpoints = Checkpoints(sys.argv[1], 1)
checkpoints.save(10, lambda folder: (folder / "model.safetensors").write_text("model 10"))
checkpoints.wait()
"""


def test_a_kill_before_it_is_in_its_place_leaves_none(output: str) -> None:
    save(Checkpoints(output, 1), 5)
    assert subprocess.run([sys.executable, "-c", KILLED, output], timeout=60).returncode == 9
    [left, whole] = names_in(output)
    assert (left.startswith("crossrank-step-"), whole) == (True, "step-00000005")
    after = Checkpoints(output, 1)
    assert after.newest_readable(read_model) == (5, "model 5")
    save(after, 10)
    assert names_in(output) == ["step-00000010"]


# notes


def test_notes_are_kept_beside_the_checkpoints(output: str) -> None:
    checkpoints = Checkpoints(output, 1)
    assert checkpoints.read_note("validation-5") is None
    checkpoints.write_note("validation-5", {"values": {"mrr@10": [0.5, 1.0]}})
    save(checkpoints, 5, 10)
    assert Checkpoints(output, 1).read_note("validation-5") == {"values": {"mrr@10": [0.5, 1.0]}}
    assert (Path(output) / "_checkpoint" / "validation-5.json").exists()
