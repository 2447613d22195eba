"""Which files a URI stands for: a file itself, or the files of one kind in a folder."""

from __future__ import annotations

from crossrank import storage
from crossrank.errors import InputError

JSON_LINES = (".jsonl", ".ndjson")
TSV = (".tsv",)
CSV = (".csv",)
PARQUET = (".parquet",)


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
