"""Every error that crossrank raises on purpose, and what the caller should do about it.

    CrossrankError
    ├── UserError             the input or the flags are wrong: read the sentence (exit status 2)
    │   ├── SettingsError     a flag, a configuration file, or two that do not go together
    │   ├── InputError        a file that cannot be read as what it was said to be
    │   ├── StorageError      a URI that cannot be reached: bucket, credentials, permissions
    │   ├── OutputError       an output that cannot be written, or holds something else
    │   ├── BackendRefused    a translation service that does not serve: credentials, permission, languages
    │   ├── ModelRefused      a model that cannot be scored with, and what to use instead
    │   ├── CorpusTooLarge    the corpus does not fit where it has to
    │   ├── UnitOverBudget    one indivisible unit alone is over the token budget
    │   └── MissingExtra      an optional dependency is not installed
    └── JobFailed             the work itself failed: read the log, run the same command again (exit status 1)

A message says what, its value, the limit and the way out, in one sentence. Errors of other libraries
are translated where they arise, with ``from error``.
"""

import re

USER_OF_URL = re.compile(r"//[^/\s@]*@")
"""An endpoint or a proxy may be given with a password, and a sentence goes to a log."""
WORD_OF_NAME = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a word begins in the name of a class, such as before Timeout in ReadTimeout, or after OS in OSError."""


def in_short(error: object, most: int = 200) -> str:
    """What another library says, in one line and without the passwords of URLs; what has no text is named by its kind.

    Args:
        most: characters; what is longer ends with the last whole word, and dots.
    """
    told = USER_OF_URL.sub("//", " ".join(str(error).split()))
    if not told and isinstance(error, BaseException):
        return kind_of(error)
    return told if len(told) <= most else f"{told[:most].rsplit(' ', 1)[0]} ..."


def kind_of(error: BaseException) -> str:
    """What kind of error it is, in words: ``read timeout``, not the name of a class in Python."""
    words = WORD_OF_NAME.sub(" ", type(error).__name__).replace("_", " ").split()
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)


class CrossrankError(Exception):
    """Anything that crossrank raises on purpose."""


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
