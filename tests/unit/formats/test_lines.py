import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from crossrank.errors import InputError
from crossrank.formats.lines import read_json_lines, read_lines, writing_lines
from crossrank.records import Reason, Rejected

WriteFile = Callable[[str, str | bytes], str]


def test_lines_are_numbered_from_1_and_blank_ones_are_skipped_but_counted(
    write: WriteFile, rejected: list[Rejected]
) -> None:
    uri = write("a.txt", "one\n\n  \nfour\n")
    assert list(read_lines(uri, rejected.append)) == [(1, "one"), (4, "four")]
    assert rejected == []


def test_a_byte_order_mark_is_not_part_of_the_first_line(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("a.txt", b"\xef\xbb\xbfone\ntwo")
    assert list(read_lines(uri, rejected.append)) == [(1, "one"), (2, "two")]


def test_windows_line_ends_are_not_part_of_a_line(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("a.txt", b"one\r\ntwo\r\r\n\r\nfour")
    assert list(read_lines(uri, rejected.append)) == [(1, "one"), (2, "two\r"), (4, "four")]


def test_only_a_line_feed_ends_a_line(write: WriteFile, rejected: list[Rejected]) -> None:
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\rh"
    assert list(read_lines(write("a.txt", text + "\nnext"), rejected.append)) == [(1, text), (2, "next")]


def test_packed_files_are_unpacked_by_their_extension(write: WriteFile, rejected: list[Rejected]) -> None:
    assert list(read_lines(write("a.txt.gz", "하나\n둘\n"), rejected.append)) == [(1, "하나"), (2, "둘")]


def test_a_line_that_is_not_utf_8_is_rejected_and_the_next_is_read(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("a.txt", b"one\nab\xff\nthree\n")
    assert list(read_lines(uri, rejected.append)) == [(1, "one"), (3, "three")]
    assert rejected == [Rejected(uri, 2, None, Reason.INVALID_UTF8, "byte 3 of the line is not UTF-8")]


def test_an_empty_file_has_no_lines(write: WriteFile, rejected: list[Rejected]) -> None:
    assert list(read_lines(write("a.txt", ""), rejected.append)) == []


def test_a_packed_file_that_was_cut_off_is_an_error_and_not_a_shorter_file(
    tmp_path: Path, rejected: list[Rejected]
) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(b'{"n": %d}\n' % n for n in range(9999)))[:-100])
    with pytest.raises(InputError, match=r"a\.jsonl\.gz"):
        list(read_json_lines(str(path), rejected.append))


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ('{"a": 1', "not JSON: Expecting ',' delimiter at column 8"),
        ("{'a': 1}", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        ('{"a": NaN}', "not JSON: NaN is not a JSON value"),
        ('{"a": -Infinity}', "not JSON: -Infinity is not a JSON value"),
        ('{"a": 1e999}', "not JSON: the number 1e999 is beyond what a float can hold"),
        ('{"a": 1, "b": 2, "a": 3}', "not JSON: the key 'a' comes twice in one object"),
        ('{"meta": {"a": 1, "a": 1}}', "not JSON: the key 'a' comes twice in one object"),
        ('{"a": 1} {"a": 2}', "not JSON: Extra data at column 10"),
        ("[" * 100_000, "not JSON: nested too deeply"),
        ('{"a": 1' + "0" * 5000 + "}", "not JSON: a whole number in it has thousands of digits"),
        ("[1]", "a JSON object is wanted, and this is a list"),
        ("null", "a JSON object is wanted, and this is null"),
        ("true", "a JSON object is wanted, and this is true or false"),
    ],
)
def test_what_is_not_a_json_object_is_rejected_with_its_line_and_the_rest_is_read(
    write: WriteFile, rejected: list[Rejected], line: str, detail: str
) -> None:
    uri = write("a.jsonl", f'{{"n": 1}}\n{line}\n{{"n": 3}}\n')
    assert list(read_json_lines(uri, rejected.append)) == [(1, {"n": 1}), (3, {"n": 3})]
    assert rejected == [Rejected(uri, 2, None, Reason.MALFORMED, detail)]


def test_nan_inside_a_string_is_only_text(write: WriteFile, rejected: list[Rejected]) -> None:
    assert list(read_json_lines(write("a.jsonl", '{"NaN": "Infinity"}'), rejected.append)) == [(1, {"NaN": "Infinity"})]


def test_half_a_surrogate_pair_is_rejected_as_text_that_utf_8_cannot_hold(
    write: WriteFile, rejected: list[Rejected]
) -> None:
    uri = write("a.jsonl", '{"a": "\\ud800"}\n{"\\uDFFF": 1}\n{"a": "\\ud83d\\ude00"}\n{"a": "\\\\ud800"}\n')
    assert list(read_json_lines(uri, rejected.append)) == [(3, {"a": "😀"}), (4, {"a": "\\ud800"})]
    assert [(row.line, row.reason) for row in rejected] == [(1, Reason.INVALID_UTF8), (2, Reason.INVALID_UTF8)]


def test_u_2028_inside_json_text_survives(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("a.jsonl", '{"a": "x\u2028y"}\n')
    assert list(read_json_lines(uri, rejected.append)) == [(1, {"a": "x\u2028y"})]


def test_the_same_lines_packed_twice_are_the_same_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / "a.txt.gz", tmp_path / "b.txt.gz"]
    for path in paths:
        with writing_lines(str(path)) as write_line:
            write_line("하나")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert gzip.decompress(paths[0].read_bytes()) == "하나\n".encode()


def test_a_file_that_could_not_be_finished_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"

    def fail() -> None:
        with writing_lines(str(path)) as write_line:
            write_line("one")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
