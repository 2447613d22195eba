"""The output folder as others read it."""

from pathlib import Path
from typing import Any

import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from crossrank import storage
from crossrank.errors import InputError
from crossrank.records import Reason, Rejected
from crossrank.reranking.layout import part_schema
from crossrank.resumable.layout import Layout, read_table, write_table
from crossrank.resumable.output import read_json, write_json
from crossrank.resumable.rejects import rejected_file


def part(rows: list[int]) -> Any:
    schema = part_schema(with_text=False)
    return pyarrow.Table.from_pylist([{"row": row, "query_id": f"q{row}", "docs": []} for row in rows], schema=schema)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A finished output of two parts, with all that lies beside them."""
    layout = Layout(str(tmp_path / "out"))
    write_table(layout.part(0), part([0, 1]))
    write_table(layout.part(1), part([2]))
    write_json(layout.manifest, {"state": "finished"})
    write_json(layout.plan, {})
    write_table(layout.block(0), pyarrow.table({"other": [1]}))
    fault = Rejected("q.jsonl", 3, None, Reason.MALFORMED, "not JSON")
    with rejected_file(storage.join(layout.rejected, "rejected.parquet")) as reject:
        reject(fault)
    # What a kill in the middle of writing a part leaves behind.
    (tmp_path / "out" / "_part-00002.parquet.99.tmp").write_bytes(b"half")
    return layout


def test_any_parquet_reader_takes_the_folder_as_one_table(layout: Layout) -> None:
    assert pq.read_table(layout.output)["row"].to_pylist() == [0, 1, 2]
    assert pyarrow.dataset.dataset(layout.output).to_table()["query_id"].to_pylist() == ["q0", "q1", "q2"]


def test_only_whole_parts_count_as_finished(layout: Layout) -> None:
    assert layout.finished_parts() == {0, 1}
    assert Layout(layout.output + "/nothing").finished_parts() == set()


def test_the_number_of_a_part_may_have_more_than_five_digits(layout: Layout) -> None:
    write_table(layout.part(123_456), part([3]))
    assert layout.finished_parts() == {0, 1, 123_456}


def test_deleting_the_parts_leaves_all_else(layout: Layout) -> None:
    layout.delete_parts()
    assert layout.finished_parts() == set()
    assert storage.exists(layout.manifest)
    assert storage.exists(layout.block(0))


def test_a_table_of_rejected_rows_has_every_field(layout: Layout) -> None:
    [row] = read_table(storage.join(layout.rejected, "rejected.parquet")).to_pylist()
    assert row == {"source": "q.jsonl", "line": 3, "record_id": None, "reason": "malformed", "detail": "not JSON"}


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_a_manifest_that_cannot_be_read_is_one_sentence(layout: Layout, content: bytes) -> None:
    storage.write_bytes(layout.manifest, content)
    with pytest.raises(InputError, match=r"_manifest\.json (is damaged|holds no JSON object).*remove the folder"):
        read_json(layout.manifest)
