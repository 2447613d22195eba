"""From ids to rows."""

from array import array
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from crossrank.corpus.ids import UNKNOWN, IdIndex, hash_id


def index_of(identifiers: list[str]) -> tuple[IdIndex, list[tuple[int, int]]]:
    index, repeated = IdIndex.of_hashes(array("Q", map(hash_id, identifiers)))
    return index, list(repeated)


def test_the_first_row_of_an_id_is_found_and_the_others_are_told_with_it() -> None:
    index, repeated = index_of(["a", "b", "a", "c", "b", "a"])
    assert index.rows(["c", "b", "a"]).tolist() == [3, 1, 0]
    assert sorted(repeated) == [(2, 0), (4, 1), (5, 0)]


def test_an_id_that_is_not_there_has_no_row() -> None:
    index, _ = index_of(["a", "b"])
    assert index.rows(["", "A", "b", "문서"]).tolist() == [UNKNOWN, UNKNOWN, 1, UNKNOWN]


def test_an_index_without_ids_knows_none(tmp_path: Path) -> None:
    index, repeated = index_of([])
    index.save(tmp_path)
    for each in (index, IdIndex.open(tmp_path)):
        assert each.rows(["a", "b"]).tolist() == [UNKNOWN, UNKNOWN]
        assert each.rows([]).tolist() == []
    assert repeated == []


def test_a_saved_index_finds_the_same_rows(tmp_path: Path) -> None:
    identifiers = [f"id-{number}" for number in range(1000)]
    index, _ = index_of(identifiers)
    index.save(tmp_path)
    assert IdIndex.open(tmp_path).rows(identifiers).tolist() == list(range(1000))


IDS = st.lists(st.text("ab가", max_size=2), max_size=20)


@settings(max_examples=60)
@given(IDS, IDS)
def test_it_answers_as_a_dictionary_of_first_rows(identifiers: list[str], others: list[str]) -> None:
    first_rows: dict[str, int] = {}
    for row, identifier in enumerate(identifiers):
        first_rows.setdefault(identifier, row)
    index, repeated = index_of(identifiers)
    wanted = identifiers + others
    assert index.rows(wanted).tolist() == [first_rows.get(identifier, UNKNOWN) for identifier in wanted]
    later = [(row, first_rows[each]) for row, each in enumerate(identifiers) if first_rows[each] != row]
    assert sorted(repeated) == later
