"""The Parquet files of a memory: written whole, read also when their end is gone.

Parquet keeps in its footer where everything lies. A copy of it beside the file, and a checksum in every page, let what
is whole of a damaged file be read and nothing else of it.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from crossrank import storage
from crossrank.errors import InputError
from crossrank.translation.keys import KEY_BYTES
from crossrank.translation.memory.blocks import Entry

PREFIX = "translations-"
FOOTERS = "_footers"
ROW_GROUP = 2048
SCHEMA = pa.schema(
    [
        ("key", pa.binary(KEY_BYTES)),
        ("identity", pa.string()),
        ("source", pa.large_string()),
        ("translation", pa.large_string()),
        ("error", pa.string()),
    ]
)


class Part(NamedTuple):
    """A Parquet file of a memory."""

    uri: str
    num_bytes: int

    @property
    def name(self) -> str:
        """Name of the file, which no other file ever has."""
        return self.uri.rsplit("/", 1)[1]


def list_parts(folder: str) -> list[Part]:
    """The parts of a memory, oldest first."""
    files = storage.list_files(folder, suffix=".parquet")
    return [part for part in (Part(*_fields(file)) for file in files) if part.name.startswith(PREFIX)]


def _fields(file: storage.StoredFile) -> tuple[str, int]:
    return file.uri, file.num_bytes


def write_part(folder: str, entries: Iterable[Entry], after: Sequence[Part]) -> Part:
    """Write entries as the newest part, atomically; the copy of its footer is there before it."""
    columns: list[Any] = list(zip(*entries, strict=True)) or [()] * len(SCHEMA)
    table = pa.table([pa.array(column, each.type) for column, each in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
    content = io.BytesIO()
    pq.write_table(
        table,
        content,
        compression="zstd",
        row_group_size=ROW_GROUP,
        write_page_checksum=True,
        use_dictionary=["identity"],
    )
    number = 1 + max((int(part.name[len(PREFIX) :].split("-")[0]) for part in after), default=-1)
    name = f"{PREFIX}{number:06}-{uuid.uuid4().hex[:8]}.parquet"
    footer = io.BytesIO()
    pq.read_metadata(content).write_metadata_file(footer)
    storage.write_bytes(_footer_of(folder, name), footer.getvalue())
    uri = storage.join(storage.absolute(folder), name)
    storage.write_bytes(uri, content.getvalue())
    return Part(uri, len(content.getvalue()))


def delete_part(folder: str, part: Part) -> None:
    """Remove a part, whose rows are in a newer one."""
    storage.delete(part.uri)
    storage.delete(_footer_of(folder, part.name))


def read_part(folder: str, part: Part, columns: list[str] | None = None) -> tuple[pa.Table, int]:
    """The rows of a part that can be read, and the number of those that cannot.

    Raises:
        InputError: no row of the part can be read.
    """
    content = pa.BufferReader(storage.read_bytes(part.uri))
    try:
        return pq.ParquetFile(content, page_checksum_verification=True).read(columns), 0
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        pass
    footer = _footer_of(folder, part.name)
    if not storage.exists(footer):
        raise InputError(
            f"{part.uri} of the translation memory is damaged, and the copy of its footer ({footer}) is gone; restore "
            f"the file, or remove it and have its texts translated again"
        )
    file = pq.ParquetFile(
        content, metadata=pq.read_metadata(io.BytesIO(storage.read_bytes(footer))), page_checksum_verification=True
    )
    whole = []
    for number in range(file.metadata.num_row_groups):
        try:
            whole.append(file.read_row_group(number, columns))
        except (pa.ArrowException, OSError):
            continue
    names = columns or SCHEMA.names
    schema = pa.schema([SCHEMA.field(name) for name in names])
    table = pa.concat_tables([each.cast(schema) for each in whole]) if whole else schema.empty_table()
    return table, file.metadata.num_rows - len(table)


def entries_of(table: pa.Table) -> Iterator[Entry]:
    """The entries in the rows of a part."""
    for batch in table.to_batches(max_chunksize=ROW_GROUP):
        yield from map(Entry._make, zip(*(batch.column(name).to_pylist() for name in SCHEMA.names), strict=True))


def _footer_of(folder: str, name: str) -> str:
    return storage.join(folder, FOOTERS, f"{name}.footer")
