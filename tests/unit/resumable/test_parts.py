"""The parts of an output, and which of them are as they were written."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crossrank.errors import OutputError, StorageError
from crossrank.resumable.parts import READ_AT_ONCE, Parts, read_ahead, read_part

SIZES = [3, 3, 2]


def numbered(first: int, count: int) -> pa.Table:
    return pa.table({"row": range(first, first + count), "text": ["x" * 100] * count})


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    """Three parts of 3, 3 and 2 rows, whose rows are numbered."""
    made = Parts(str(tmp_path))
    for number, first in enumerate((0, 3, 6)):
        pq.write_table(numbered(first, SIZES[number]), made.part(number))
    return made


def test_parts_that_are_as_they_were_written_are_not_made_again(parts: Parts) -> None:
    assert parts.lacking_parts(3, SIZES) == set()
    assert parts.lacking_parts(4, [*SIZES, 5]) == {3}


def test_a_part_in_several_row_groups_is_whole(parts: Parts) -> None:
    pq.write_table(numbered(3, 3), parts.part(1), row_group_size=2)
    assert parts.lacking_parts(3, SIZES) == set()


def cut(parts: Parts) -> None:
    content = Path(parts.part(1)).read_bytes()
    Path(parts.part(1)).write_bytes(content[:-20])


def emptied(parts: Parts) -> None:
    Path(parts.part(1)).write_bytes(b"")


def no_parquet(parts: Parts) -> None:
    Path(parts.part(1)).write_bytes(b"{}" * 100)


def spoiled_footer(parts: Parts) -> None:
    content = bytearray(Path(parts.part(1)).read_bytes())
    content[-200:-8] = b"\xff" * 192
    Path(parts.part(1)).write_bytes(bytes(content))


def a_row_short(parts: Parts) -> None:
    pq.write_table(numbered(3, 2), parts.part(1))


def of_another_block(parts: Parts) -> None:
    Path(parts.part(1)).write_bytes(Path(parts.part(0)).read_bytes())


def gone(parts: Parts) -> None:
    Path(parts.part(1)).unlink()


@pytest.mark.parametrize(
    "damage", [cut, emptied, no_parquet, spoiled_footer, a_row_short, of_another_block, gone], ids=lambda f: f.__name__
)
def test_a_part_that_was_damaged_since_is_made_again_and_no_other(
    parts: Parts, damage: Callable[[Parts], None]
) -> None:
    damage(parts)
    assert parts.lacking_parts(3, SIZES) == {1}


def test_a_part_whose_pages_are_damaged_is_none_however_arrow_tells_it(parts: Parts) -> None:
    pq.write_table(pa.table({"row": range(5000), "text": [f"{i * i}" for i in range(5000)]}), parts.part(0))
    whole = Path(parts.part(0)).read_bytes()
    told: set[bool] = set()
    for place in range(4, len(whole) - 2000, 1000):
        Path(parts.part(0)).write_bytes(whole[:place] + b"\xff" * 40 + whole[place + 40 :])
        read = read_part(parts.part(0), lambda file: pq.ParquetFile(file).read())
        told.add(read is None)
    assert True in told


def test_an_error_ends_the_looking_at_once() -> None:
    asked: list[int] = []

    def fails(number: int) -> int:
        asked.append(number)
        raise StorageError("away")

    with pytest.raises(StorageError, match="away"):
        list(read_ahead(range(500), fails))
    assert len(asked) <= 2 * READ_AT_ONCE


def test_what_is_read_ahead_comes_in_order() -> None:
    def slowly(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number

    assert list(read_ahead(range(60), slowly)) == list(range(60))


def test_groups_that_are_not_numbered_are_counted(parts: Parts) -> None:
    for number, size in enumerate(SIZES):
        pq.write_table(pa.table({"query_id": ["q"] * size}), parts.part(number))
    assert parts.lacking_parts(3, SIZES) == set()
    pq.write_table(pa.table({"query_id": ["q"]}), parts.part(2))
    assert parts.lacking_parts(3, SIZES) == {2}


def test_where_nobody_knows_the_sizes_any_more_what_is_there_is_trusted(parts: Parts) -> None:
    cut(parts)
    assert parts.lacking_parts(4, None) == {3}


def test_a_part_beyond_the_last_block_is_a_foreign_table(parts: Parts) -> None:
    parts.refuse_foreign_tables(3)
    with pytest.raises(OutputError, match=r"part-00002\.parquet is no part of this job"):
        parts.refuse_foreign_tables(2)


@pytest.mark.parametrize(
    "name",
    [
        "part-00003.parquet",
        "part-00001 (copy).parquet",
        "part-1.parquet",
        "part-000001.parquet",
        "Part-00001.PARQUET",
        "backup/part-00001.parquet",
        "사본.parquet",
    ],
)
def test_an_extra_or_copied_part_is_refused_by_its_name_since_the_table_would_have_rows_twice(
    parts: Parts, name: str
) -> None:
    Path(parts.output, name).parent.mkdir(exist_ok=True)
    Path(parts.output, name).write_bytes(Path(parts.part(1)).read_bytes())
    with pytest.raises(OutputError) as refused:
        parts.refuse_foreign_tables(3)
    assert str(refused.value) == (
        f"{parts.output}/{name} is no part of this job, and readers of the folder would take it for one; move it away"
    )


@pytest.mark.parametrize(
    "name",
    [
        "_prepared/block-00000.parquet",
        "_old.parquet",
        ".part-00001.parquet",
        "notes.txt",
        "backup/_old.parquet",
        "backup/.old/part-00001.parquet",
    ],
)
def test_what_readers_pass_over_may_lie_beside_the_parts(parts: Parts, name: str) -> None:
    Path(parts.output, name).parent.mkdir(parents=True, exist_ok=True)
    Path(parts.output, name).write_bytes(Path(parts.part(1)).read_bytes())
    parts.refuse_foreign_tables(3)
    assert pq.read_table(parts.output).num_rows == 8 or name == "notes.txt"


def test_where_the_number_of_parts_is_not_known_any_name_of_a_part_will_do(parts: Parts) -> None:
    parts.refuse_foreign_tables(None)
    Path(parts.output, "other.parquet").write_bytes(b"")
    with pytest.raises(OutputError, match=r"other\.parquet is no part"):
        parts.refuse_foreign_tables(None)


@pytest.mark.parametrize("lost", [(), (0,), (1,), (2,), (0, 1), (1, 2)])
def test_the_parts_that_are_left_tell_how_the_blocks_were_cut(parts: Parts, lost: tuple[int, ...]) -> None:
    for number in lost:
        Path(parts.part(number)).unlink()
    assert parts.rows_of_a_part() == 3
    assert parts.sizes_of_parts(8, 3) == SIZES


def test_parts_that_do_not_tell_it_are_not_guessed_from(parts: Parts) -> None:
    assert parts.sizes_of_parts(8, 4) is None, "three rows each are three blocks"
    for number in range(3):
        Path(parts.part(number)).write_bytes(b"PAR1")
    assert parts.rows_of_a_part() is None


def test_a_part_that_was_put_in_the_place_of_another_tells_nothing(parts: Parts) -> None:
    of_another_block(parts)
    assert parts.rows_of_a_part() == 3
    assert parts.lacking_parts(3, parts.sizes_of_parts(8, 3)) == {1}
