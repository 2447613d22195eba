"""Texts against the memory: whole, in pieces, under one back-end or all."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossrank.translation.backend import Outcome
from crossrank.translation.keys import TextKeys
from crossrank.translation.lookup import NOT_IN_MEMORY, Lookup
from crossrank.translation.memory.blocks import Entry
from crossrank.translation.memory.store import Memory

AMAZON = {"backend": "amazon", "source": "en", "target": "ko"}
IMPORTED = {"backend": "imported", "source": "en", "target": "ko"}


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path_factory.mktemp("cache")))


def memory_of(folder: Path, *entries: tuple[dict[str, str], str, str | None]) -> Memory:
    with Memory.writing(str(folder / "m")) as memory:
        for identity, source, translation in entries:
            keys = TextKeys(dict(identity))
            error = None if translation else "invalid"
            memory.add([Entry(keys.of(source), keys.identity, source, translation, error)])
    return memory


def lookup(memory: Memory, *identities: dict[str, str], limit: int | None = None) -> Lookup:
    return Lookup(memory, [dict(each) for each in identities], "ko", limit, failures=True)


def test_one_form_of_a_text_answers_for_all_that_mean_the_same(tmp_path: Path) -> None:
    found = lookup(memory_of(tmp_path, (AMAZON, "a cat", "고양이")), AMAZON)
    assert found.outcomes([" a cat\r\n", "a cat", "A cat"]) == {
        " a cat\r\n": Outcome("고양이"),
        "a cat": Outcome("고양이"),
        "A cat": Outcome(None, NOT_IN_MEMORY),
    }


def test_another_back_ends_translation_is_not_taken_for_ours(tmp_path: Path) -> None:
    memory = memory_of(tmp_path, (IMPORTED, "a cat", "고양이"))
    assert lookup(memory, AMAZON).outcomes(["a cat"])["a cat"].text is None
    both = lookup(memory, AMAZON, IMPORTED)
    assert both.outcomes(["a cat"])["a cat"] == Outcome("고양이")
    assert both.is_known(both.units("a cat")).tolist() == [True]


def test_a_translation_of_any_goes_before_a_failure_of_another(tmp_path: Path) -> None:
    memory = memory_of(tmp_path, (AMAZON, "a cat", None), (IMPORTED, "a cat", "고양이"))
    assert lookup(memory, AMAZON, IMPORTED).outcomes(["a cat"])["a cat"] == Outcome("고양이")


LONG = "One two three. Four five six."


def test_a_long_text_is_known_by_its_pieces_and_joined(tmp_path: Path) -> None:
    memory = memory_of(tmp_path, (AMAZON, "One two three.", "하나 둘 셋."), (AMAZON, "Four five six.", "넷 다섯 여섯."))
    found = lookup(memory, AMAZON, limit=20)
    assert [unit.text for unit in found.units(LONG)] == ["One two three.", "Four five six."]
    assert found.outcomes([LONG]) == {LONG: Outcome("하나 둘 셋. 넷 다섯 여섯.")}


def test_a_long_text_with_a_piece_that_failed_has_failed(tmp_path: Path) -> None:
    # Half a passage must not be trained on as if it were all of it.
    memory = memory_of(tmp_path, (AMAZON, "One two three.", "하나 둘 셋."), (AMAZON, "Four five six.", None))
    assert lookup(memory, AMAZON, limit=20).outcomes([LONG])[LONG] == Outcome(None, "1 of 2 pieces: invalid")


def test_a_long_text_that_was_imported_whole_is_not_translated_in_pieces(tmp_path: Path) -> None:
    found = lookup(memory_of(tmp_path, (AMAZON, LONG, "모두")), AMAZON, limit=20)
    assert [unit.text for unit in found.units(LONG)] == [LONG]
    assert found.outcomes([LONG])[LONG] == Outcome("모두")
