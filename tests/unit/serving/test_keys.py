"""Who is let in."""

import pickle
from pathlib import Path

import pytest

from crossrank.errors import InputError
from crossrank.serving.keys import ApiKeys, read_keys

FIRST, SECOND = "a-key-of-24-characters-1", "a-key-of-24-characters-2"


def test_without_keys_everybody_is_let_in() -> None:
    assert ApiKeys([]).which(None) == 0
    assert not ApiKeys([])


@pytest.mark.parametrize(
    ("header", "number"),
    [(f"Bearer {FIRST}", 0), (f"bearer  {FIRST} ", 0), (FIRST, 0), (f"Bearer {SECOND}", 1), (SECOND, 1)],
)
def test_each_key_is_known_with_its_scheme_or_bare(header: str, number: int) -> None:
    assert ApiKeys([FIRST, SECOND]).which(header) == number


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", FIRST[:-1], FIRST + "x", f"Basic {FIRST}", "\udcff"])
def test_nothing_else_is(header: str | None) -> None:
    assert ApiKeys([FIRST]).which(header) is None


def test_a_key_is_nowhere_in_what_is_kept_shown_or_sent() -> None:
    keys = ApiKeys([FIRST])
    assert FIRST not in repr(keys)
    assert FIRST.encode() not in pickle.dumps(keys)


def test_a_file_holds_keys_a_line_with_comments_and_the_environment_more(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours\n\n  {FIRST}  \n")
    assert read_keys(str(file), f"{SECOND}, ") == [SECOND, FIRST]
    assert read_keys(None, None) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no key"),
        (b"# none\n", "holds no key"),
        (b"short\n", "has 5 characters"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_file_without_a_usable_key_is_refused_and_no_key_is_quoted(
    tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(InputError, match=words) as refused:
        read_keys(str(file), None)
    assert "short" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_keys(str(tmp_path / "none"), None)
