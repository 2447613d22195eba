"""`lost_url`: a URL or an e-mail address of the source that the translation does not have."""

from __future__ import annotations

from crossrank.filtering.rules.text_pair import TextPair
from crossrank.filtering.rules.web import web_names


def has_lost_url(pair: TextPair) -> bool:
    """Whether a URL or an address is gone, or was itself translated."""
    target = pair.target.casefold()
    return any(_bare(name) not in target for name in web_names(pair.source))


def _bare(name: str) -> str:
    """The part of a URL that has to be kept: without its scheme and the slash at its end."""
    return name.casefold().removeprefix("https://").removeprefix("http://").rstrip("/")
