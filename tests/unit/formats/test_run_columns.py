"""A run read as columns is the run read line by line, however it is written.

How it could fail users: Arrow accepts what `trec` rejects or the other way round, a number comes out as another, a line
is told by a wrong number after a blank or a broken one, a line across two chunks is lost.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crossrank.formats import run_columns
from crossrank.formats.run_columns import read_run_columns
from crossrank.formats.trec import read_run
from crossrank.records import Rejected

Rows = list[tuple[str, str, int, float, int]]


def by_line(file: Path) -> tuple[Rows, list[Rejected]]:
    rejected: list[Rejected] = []
    rows = [(row.query_id, row.doc_id, row.rank, row.score, row.line) for row in read_run(str(file), rejected.append)]
    return rows, rejected


def by_columns(file: Path) -> tuple[Rows, list[Rejected]]:
    rejected: list[Rejected] = []
    rows: Rows = []
    for found in read_run_columns(str(file), rejected.append):
        arrays = (found.ranks_L.tolist(), found.scores_L.tolist(), found.lines_L.tolist())
        rows += zip(found.query_ids_L.to_pylist(), found.doc_ids_L.to_pylist(), *arrays, strict=True)
    return rows, rejected


def refuse(row: Rejected) -> None:
    raise AssertionError(row)


def test_a_plain_run_is_read_by_arrow_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "run.trec"
    file.write_bytes("q1 Q0 문서 1 2.5 x\r\nq1 Q0 d2 -2 1e-3 x\r\nNA Q0 \"d3 3 7 '\r\n".encode())
    monkeypatch.setattr(run_columns, "_by_line", None)
    assert by_columns(file)[0] == [("q1", "문서", 1, 2.5, 1), ("q1", "d2", -2, 0.001, 2), ("NA", '"d3', 3, 7.0, 3)]


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64])
def test_lines_across_chunks_are_whole_and_keep_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr(run_columns, "CHUNK_BYTES", chunk_bytes)
    file = tmp_path / "run.trec.gz"
    lines = ["q1 Q0 d1 1 2.5 x", "", "broken", "q1\tQ0\td2\t2\t2.0\tx", "q2 Q0 d3 1 nan x", "q2 Q0 d4 2 0.5 x"]
    file.write_bytes(gzip.compress(("\ufeff" + "\n".join(lines)).encode()))
    rows, rejected = by_columns(file)
    assert rows == [("q1", "d1", 1, 2.5, 1), ("q1", "d2", 2, 2.0, 4), ("q2", "d4", 2, 0.5, 6)]
    assert [(row.line, row.record_id) for row in rejected] == [(3, "broken"), (5, "q2")]


@pytest.mark.parametrize("chunk_bytes", [1, 2, 20, 1000])
@pytest.mark.parametrize("marks", [1, 2])
def test_a_byte_order_mark_is_taken_from_the_beginning_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int, marks: int
) -> None:
    # As where two runs were joined.
    monkeypatch.setattr(run_columns, "CHUNK_BYTES", chunk_bytes)
    file = tmp_path / "run.trec"
    file.write_bytes(b"\xef\xbb\xbf" * marks + b"q1 Q0 d1 1 2.5 x\n" + b"\xef\xbb\xbf" + b"q2 Q0 d1 1 2.5 x\n")
    assert by_columns(file) == by_line(file)
    assert [row[0] for row in by_columns(file)[0]] == ["\ufeff" * (marks - 1) + "q1", "\ufeffq2"]


def test_an_empty_run_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "run.trec").write_bytes(b"")
    assert by_columns(tmp_path / "run.trec") == ([], [])


SPACE = st.sampled_from([" ", " ", " ", "\t", "  ", " \t", "\f", "\r", ""])
WORD = st.sampled_from(
    ["q1", "Q0", "d-1", "문서", '"', "''", "#", "NULL", "nan", "\u00a0", "\0", "\x1c", "\ufeffq", ","]
)
RANKS = ["1", "+7", "-3", "007", "0x1F", "1_0", "2147483647", "2147483648", "99999999999", "1.0", "\u0663", "", "x"]
SCORES = [
    "1",
    "-0.0",
    "+1.5",
    ".5",
    "5.",
    "1e5",
    "1E-400",
    "1e400",
    "nan",
    "inf",
    "-Infinity",
    "1_0",
    "0x1p3",
    "\u0663",
]
SCORES += ["0.1000000000000000055511151231257827", "9007199254740993", "1,5", "true", ""]
LINE = st.tuples(
    st.sampled_from(["", "", "", " "]),
    WORD,
    SPACE,
    WORD,
    SPACE,
    WORD,
    SPACE,
    st.sampled_from(["1", "1", *RANKS]),
    SPACE,
    st.sampled_from(["2.5", "2.5", *SCORES]),
    SPACE,
    WORD,
    st.sampled_from(["", "", "", " ", " extra"]),
).map("".join)
PLAIN = st.tuples(WORD, st.sampled_from(RANKS), st.sampled_from(SCORES)).map(lambda line: f"q Q0 {' '.join(line)} t")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.one_of(PLAIN, LINE, st.just("")), max_size=6).map(
        lambda lines: [line.encode() for line in lines]
    ),
    end=st.sampled_from([b"\n", b"\r\n"]),
    last=st.sampled_from([b"", b"\n", b" ", b"\xff", b"\r"]),
)
@example(lines=[b"\xef\xbb\xbf\xef\xbb\xbfq Q0 d 1 2.0 t"], end=b"\n", last=b"\n")
@example(lines=[b" q d 1 2.0 t"], end=b"\n", last=b"\n")
@example(lines=[b"q Q0 d 1 2.0 t\rq Q0 d 1 2.0 t"], end=b"\n", last=b"\n")
def test_any_run_is_read_as_it_is_line_by_line(tmp_path: Path, lines: list[bytes], end: bytes, last: bytes) -> None:
    file = tmp_path / "run.trec"
    file.write_bytes(end.join(lines) + last)
    assert by_columns(file) == by_line(file)


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("score", SCORES)
def test_each_number_is_taken_or_rejected_as_it_is_line_by_line(tmp_path: Path, rank: str, score: str) -> None:
    file = tmp_path / "run.trec"
    file.write_text(f"q Q0 d {rank} {score} t\n")
    assert by_columns(file) == by_line(file)
