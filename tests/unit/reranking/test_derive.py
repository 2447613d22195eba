"""Totals, rejected rows and the TREC run, from the parts."""

import gzip
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pytest

from crossrank import storage
from crossrank.errors import JobFailed
from crossrank.formats.trec import read_run
from crossrank.records import Reason, Rejected
from crossrank.reranking.derive import totals, write_rejected, write_run
from crossrank.reranking.layout import PREPARED_SCHEMA, part_schema
from crossrank.resumable.layout import Layout, read_table, write_table
from crossrank.resumable.rejects import rejected_file

BLOCKS = [2, 1]


def reject_none(row: Rejected) -> NoReturn:
    raise AssertionError(row)


FAULT = Rejected("q.jsonl", 3, "q9", Reason.DUPLICATE_ID, "stands twice")


def row(number: int, docs: list[tuple[str, float]], reason: Reason | None = None, **other: Any) -> dict[str, Any]:
    ranked = [{"doc_id": doc_id, "rank": rank, "score": score} for rank, (doc_id, score) in enumerate(docs, start=1)]
    stats = {"pairs": 5, "tokens": 100, "padding": 7, "truncated_documents": 1, "query_truncated_tokens": 0}
    status = "rejected" if reason else "ok"
    return {
        "row": number,
        "query_id": f"q{number}",
        "status": status,
        "reason": reason,
        "docs": ranked,
        "stats": stats | {"tied_documents": 2},
        **other,
    }


def write_part(layout: Layout, number: int, *rows: dict[str, Any]) -> None:
    write_table(layout.part(number), pa.Table.from_pylist(list(rows), schema=part_schema(with_text=False)))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Two blocks: q0 and q1 (rejected), and q2, from the lines 1, 5 and 2 of two files."""
    layout = Layout(str(tmp_path / "out"))
    for number, places in enumerate(([("q.jsonl", 1), ("q.jsonl", 5)], [("r.jsonl", 2)])):
        rows = [{"source": source, "line": line} for source, line in places]
        write_table(layout.block(number), pa.Table.from_pylist(rows, schema=PREPARED_SCHEMA))
    write_part(layout, 0, row(0, [("d2", 1.5), ("d1", 0.1)]), row(1, [], Reason.NO_CANDIDATES))
    write_part(layout, 1, row(2, [("d3", -4.0)]))
    with rejected_file(layout.prepared_rejected) as reject:
        reject(FAULT)
    return layout


def test_totals_add_up_all_parts(layout: Layout) -> None:
    found = totals(layout, BLOCKS)
    assert (found.queries, found.ok, found.rejected) == (3, 2, {"no_candidates": 1})
    assert found.documents == 3
    assert found.stats == {
        "pairs": 15,
        "tokens": 300,
        "padding": 21,
        "truncated_documents": 3,
        "query_truncated_tokens": 0,
        "tied_documents": 6,
    }


@pytest.mark.parametrize(
    "numbers", [[0], [0, 0], [1, 0], [0, 1, 1], [0, 2], [2, 3], []], ids=lambda numbers: str(numbers)
)
def test_a_part_without_each_row_of_its_block_once_is_named(layout: Layout, numbers: list[int]) -> None:
    write_part(layout, 0, *(row(number, []) for number in numbers))
    with pytest.raises(JobFailed, match=r"part-00000\.parquet does not hold the rows 0 to 1 of its block once each"):
        totals(layout, BLOCKS)


def test_a_part_that_is_not_there_is_named(layout: Layout) -> None:
    storage.delete(layout.part(1))
    with pytest.raises(JobFailed, match=r"part-00001\.parquet is not there.*run the same command again"):
        totals(layout, BLOCKS)


def test_a_part_that_is_torn_is_named_with_what_to_do(layout: Layout) -> None:
    whole = storage.read_bytes(layout.part(0))
    storage.write_bytes(layout.part(0), whole[: len(whole) // 2])
    with pytest.raises(JobFailed, match=r"part-00000\.parquet is no whole Parquet file; remove it and run the same"):
        totals(layout, BLOCKS)


def test_rejected_rows_are_those_of_preparing_and_those_of_the_job(layout: Layout) -> None:
    counts = write_rejected(layout, totals(layout, BLOCKS).parts_with_rejected)
    assert counts == {"q.jsonl": {"duplicate_id": 1, "no_candidates": 1}}
    [prepared, scored] = read_table(storage.join(layout.rejected, "rejected.parquet")).to_pylist()
    assert prepared == {
        "source": "q.jsonl",
        "line": 3,
        "record_id": "q9",
        "reason": "duplicate_id",
        "detail": "stands twice",
    }
    assert scored == {
        "source": "q.jsonl",
        "line": 5,
        "record_id": "q1",
        "reason": "no_candidates",
        "detail": "no document is left that could be scored",
    }


def test_nothing_rejected_is_an_empty_table(layout: Layout) -> None:
    write_part(layout, 0, row(0, []), row(1, []))
    with rejected_file(layout.prepared_rejected):
        pass
    assert write_rejected(layout, totals(layout, BLOCKS).parts_with_rejected) == {}
    assert read_table(storage.join(layout.rejected, "rejected.parquet")).num_rows == 0


def test_the_run_has_the_queries_in_their_order(layout: Layout, tmp_path: Path) -> None:
    uri = str(tmp_path / "runs" / "out.trec")
    assert write_run(layout, len(BLOCKS), uri) == 3
    # 0.1 is kept as float32, so its digits are those of the nearest one.
    assert Path(uri).read_text() == ("q0 Q0 d2 1 1.5 crossrank\nq0 Q0 d1 2 0.1 crossrank\nq2 Q0 d3 1 -4.0 crossrank\n")


@pytest.mark.parametrize("doc_id", ["two words", "a\tb", "a\u3000b", "line\nend", "%%", ""])
def test_ids_with_white_space_are_in_the_run_and_are_read_back(layout: Layout, tmp_path: Path, doc_id: str) -> None:
    write_part(layout, 1, row(2, [(doc_id, 1.0)], query_id="q 2"))
    uri = str(tmp_path / "out.trec")
    write_run(layout, len(BLOCKS), uri)
    last = Path(uri).read_text().split("\n")[-2]
    assert len(last.split()) == 6, "one word each, for C's isspace and for Python's split alike"
    found = list(read_run(uri, reject_none))[-1]
    assert (found.query_id, found.doc_id) == ("q 2", doc_id)


def test_a_run_whose_name_says_so_is_packed(layout: Layout, tmp_path: Path) -> None:
    plain, packed = tmp_path / "out.trec", tmp_path / "out.trec.gz"
    for uri in (plain, packed):
        write_run(layout, len(BLOCKS), str(uri))
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert list(read_run(str(packed), reject_none)) == list(read_run(str(plain), reject_none))


def test_what_is_derived_twice_is_the_same(layout: Layout, tmp_path: Path) -> None:
    uri = str(tmp_path / "out.trec")
    written = []
    for _ in range(2):
        totals(layout, BLOCKS)
        write_rejected(layout, totals(layout, BLOCKS).parts_with_rejected)
        write_run(layout, len(BLOCKS), uri)
        written.append((Path(uri).read_bytes(), Path(layout.rejected, "rejected.parquet").read_bytes()))
    assert written[0] == written[1]
