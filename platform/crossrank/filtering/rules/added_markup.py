"""`added_markup`: tags and a model's own tokens (``<b>``, ``</s>``, ``[SEP]``) that only the translation has."""

from __future__ import annotations

import html
import re

from crossrank.filtering.rules.lost_tag import tags_of
from crossrank.filtering.rules.text_pair import TextPair

_TOKEN = re.compile(
    r"</?s>|<(?:pad|unk|bos|eos|mask|cls|sep|sos)>|\[(?:SEP|CLS|PAD|UNK|MASK|BOS|EOS)\]|\[/?INST\]|<</?SYS>>"
    r"|<\|[a-z_]{1,30}\|>|<extra_id_\d{1,3}>|<(?:start|end)_of_turn>"
)


def has_added_markup(pair: TextPair) -> bool:
    """Whether there is a tag or a token that the source neither has nor speaks of."""
    if "<" not in pair.target and "[" not in pair.target:
        return False
    source = html.unescape(pair.source)
    if set(_TOKEN.findall(pair.target)) - set(_TOKEN.findall(source)):
        return True
    words = set(re.findall(r"[a-z][a-z0-9]*", source.casefold()))
    added = {name for _, name in tags_of(pair.target)} - {name for _, name in tags_of(source)}
    return bool(added - words)
