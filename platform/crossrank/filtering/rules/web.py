"""URLs and e-mail addresses in a text."""

from __future__ import annotations

import re

# ASCII alone: in Korean a particle follows without a space.
_CHARACTERS = r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]"
_TOP = r"(?:com|org|net|edu|gov|mil|int|info|biz|io|ai|dev|app|co\.uk|ac\.uk|de|fr|kr|jp|cn|eu)"
WEB = re.compile(
    rf"(?:https?|ftp)://{_CHARACTERS}+"
    rf"|www\.{_CHARACTERS}+"
    # Where they begin and how long they may be is bounded, or a long run of letters would be tried from each of them.
    r"|(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+"
    rf"|(?<![A-Za-z0-9@.-])(?:[A-Za-z0-9-]{{1,63}}\.)+{_TOP}(?![A-Za-z0-9])(?:/{_CHARACTERS}*)?",
    re.IGNORECASE | re.ASCII,
)
_HINT = re.compile(r"[A-Za-z0-9](?:[.@]|://)[A-Za-z0-9]")
"""A part of every URL and address that is found faster, so that most texts need no second look."""


def web_names(text: str) -> list[str]:
    """The URLs and addresses in a text, without the punctuation that follows them."""
    return [_trimmed(found) for found in WEB.findall(text)] if _HINT.search(text) else []


def without_web(text: str) -> str:
    """A text without its URLs and addresses."""
    return WEB.sub(" ", text) if _HINT.search(text) else text


def _trimmed(name: str) -> str:
    while name and (name[-1] in ".,;:!?'\"*" or (name[-1] in ")]" and name.count(name[-1]) > name.count(_open(name)))):
        name = name[:-1]
    return name


def _open(name: str) -> str:
    return "(" if name[-1] == ")" else "["
