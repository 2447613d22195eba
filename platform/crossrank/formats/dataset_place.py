"""The place of a data set: ``hf://owner/name[:config][/split]``, or a local file or ``FOLDER[:config][/split]``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from crossrank.errors import InputError
from crossrank.formats.sources import CSV, JSON_LINES, PARQUET, TSV, has_extension

HUB = re.compile(r"hf://(?P<name>[\w.-]+/[\w.-]+)(?::(?P<config>[^/:]+))?(?:/(?P<split>[^/:]+))?/?")


READERS = {(*JSON_LINES, ".json"): "json", (*CSV, *TSV): "csv", PARQUET: "parquet"}
"""Readers of the `datasets` library by the extensions of the files that they read."""


def reader_of(path: str) -> str | None:
    """The reader of a single file, by its name; None for a folder, and for a file that none reads."""
    if not os.path.isfile(path):
        return None
    return next((reader for extensions, reader in READERS.items() if has_extension(path, extensions)), None)


@dataclass(frozen=True, slots=True)
class Place:
    """A data set and the part of it that is read."""

    uri: str
    """URI as the user wrote it."""
    path: str
    """Name on the hub, or local folder or file."""
    config: str | None = None
    split: str | None = None
    is_hub: bool = False


def place_of(uri: str) -> Place:
    """The data set that a URI names.

    Raises:
        InputError: the URI is written in another way, there is no such folder, or nothing in it.
    """
    if uri.startswith("hf://"):
        found = HUB.fullmatch(uri)
        if not found:
            raise InputError(f"{uri} is not hf://owner/name, with :config and /split after it where there are several")
        return Place(uri, found["name"], found["config"], found["split"], is_hub=True)
    if "://" in uri:
        raise InputError(f"{uri} is neither hf://owner/name nor a local folder; fetch it, and name its folder")
    return _folder(uri)


def _folder(uri: str) -> Place:
    if os.path.isfile(uri):
        if reader_of(uri) is None:
            kinds = ", ".join(extension for extensions in READERS for extension in extensions)
            raise InputError(f"{uri} is a file of no kind that is read as a data set; {kinds} are, or a folder of them")
        return Place(uri, uri)
    for path, config, split in _readings(uri.rstrip("/")):
        if not os.path.isdir(path):
            continue
        if not any(files for _, _, files in os.walk(path)):
            raise InputError(f"{path} is a folder without files; name one that holds a data set")
        return Place(uri, path, config, split)
    raise InputError(f"{uri} does not exist; name a folder, or hf://owner/name for a data set of the hub")


def _readings(uri: str) -> list[tuple[str, str | None, str | None]]:
    """Possible readings of a path: all of it is a folder, or its last part is a split; either may have a config."""
    above, _, last = uri.rpartition("/")
    readings: list[tuple[str, str | None, str | None]] = [(uri, None, None), (above, None, last)]
    for path, split in ((uri, None), (above, last)):
        folder, colon, config = path.rpartition(":")
        if colon and "/" not in config:
            readings.append((folder, config, split))
    return [reading for reading in readings if reading[0]]
