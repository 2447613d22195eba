"""The text store: what is in it, what is set aside, and that it is whole or not there."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crossrank.corpus import store as store_module
from crossrank.corpus.store import SourceRow, TextStore, Usable, open_store
from crossrank.records import Reason, Rejected

MakeStore = Callable[..., TextStore]


def test_rows_keep_the_order_of_the_file(make_store: MakeStore) -> None:
    store = make_store(("d2", "second"), ("d1", "첫째"), ("d3", "third"))
    assert len(store) == 3
    assert store.ids([2, 0, 1, 0]) == ["d3", "d2", "d1", "d2"]
    assert store.texts([1, 2]) == ["첫째", "third"]
    assert list(store.all_texts()) == ["second", "첫째", "third"]
    assert store.rows(["d3", "no", "d2"]).tolist() == [2, -1, 0]
    assert list(store.rejected()) == []


def test_every_row_knows_its_file_and_line(tmp_path: Path) -> None:
    rows = [SourceRow("a.tsv", 7, "d1", "x"), SourceRow("b.tsv", 2, "d2", "y"), SourceRow("a.tsv", 9, "d3", "z")]
    store = open_store(tmp_path / "store", lambda _: rows, Reason.EMPTY_DOCUMENT)
    assert [store.place(row) for row in range(3)] == [("a.tsv", 7), ("b.tsv", 2), ("a.tsv", 9)]


def test_an_empty_text_keeps_its_row_and_is_set_aside(make_store: MakeStore) -> None:
    store = make_store(("d1", "x"), ("d2", " \t\u3000"), ("d3", ""))
    assert store.usable(slice(None)).tolist() == [Usable.YES, Usable.EMPTY, Usable.EMPTY]
    assert store.rows(["d2"]).tolist() == [1]
    assert list(store.rejected()) == [
        Rejected("corpus.tsv", 2, "d2", Reason.EMPTY_DOCUMENT, "the text is empty or white space"),
        Rejected("corpus.tsv", 3, "d3", Reason.EMPTY_DOCUMENT, "the text is empty or white space"),
    ]


def test_of_rows_with_one_id_the_first_is_used_and_named(make_store: MakeStore) -> None:
    store = make_store(("d1", "first"), ("d2", "x"), ("d1", "second"), ("d1", "third"))
    assert store.usable(np.array([3, 2, 0])).tolist() == [Usable.DUPLICATE, Usable.DUPLICATE, Usable.YES]
    assert store.texts(store.rows(["d1"]).tolist()) == ["first"]
    detail = "the id stands in line 1 of corpus.tsv already; that one is kept"
    assert list(store.rejected()) == [
        Rejected("corpus.tsv", line, "d1", Reason.DUPLICATE_ID, detail) for line in (3, 4)
    ]


def test_an_empty_row_with_the_id_of_another_counts_as_its_duplicate(make_store: MakeStore) -> None:
    # As an empty query it would be prepared, and its id would come out twice.
    store = make_store(("q1", "text"), ("q1", " "), ("q2", ""), ("q2", "text"))
    assert store.usable(slice(None)).tolist() == [Usable.YES, Usable.DUPLICATE, Usable.EMPTY, Usable.DUPLICATE]
    assert [(row.line, row.reason) for row in store.rejected()] == [
        (2, Reason.DUPLICATE_ID),
        (3, Reason.EMPTY_DOCUMENT),
        (4, Reason.DUPLICATE_ID),
    ]


def test_a_row_that_could_not_be_read_is_kept_word_for_word(tmp_path: Path) -> None:
    fault = Rejected("c.jsonl", 3, None, Reason.MALFORMED, "not JSON: “{” at column 1")

    def read(reject: Callable[[Rejected], None]) -> list[SourceRow]:
        reject(fault)
        return [SourceRow("c.jsonl", 4, "d1", "x")]

    store = open_store(tmp_path / "store", read, Reason.EMPTY_DOCUMENT)
    assert list(store.rejected()) == [fault]
    assert store.ids([0]) == ["d1"]


def test_a_store_without_rows_can_be_opened(make_store: MakeStore) -> None:
    store = make_store()
    assert len(store) == 0
    assert store.rows(["d1"]).tolist() == [-1]
    assert list(store.all_texts()) == []
    assert store.usable(slice(None)).tolist() == []


@pytest.mark.parametrize("num_rows", [3, 4, 9])
def test_more_rows_than_a_batch_are_found_by_their_number(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch, num_rows: int
) -> None:
    monkeypatch.setattr(store_module, "BATCH_ROWS", 4)
    store = make_store(*((f"d{number}", f"text {number}") for number in range(num_rows)))
    backwards = list(reversed(range(num_rows)))
    assert store.ids(backwards) == [f"d{number}" for number in backwards]
    assert list(store.all_texts()) == [f"text {number}" for number in range(num_rows)]
    assert store.place(num_rows - 1) == ("corpus.tsv", num_rows)


def test_a_store_that_is_there_is_not_read_again(tmp_path: Path) -> None:
    open_store(tmp_path / "store", lambda _: [SourceRow("a", 1, "d1", "x")], Reason.EMPTY_DOCUMENT)
    again = open_store(tmp_path / "store", lambda _: pytest.fail("read again"), Reason.EMPTY_DOCUMENT)
    assert again.texts([0]) == ["x"]


def test_a_reader_that_fails_leaves_nothing_and_the_next_one_converts(tmp_path: Path) -> None:
    def read(_: object) -> list[SourceRow]:
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="went away"):
        open_store(tmp_path / "store", read, Reason.EMPTY_DOCUMENT)
    assert [path.name for path in tmp_path.iterdir()] == ["store.lock"]
    store = open_store(tmp_path / "store", lambda _: [SourceRow("a", 1, "d1", "x")], Reason.EMPTY_DOCUMENT)
    assert len(store) == 1


CONVERTER = """
import os, signal, sys, time
from pathlib import Path
from crossrank.corpus.store import SourceRow, open_store
from crossrank.records import Reason

folder, log, kill = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "kill"

def read(reject):
    with open(log, "a") as file:
        print(os.getpid(), file=file)
    yield SourceRow("corpus.tsv", 1, "d1", "text")
    if kill:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)
    yield SourceRow("corpus.tsv", 2, "d2", "text")

print(len(open_store(folder, read, Reason.EMPTY_DOCUMENT)))
"""


def test_a_kill_leaves_no_store_and_then_one_of_two_processes_converts(tmp_path: Path) -> None:
    folder, log = tmp_path / "cache" / "store", tmp_path / "log"

    def start(how: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", CONVERTER, str(folder), str(log), how]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    killed = start("kill")
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not folder.exists()
    assert len(list(folder.parent.glob("*.tmp"))) == 1

    both = [start("live"), start("live")]
    assert [each.communicate(timeout=60)[0] for each in both] == ["2\n", "2\n"]
    assert len(log.read_text().splitlines()) == 2, "the killed one, and one of the two"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["store", "store.lock"]
