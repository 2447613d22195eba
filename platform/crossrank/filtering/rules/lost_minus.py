"""`lost_minus`: a number below zero in the source that is above it in the translation.

A hyphen before a number is mostly none: 5-10, F-16, 9am -5pm. A minus is one that stands free before a number and
has a unit behind it, or such a word or sign before it as only a number follows.
"""

from __future__ import annotations

import re
import unicodedata

from crossrank.filtering.rules.text_pair import TextPair
from crossrank.filtering.rules.web import without_web

_SIGN = "[-\u2212\u2013\ufe63\uff0d]"
_UNIT = (
    r"\s?(?:°|℃|℉|%|percent|prozent|퍼센트|degrees?|grad|도|度|celsius|fahrenheit|db\b|volts?\b|v\b|c\b|f\b|k\b|달러|원|점"
    r"|dollars?|euros?)"
)
_BEFORE = (
    r"(?:^|[\s(\[\"'“‘=:≈<>≤≥,;])(?:is|are|was|were|be|to|of|as|by|from|than|equals?|below|above|about|around|near|reached"
    r"|reach|and|or|between|under|over|ist|war|auf|von|bei|bis|und|unter|über|etwa|minus|[=:≈<>≤≥(]|[가-힣]{1,20})\s?$"
)
_NEGATIVE = re.compile(rf"(?<![^\s(\[\"'“‘=:≈<>≤≥,;~]){_SIGN}([$€£₩¥]?)(\d+(?:[.,]\d+)*)(?![\d/]|-\d)", re.IGNORECASE)
_HAS_UNIT = re.compile(_UNIT, re.IGNORECASE)
_IS_NUMBER_NEXT = re.compile(_BEFORE, re.IGNORECASE)
_WORD_WITH_DIGIT = re.compile(r"\d\S*\s$")
_WORDS = {
    "ko": r"영하|마이너스|음수|음의|적자|손실|△|▲|▼",
    "en": r"minus|negative|below|under|deficit|loss|less",
    "de": r"minus|negativ|unter|verlust|gefallen|gesunken|sank|fiel|rückgang|weniger|defizit",
    "ja": r"マイナス|零下|氷点下|負|減|赤字|下が|▲|△",
    "zh": r"零下|负|負|减|減|下降|亏|虧|跌",
    "fr": r"moins|négati|sous|baiss|perte|inférieur|déficit",
    "es": r"menos|bajo cero|negativ|baj|pérdida|déficit|cayó",
}
"""What says of a number that it is below zero, or in some languages that it is what something fell by."""
_FALLS = {
    "ko": re.compile(r"감소|하락|줄|떨어|내린|내려"),
    "en": re.compile(r"decreas|declin|drop|fell|fall|down|lower", re.IGNORECASE),
}
"""What says that a number is the length of a fall, unless it is the level that something fell to."""
_LEVEL = {
    "ko": re.compile(r"\s?[^\s\d]{0,3}?(?:까지|으로|로)(?![가-힣])"),
    "en": re.compile(r"\bto\s(?:around\s|about\s)?$", re.IGNORECASE),
}
"""Words behind a number, in English before it, that make it the level that something fell to."""
_SAID = {code: re.compile(words, re.IGNORECASE) for code, words in _WORDS.items()}


def has_lost_minus(pair: TextPair) -> bool:
    """Whether a negative number of the source stands in the translation without a sign or a word for it.

    False for languages whose words for it are not known; a number that is gone is found by `lost_number`.
    """
    said = _SAID.get(pair.target_language.code)
    if said is None or said.search(pair.target):
        return False
    target, code = unicodedata.normalize("NFKC", pair.target), pair.target_language.code
    falls = code in _FALLS and _FALLS[code].search(target) is not None
    return any(
        _is_positive_in(target, number) and not (falls and not _is_level(target, number, code))
        for number in _negatives(pair.source)
    )


def _negatives(text: str) -> list[str]:
    prose = without_web(text)
    found = []
    for match in _NEGATIVE.finditer(prose):
        before = prose[max(0, match.start() - 40) : match.start()]
        is_amount = match[1] or _HAS_UNIT.match(prose, match.end())
        if not _WORD_WITH_DIGIT.search(before) and (is_amount or _IS_NUMBER_NEXT.search(before)):
            found.append(match[2])
    return found


def _is_positive_in(target: str, number: str) -> bool:
    """Whether the digits are there, nowhere with a sign before them or in the brackets of accounts."""
    places = _places(target, number)
    signed = re.compile(rf"(?:{_SIGN}\s?[$€£₩¥]?\s?|\(\s?[$€£₩¥]?)$")
    return bool(places) and not any(
        signed.search(target[max(0, place.start() - 4) : place.start()]) for place in places
    )


def _is_level(target: str, number: str, code: str) -> bool:
    """Whether something fell to the number and not by it."""
    if code == "ko":
        return any(_LEVEL[code].match(target, place.end()) for place in _places(target, number))
    return any(_LEVEL[code].search(target[: place.start()]) for place in _places(target, number))


def _places(target: str, number: str) -> list[re.Match[str]]:
    return list(re.finditer(rf"(?<![\d.,]){re.escape(number)}(?![\d]|[.,]\d)", target))
