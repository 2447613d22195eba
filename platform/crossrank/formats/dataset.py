"""Any data set that the `datasets` library reads: of the hub (``hf://owner/name``), a folder or a file, as groups.

What it holds: what `dataset_columns` finds in its columns; the others ride in `Group.meta`, but for embeddings. A
passage has the id that its set gives it, else a hash of its text, so it is one document in however many rows it
stands. Only read, row by row.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from crossrank.errors import InputError, StorageError, in_short
from crossrank.formats.dataset_columns import columns_of
from crossrank.formats.dataset_place import Place, place_of, reader_of
from crossrank.formats.dataset_rows import classes_of, group_of, merged
from crossrank.formats.fields import accepted
from crossrank.formats.sources import TSV, has_extension
from crossrank.records import Group, Json, Reject
from crossrank.telemetry.progress import say

VECTOR_NUMBERS = 64
"""Numbers in a list from which it is taken for an embedding and not for scores."""
HUB_SECONDS = 20.0
"""Seconds to wait for the hub's first response."""


def read_groups(uri: str, reject: Reject) -> Iterator[tuple[int, Group]]:
    """Read one group per row, with the row's number from 1; neighbouring rows of one query, each with a document and
    its label, are one group.

    Says which columns it takes for what. Rejected: rows with anything but text where a text is wanted, and with bytes.

    Raises:
        InputError: no such data set, config or split; several, and none named; columns of another meaning.
        StorageError: the hub cannot be reached, or does not give it.
    """
    place = place_of(uri)
    dataset, split = _opened(place)
    rows = _rows(dataset, uri)
    first = next(rows, None)
    if first is None:
        return
    names = list(dataset.column_names or first)
    columns = columns_of(names, uri)
    vectors = [name for name in names if name not in columns.own and _is_vector(first.get(name))]
    riding = [name for name in names if name not in (*columns.own, *vectors)]
    parts = [f"{uri}: {columns}"]
    parts += [f"in meta: {', '.join(riding)}"] if riding else []
    parts += [f"left out as vectors: {', '.join(vectors)}"] if vectors else []
    say("; ".join(parts))
    if vectors:
        rows = _rows(dataset.remove_columns(vectors), uri)
        first = next(rows)
    classes = classes_of(dataset.features or {}, columns, uri)

    def group(row_number: int, row: Json) -> Group:
        return group_of(row_number, row, columns, classes, split)

    located = enumerate(_all(first, rows), start=1)
    groups = accepted(located, uri, reject, group)
    yield from merged(groups) if columns.labels and columns.positive else groups


def _is_vector(value: object) -> bool:
    """Whether a value is an embedding, which would be most of `meta` and is of no use there."""
    return isinstance(value, list) and len(value) >= VECTOR_NUMBERS and all(isinstance(each, float) for each in value)


def _all(first: Json, rest: Iterable[Json]) -> Iterator[Json]:
    yield first
    yield from rest


def _opened(place: Place) -> tuple[Any, str | None]:
    """The rows of a data set, not yet read, and the name of their split."""
    import datasets

    datasets.disable_progress_bars()
    if not place.is_hub and _saved(place.path):
        loaded: Any = _from_disk(place)
    else:
        revision = _hub_revision(place) if place.is_hub else None
        try:
            reader = reader_of(place.path)
            if reader is None:
                builder = datasets.load_dataset_builder(place.path, place.config, revision=revision)
            else:
                builder = datasets.load_dataset_builder(reader, data_files=place.path)
            if hasattr(
                builder.config, "keep_default_na"
            ):  # CSV: "None" and "NA" are words, and only an empty cell is none
                builder.config.keep_default_na, builder.config.na_values = False, [""]
                if has_extension(place.path, TSV):
                    builder.config.sep = "\t"
            loaded = builder.as_streaming_dataset()
        except ConnectionError as error:
            raise StorageError(f"{place.uri}: the hub cannot be reached ({in_short(error)}); name a folder") from error
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            raise InputError(f"{place.uri} cannot be read as a data set ({in_short(error)})") from error
    if not isinstance(loaded, dict):
        return loaded, place.split
    return _of_split(loaded, place)


def _saved(path: str) -> bool:
    return any(os.path.exists(os.path.join(path, name)) for name in ("state.json", "dataset_dict.json"))


def _from_disk(place: Place) -> Any:
    import datasets

    try:
        return datasets.load_from_disk(place.path)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{place.uri} cannot be read as a saved data set ({in_short(error)}); save it again"
        ) from error


def _of_split(loaded: dict[str, Any], place: Place) -> tuple[Any, str]:
    names = list(loaded)
    if place.split is None and len(names) == 1:
        return loaded[names[0]], names[0]
    if place.split is None:
        raise InputError(
            f"{place.uri} has the splits {', '.join(names)}; name one, as {place.uri.rstrip('/')}/{names[0]}"
        )
    if place.split not in loaded:
        raise InputError(f"{place.uri} has no split {place.split}; it has {', '.join(names)}")
    return loaded[place.split], place.split


def _hub_revision(place: Place) -> str:
    """The present commit of a data set on the hub, of which all files are then read."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    try:
        found = HfApi().dataset_info(place.path, timeout=HUB_SECONDS).sha
    except GatedRepoError as error:
        raise StorageError(
            f"{place.uri} asks for its terms to be accepted on the hub; do, then set HF_TOKEN"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise InputError(f"{place.uri} is no data set of the hub; check the spelling") from error
    except (HfHubHTTPError, OSError) as error:
        raise StorageError(f"{place.uri}: the hub cannot be reached ({in_short(error)}); name a folder") from error
    except Exception as error:  # its HTTP client raises errors of its own
        raise StorageError(f"{place.uri}: the hub cannot be reached ({in_short(error)}); name a folder") from error
    return str(found)


def _rows(dataset: Any, uri: str) -> Iterator[Json]:
    import datasets

    rows, count = iter(dataset), 0
    while True:
        try:
            row = next(rows, None)
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            raise InputError(f"{uri} cannot be read after row {count:,} ({in_short(error)}); fetch it again") from error
        if row is None:
            return
        count += 1
        yield row
