"""The translation memory: what is kept stays, whatever breaks, and one job writes at a time."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from crossrank.errors import InputError, OutputError
from crossrank.translation.backend import Outcome
from crossrank.translation.keys import TextKeys
from crossrank.translation.memory import store
from crossrank.translation.memory.blocks import Entry
from crossrank.translation.memory.log import FILE
from crossrank.translation.memory.mapped import MappedPart
from crossrank.translation.memory.parts import Part
from crossrank.translation.memory.store import Memory

KEYS = TextKeys({"backend": "amazon", "source": "en", "target": "ko"})


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "memory"


def entry(number: int, translation: str | None = None, error: str | None = None) -> Entry:
    text = f"text {number}"
    shown = f"글 {number}" if translation is None and error is None else translation
    return Entry(KEYS.of(text), KEYS.identity, text, shown, error)


def key(number: int) -> bytes:
    return entry(number).key


def held(memory: Memory, numbers: range) -> list[int]:
    answers = memory.answers([key(number) for number in numbers])
    for number, answer in zip(numbers, answers, strict=True):
        assert answer in (None, Outcome(f"글 {number}"))
    return [number for number, answer in zip(numbers, answers, strict=True) if answer is not None]


def filled(folder: Path, numbers: range) -> None:
    with Memory.writing(str(folder)) as memory:
        memory.add([entry(number) for number in numbers])


def test_what_was_kept_is_answered_by_the_next_job(folder: Path) -> None:
    filled(folder, range(10))
    assert held(Memory.reading(str(folder)), range(12)) == list(range(10))


def test_a_memory_that_is_not_there_holds_nothing_and_is_not_made(folder: Path) -> None:
    memory = Memory.reading(str(folder))
    assert memory.has([key(1)]).tolist() == [False]
    assert not folder.exists()


def test_what_add_returned_from_survives_a_kill(folder: Path) -> None:
    pid = os.fork()
    if pid == 0:
        with Memory.writing(str(folder)) as memory:
            memory.add([entry(1), entry(2)])
            memory.add([entry(3)])
            os._exit(9)  # as SIGKILL: nothing is closed
    os.waitpid(pid, 0)
    assert held(Memory.reading(str(folder)), range(5)) == [1, 2, 3]


def test_a_second_writer_is_refused_by_name(folder: Path) -> None:
    with Memory.writing(str(folder)), pytest.raises(OutputError) as refused, Memory.writing(str(folder)):
        pytest.fail("both write")
    assert str(refused.value) == (f"another job is at work on {folder}; wait for its end, or name another --memory")


def test_any_parquet_reader_takes_the_folder_as_one_table(folder: Path) -> None:
    filled(folder, range(3))
    filled(folder, range(3, 5))
    table = pq.read_table(folder)
    assert sorted(table["source"].to_pylist()) == [f"text {number}" for number in range(5)]
    assert set(table["identity"].to_pylist()) == {KEYS.identity}


def test_short_jobs_do_not_leave_a_file_each(folder: Path) -> None:
    for number in range(4):
        filled(folder, range(number, number + 1))
    assert len(list(folder.glob("*.parquet"))) == 1
    assert len(list((folder / "_footers").iterdir())) == 1


@pytest.fixture
def small_rolls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that is rolled up soon, into parts that are left alone."""
    monkeypatch.setattr(store, "ROLL_BYTES", 1000)
    monkeypatch.setattr(store, "SMALL_PART_BYTES", 0)


def test_the_log_is_rolled_up_while_it_grows_and_all_is_found_in_every_part(folder: Path, small_rolls: None) -> None:
    with Memory.writing(str(folder)) as memory:
        for start in range(0, 60, 6):
            memory.add([entry(number) for number in range(start, start + 6)])
            assert held(memory, range(60)) == list(range(start + 6))
        assert len(list(folder.glob("*.parquet"))) >= 3
    assert held(Memory.reading(str(folder)), range(61)) == list(range(60))


def test_a_kill_between_the_part_and_the_end_of_the_log_changes_nothing(folder: Path) -> None:
    with Memory.writing(str(folder)) as memory:
        memory.add([entry(1), entry(2)])
        log = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(log)  # the part is there, and the log still
    filled(folder, range(3, 4))
    memory = Memory.reading(str(folder))
    assert held(memory, range(5)) == [1, 2, 3]
    assert len(memory) == 3


def test_a_later_answer_takes_the_place_of_an_earlier_one(folder: Path, small_rolls: None) -> None:
    with Memory.writing(str(folder)) as memory:
        memory.add([entry(1, error="tried for 300 s"), entry(2)])
        memory.add([entry(number) for number in range(3, 30)])  # rolled up
        memory.add([entry(1, "하나")])
        assert memory.answers([key(1)]) == [Outcome("하나")]
    memory = Memory.reading(str(folder))
    assert memory.answers([key(1)]) == [Outcome("하나")]
    assert [each for each in memory.entries() if each.key == key(1)] == [entry(1, "하나")]


def test_that_a_text_failed_is_an_answer_unless_it_is_asked_again(folder: Path) -> None:
    with Memory.writing(str(folder)) as memory:
        memory.add([entry(1, error="invalid"), entry(2)])
        for _ in range(2):  # in the log, then in a part
            assert memory.has([key(1), key(2), key(3)]).tolist() == [True, True, False]
            assert memory.has([key(1), key(2), key(3)], failures=False).tolist() == [False, True, False]
            memory.close()


def test_keys_that_share_their_upper_half_are_told_apart(folder: Path) -> None:
    # 64 bits would give one of them the other's translation.
    twins = [Entry(b"\x07" * 8 + bytes([low]) * 8, KEYS.identity, f"t{low}", f"글{low}") for low in range(6)]
    with Memory.writing(str(folder)) as memory:
        memory.add(twins[:5])
    found = Memory.reading(str(folder)).answers([twin.key for twin in twins])
    assert [answer and answer.text for answer in found] == ["글0", "글1", "글2", "글3", "글4", None]


def test_many_keys_in_any_order_get_their_own_answers(folder: Path, small_rolls: None) -> None:
    with Memory.writing(str(folder)) as memory:
        for start in range(0, 500, 50):
            memory.add([entry(number) for number in range(start, start + 50)])
    numbers = np.random.default_rng(0).permutation(1000).tolist()
    answers = Memory.reading(str(folder)).answers([key(number) for number in numbers])
    for number, answer in zip(numbers, answers, strict=True):
        assert answer == (Outcome(f"글 {number}") if number < 500 else None)


def test_a_memory_that_is_rolled_up_while_it_is_opened_is_read_all_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(folder, range(3))
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "another machine"))
    opened = MappedPart.of
    gone: list[bool] = []

    def of(uri: str, part: Part) -> MappedPart:
        if not gone:  # the part that was listed is joined with another before it is read
            gone.append(True)
            with monkeypatch.context() as writer:
                writer.setenv("CROSSRANK_CACHE", str(tmp_path / "of the writer"))
                filled(folder, range(3, 5))
        return opened(uri, part)

    monkeypatch.setattr(MappedPart, "of", of)
    assert held(Memory.reading(str(folder)), range(6)) == [0, 1, 2, 3, 4]


def test_a_memory_that_is_rolled_up_while_it_is_exported_is_told(folder: Path, small_rolls: None) -> None:
    filled(folder, range(3))
    memory = Memory.reading(str(folder))
    entries = memory.entries()
    [part] = folder.glob("*.parquet")
    part.unlink()
    with pytest.raises(InputError, match=r"a job changed .*/memory while it was read; run the same command again"):
        list(entries)


def test_a_block_that_is_just_being_written_is_no_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = logged(folder, 3)
    (folder / FILE).write_bytes(whole[:-10])
    monkeypatch.setattr("time.sleep", lambda _: (folder / FILE).write_bytes(whole))
    assert held(Memory.reading(str(folder)), range(4)) == [0, 1, 2]
    assert "damaged" not in capsys.readouterr().err


# damage


def logged(folder: Path, blocks: int) -> bytes:
    """A log with so many blocks of one entry, as a kill leaves it."""
    memory = Memory(str(folder), writes=True)
    for number in range(blocks):
        memory.add([entry(number)])
    memory._log.close()
    return (folder / FILE).read_bytes()


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_log_damaged_at_its_tail_is_recovered_to_its_last_whole_block_and_that_is_said(
    folder: Path, cut: int, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = logged(folder, 3)
    (folder / FILE).write_bytes(whole[:-cut])
    with Memory.writing(str(folder)) as memory:
        assert held(memory, range(4)) == [0, 1]
        said = capsys.readouterr().err
        assert f"the end of the log of the translation memory {folder} is damaged" in said
        assert "the 2 texts before them are kept" in said
        memory.add([entry(3)])  # must not be lost behind the damage
    assert held(Memory.reading(str(folder)), range(5)) == [0, 1, 3]
    assert "damaged" not in capsys.readouterr().err


def test_a_byte_that_turned_costs_its_own_block_alone(folder: Path) -> None:
    whole = bytearray(logged(folder, 3))
    whole[len(whole) // 2] ^= 0xFF
    (folder / FILE).write_bytes(whole)
    assert held(Memory.reading(str(folder)), range(3)) == [0, 2]


def test_a_parquet_file_damaged_at_its_tail_is_recovered_to_its_last_whole_block_and_that_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(folder, range(5000))
    [part] = folder.glob("*.parquet")
    content = part.read_bytes()
    part.write_bytes(content[: len(content) * 2 // 3])  # the footer is gone, and the last of three row groups
    capsys.readouterr()
    with Memory.writing(str(folder)) as memory:
        said = capsys.readouterr().err
        assert f"{part} of the translation memory is damaged: 2,048 texts of its whole blocks are kept, 2,952" in said
        assert held(memory, range(5000)) == list(range(2048))
        memory.add([entry(number) for number in range(2048, 5000)])
    assert held(Memory.reading(str(folder)), range(5000)) == list(range(5000))
    assert len(pq.read_table(folder)) == 5000
    assert "damaged" not in capsys.readouterr().err


def test_a_parquet_file_without_footer_and_copy_is_refused_with_the_way_out(folder: Path) -> None:
    filled(folder, range(5))
    [part] = folder.glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-9])
    [footer] = (folder / "_footers").iterdir()
    footer.unlink()
    with pytest.raises(InputError, match=r"is damaged, and the copy of its footer .* is gone; restore the file, or"):
        Memory.reading(str(folder))


def test_a_disk_that_is_full_leaves_no_half_block(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(str(folder), writes=True)
    memory.add([entry(1)])
    real = os.write
    taken: list[int] = []

    def full(descriptor: int, content: bytes) -> int:
        if taken:
            raise OSError(28, "No space left on device")
        taken.append(real(descriptor, bytes(content)[:10]))
        return taken[0]

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match="No space left on device; make room, and run the same command again"):
        memory.add([entry(2)])
    monkeypatch.undo()
    again = Memory.reading(str(folder))
    assert held(again, range(3)) == [1]
