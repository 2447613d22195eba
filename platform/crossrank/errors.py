"""Every error that crossrank raises on purpose, and what the caller should do about it.

    CrossrankError
    ├── UserError             the input or the flags are wrong: read the sentence (exit status 2)
    │   ├── SettingsError     a flag, a configuration file, or two that do not go together
    │   ├── InputError        a file that cannot be read as what it was said to be
    │   ├── StorageError      a URI that cannot be reached: bucket, credentials, permissions
    │   ├── OutputError       an output that cannot be written, or holds something else (1 where a disk is full)
    │   ├── BackendRefused    a translation service that does not serve: credentials, permission, languages
    │   ├── ModelRefused      a model that cannot be scored with, and what to use instead
    │   ├── CorpusTooLarge    the corpus does not fit where it has to
    │   ├── UnitOverBudget    one indivisible unit alone is over the token budget
    │   └── MissingExtra      an optional dependency is not installed
    └── JobFailed             the work itself failed: read the log, run the same command again (exit status 1)

A message says what, its value, the limit and the way out, in one sentence. Errors of other libraries
are translated where they arise, with ``from error``.
"""

import errno
import os
import re
import reprlib
from collections.abc import Iterable
from typing import Any

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of the system where a disk, a quota or a limit of file size is full. A write that fails so names no file."""
CUT_SHORT = re.compile(r"\d+ requested and \d+ written")
USER_OF_URL = re.compile(r"//[^/\s@]*@")
"""User and password in the URL of an endpoint or a proxy, which no sentence may carry into a log."""
WORD_OF_NAME = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Boundary of two words in the name of a class, such as before Timeout in ReadTimeout, or after OS in OSError."""
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal obeys rather than shows (escapes, changes of direction), and half characters."""


def in_short(error: object, most: int = 200) -> str:
    """The message of another library on one line, without the passwords of URLs; one without text is named by its kind.

    Control characters are written out.

    Args:
        most: most characters; a longer message ends with the last whole word, and dots.
    """
    message = printable(USER_OF_URL.sub("//", " ".join(str(error).split())))
    if not message and isinstance(error, BaseException):
        return kind_of(error)
    return beginning(message, most)


def quoted(value: object, most: int = 80) -> str:
    """A wrong value in a sentence, as Python writes it.

    Args:
        most: most characters; a longer value ends with the last whole word, and dots. A text keeps its quotes.
    """
    if isinstance(value, str):
        written = repr(str(value[: most + 1]))
        return f"{written[0]}{beginning(written[1:-1], most)}{written[0]}"
    return in_short(_Beginning(most).repr(value), most)


def printable(text: str, kept: str = "") -> str:
    """The text with its control characters written out, such as ``\\x1b`` for the escape that begins a colour.

    Args:
        kept: control characters that stay as they are, such as the line ends of a table.
    """
    return CONTROL.sub(lambda found: found[0] if found[0] in kept else ascii(found[0])[1:-1], text)


def listed(names: Iterable[object], most: int = 400) -> str:
    """Names separated by commas, as many of them as fit in `most` characters."""
    return in_short(", ".join(map(str, names)), most)


def beginning(text: str, most: int) -> str:
    """The first `most` characters of a longer text up to the last whole word, and dots."""
    if len(text) <= most:
        return text
    words = text[: most + 1].rpartition(" ")[0]
    return f"{words if 2 * len(words) >= most else text[:most]} ..."


def is_full(error: BaseException | None) -> bool:
    """Whether there was no room to write. numpy says how much it wrote, and not why it was not all."""
    return isinstance(error, OSError) and (error.errno in NO_ROOM or CUT_SHORT.fullmatch(str(error)) is not None)


def unwritten(error: Exception) -> str:
    """The reason why something could not be written, in the words of the system and not of a library above it."""
    if is_full(error):
        assert isinstance(error, OSError)
        return os.strerror(error.errno or errno.ENOSPC)
    return getattr(error, "strerror", None) or str(error)


def exit_status(error: "CrossrankError") -> int:
    """2 where the input or the flags are wrong; 1 where the work failed, as it does on a disk that is full."""
    return 2 if isinstance(error, UserError) and not is_full(error.__cause__) else 1


def kind_of(error: BaseException) -> str:
    """The kind of an error in words: ``read timeout``, not the name of a class in Python."""
    words = WORD_OF_NAME.sub(" ", type(error).__name__).replace("_", " ").split()
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)


class _Beginning(reprlib.Repr):
    """Writes no more of a value than its beginning, however long its lists and texts are."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def repr_str(self, x: str, level: int) -> str:
        return repr(x[: self._most + 1])

    def repr_instance(self, x: Any, level: int) -> str:
        return repr(x)


class CrossrankError(Exception):
    """Anything that crossrank raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep that a disk is full, which decides the exit status: pickle drops causes, and a worker may meet it.

        Causes of other kinds may not pickle, and decide nothing.
        """
        cause = {"__cause__": self.__cause__} if is_full(self.__cause__) else {}
        return type(self), self.args, self.__dict__ | cause


class UserError(CrossrankError):
    """The input or the flags are wrong; the message says how to put them right."""


class SettingsError(UserError):
    """A flag or a configuration value is wrong, alone or together with another."""


class InputError(UserError):
    """A file cannot be read as what it was said to be."""


class StorageError(UserError):
    """A URI cannot be reached: no such bucket, no credentials, no permission."""


class OutputError(UserError):
    """An output cannot be written, or already holds the result of other settings."""


class BackendRefused(UserError):
    """A translation service does not serve: credentials, permission, region, languages."""


class ModelRefused(UserError):
    """A model that crossrank does not score with."""


class CorpusTooLarge(UserError):
    """A corpus needs more memory than there is."""


class UnitOverBudget(UserError):
    """One indivisible unit has more tokens than a batch may hold."""


class MissingExtra(UserError):
    """An optional dependency is needed and not installed."""

    @classmethod
    def of(cls, package: str, extra: str, purpose: str) -> "MissingExtra":
        """The sentence that names what to install."""
        return cls(f"{purpose} needs {package}, which is not installed; pip install 'crossrank[{extra}]'")


class JobFailed(CrossrankError):
    """A job stopped before its end. What it finished is kept; the same command goes on from there."""
