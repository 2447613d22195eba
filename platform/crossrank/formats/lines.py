"""Text files line by line, and JSON lines, in constant memory.

A line ends at a line feed and nowhere else: U+2028 and its like are legal inside JSON text and stay there.
"""

from __future__ import annotations

import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from crossrank import storage
from crossrank.errors import InputError, quoted
from crossrank.records import Json, Reason, Reject, Rejected

READ_BLOCK_BYTES = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
PACKED = b"\x1f\x8b\x08"
"""First bytes of a file that gzip has packed."""
LINE_END = " \r\n"
"""Characters that a blank line may hold. A tab is not one: in TSV it separates columns, which are then empty."""

_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def raw_lines(uri: str) -> Iterator[tuple[int, bytes]]:
    """Every line with its number from 1 and its line end, unpacked (``.gz``), without a byte order mark."""
    with storage.open_input(uri) as stream:
        for number, raw in enumerate(io.BufferedReader(cast(Any, stream), READ_BLOCK_BYTES), start=1):
            if number == 1 and raw.startswith(PACKED):
                raise InputError(f"{uri} is packed by gzip, and its name does not say so; name it {uri}.gz")
            yield number, raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw


def read_lines(uri: str, reject: Reject) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, without their line end, with their number from 1.

    A line that is not valid UTF-8 is rejected, and the next is read.
    """
    return decoded_lines(raw_lines(uri), uri, reject)


def decoded_lines(raw_rows: Iterable[tuple[int, bytes]], uri: str, reject: Reject) -> Iterator[tuple[int, str]]:
    """Decode lines of `uri` that were read already; otherwise as `read_lines`."""
    for number, raw in raw_rows:
        try:
            line = raw.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            detail = f"byte {error.start + 1} of the line is not UTF-8"
            reject(Rejected(uri, number, None, Reason.INVALID_UTF8, detail))
            continue
        if line.strip(LINE_END):
            yield number, line


def read_json_lines(uri: str, reject: Reject) -> Iterator[tuple[int, Json]]:
    """The JSON object of every line, with the number of the line.

    Rejected, and the next line read: what is not JSON (``NaN`` and ``Infinity`` are not), a number beyond
    a float, a key that comes twice in an object, a value that is not an object, and text with half a surrogate pair,
    which no file could hold as UTF-8.
    """
    for number, line in read_lines(uri, reject):
        try:
            row = parse_json(line)
        except UnicodeError:
            detail = "holds half a surrogate pair (\\ud800 to \\udfff), which is not text"
            reject(Rejected(uri, number, None, Reason.INVALID_UTF8, detail))
        except ValueError as error:
            reject(Rejected(uri, number, None, Reason.MALFORMED, f"not JSON: {error}"))
        else:
            if isinstance(row, dict):
                yield number, row
            else:
                detail = f"a JSON object is wanted, and this is {json_kind(row)}"
                reject(Rejected(uri, number, None, Reason.MALFORMED, detail))


def parse_json(text: str) -> Any:
    """A JSON value. `ValueError` says what is wrong with it, `UnicodeError` that half a surrogate pair is in it."""
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(json_fault(error)) from error
    if _ESCAPED_SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    return value


def json_fault(error: ValueError | RecursionError) -> str:
    """The fault in JSON that Python's decoder did not read, without Python's advice to programmers."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1} is not UTF-8"
    if isinstance(error, json.JSONDecodeError):
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        return f"{error.msg} at {line}column {error.colno}"
    return "a whole number in it has thousands of digits" if "set_int_max_str_digits" in str(error) else str(error)


def json_kind(value: object) -> str:
    """The kind of a JSON value, in words."""
    if value is None:
        return "null"
    for kinds, name in _KINDS:
        if isinstance(value, kinds):
            return name
    return f"of type {type(value).__name__}"


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    (str, "a string"),
    (int, "a whole number"),
    (float, "a number with a point"),
    (list, "a list"),
    (dict, "an object"),
)


def json_line(row: Json) -> str:
    """`row` as one line of JSON. Floats read back exactly; `ValueError` for one that is not finite."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False)


@contextmanager
def writing_lines(uri: str) -> Iterator[Callable[[str], None]]:
    """Yield a function that writes one line; the file is there when the block ends. ``.gz`` is packed."""
    with storage.writing(uri) as stream:
        if uri.endswith(".gz"):
            # No name and no time in the header: the same lines give the same bytes.
            with gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as packed:
                yield _line_writer(packed.write)
        else:
            yield _line_writer(stream.write)


def _line_writer(write_bytes: Callable[[bytes], object]) -> Callable[[str], None]:
    def write(line: str) -> None:
        write_bytes(line.encode() + b"\n")

    return write


def without_repeated_keys(pairs: list[tuple[str, Any]]) -> Json:
    """An object from its keys and values as they stand in JSON. `ValueError` where a key comes twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"the key {quoted(twice)} comes twice in one object")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text} is beyond what a float can hold")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


_DECODER = json.JSONDecoder(
    object_pairs_hook=without_repeated_keys, parse_float=_finite, parse_constant=_refuse_constant
)
