"""The files that a URI stands for: a file itself, or the files of one kind in a folder."""

from __future__ import annotations

from crossrank import storage
from crossrank.errors import InputError, SettingsError

JSON_LINES = (".jsonl", ".ndjson")
TSV = (".tsv",)
CSV = (".csv",)
PARQUET = (".parquet",)


PACKED = (".bz2", ".zst", ".lz4", ".br", ".xz", ".zip")
"""Extensions of packed files that crossrank does not write."""
DATA = (*JSON_LINES, ".json", *TSV, *CSV, *PARQUET, ".trec", ".run", ".qrels", ".arrow")
"""Extensions that say what a file holds. Any other may stand on any file."""


def file_name(uri: str) -> str:
    """The last element of a path."""
    return uri.rstrip("/").rsplit("/", 1)[-1]


def has_extension(uri: str, extensions: tuple[str, ...]) -> bool:
    """Whether a file is of a kind by its name, packed (``.gz``) or not."""
    return file_name(uri).lower().removesuffix(".gz").endswith(extensions)


def folder_files(uri: str) -> list[str]:
    """The files of a folder, sorted. Names that begin with ``_`` or ``.`` are not data. Refuses an empty folder."""
    files = [file.uri for file in storage.list_files(uri) if not file_name(file.uri).startswith(("_", "."))]
    if not files:
        raise InputError(f"{uri} is a folder without files; name a file or a folder that holds some")
    return files


def files_of(uri: str, extensions: tuple[str, ...]) -> list[str]:
    """The file that `uri` names, whatever it is called, or the files of a folder with one of the extensions.

    Refuses a URI where nothing is, and a folder without such files.
    """
    if not storage.is_folder(uri):
        if not storage.exists(uri):
            raise storage.absent(uri)
        return [uri]
    files = [file for file in folder_files(uri) if has_extension(file, extensions)]
    if not files:
        raise InputError(f"{uri} is a folder without {' or '.join(extensions)} files; name the file itself")
    return files


def refuse_other_extension(flag: str, uri: str, what: str, extensions: tuple[str, ...], *, packs: bool = True) -> None:
    """Refuse a file to be written whose name says that it holds something else.

    Args:
        flag: flag or argument that names the file.
        what: what is written to it, in the plural.
        extensions: extensions that the file may have, the usual one first; none for a folder.
        packs: whether a name that ends in ``.gz`` packs it.

    Raises:
        SettingsError: the name has an extension of data that is none of these, or of packing that is not done.
    """
    name = file_name(uri).lower()
    unpacked = name.removesuffix(".gz")
    is_other = unpacked.endswith(DATA) and not unpacked.endswith(extensions)
    if not (is_other or name.endswith(PACKED) or (name.endswith(".gz") and not packs)):
        return
    way_out = f"name it {' or '.join(extensions)}" if extensions else "name a folder, which has no extension"
    if name.endswith((*PACKED, ".gz")) and extensions:
        way_out += f", or {extensions[0]}.gz to have it packed" if packs else ", which is packed already"
    raise SettingsError(f"{flag} {uri} ends in .{name.rsplit('.', 1)[-1]}, and {what} are not written so; {way_out}")
