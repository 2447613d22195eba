"""Numbers in a text by their value, however it writes them: 1,000.5 and 1.000,5 and 12 000; 15억; 3 pm.

A number of the source is a set of values, of which the translation has to have one: 3 pm is 3 or 15. What the
translation has is one set of values, with every reading of what could be read in two ways.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction

from crossrank.translation.filters.language import Language
from crossrank.translation.filters.number_words import HALF, SCALES, numbers_in_words
from crossrank.translation.filters.web import without_web

Values = frozenset[Fraction]

_THIN_SPACES = "\u00a0\u202f\u2009"
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_BEHIND_LETTER = re.compile(r"[a-z][₀-₉⁰¹²³⁴-⁹]+|(?<=[a-z])\d+(?:[.,]\d+)*", re.IGNORECASE)
"""Formulas, powers and names: CO₂ and m² have other words in other languages, and no number of anything."""
_GROUPED = re.compile(rf"\d{{1,3}}(?:[ '’]\d{{3}})+(?!\d)(?:[.,]\d+)?|{_NUMBER.pattern}")
_THINLY_GROUPED = re.compile(rf"\d{{1,3}}(?:['’]\d{{3}})+(?!\d)(?:\.\d+)?|{_NUMBER.pattern}")
"""English has no numbers with spaces of full width, but rows of numbers."""
LONGEST_NUMBER = 400
_LONG = re.compile(r"(\d{40})\d+")
"""Python reads no number of some thousand digits; of a longer one its beginning is compared."""
_POINT = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_COMMA = re.compile(r"\d{1,3}(?:\.\d{3})+(?:,\d+)?|\d+(?:,\d+)?")
_SPACED = re.compile(r"\d{1,3}(?:[ '’]\d{3})+(?:[.,]\d+)?")
_AFTER = re.compile(r"[\s-]?\s*([^\W\d_]+)\.?")
_CLOCK = re.compile(r"(?:[:.]\d\d)?\s*([ap])\.?\s?m\b\.?")
_DECADE = re.compile(r"['’]?s\b")
_FRACTION = re.compile(r"\s*[/⁄]\s*\d")
MYRIADS = frozenset(("ko", "ja", "zh"))
"""Languages that count in ten thousands."""
_BEFORE_NFKC = str.maketrans({**dict.fromkeys(_THIN_SPACES, "'"), **{half: f" {half}" for half in "¼½¾⅓⅔⅛"}})
_SMALL = {"십": 10, "백": 100, "천": 1000}
_LARGE = {"만": 10**4, "억": 10**8, "조": 10**12, "경": 10**16}
_HANJA = str.maketrans("十百千万萬億亿兆", "십백천만만억억조")
_MYRIADS = re.compile(r"\s?(\d[\d,]*(?:\.\d+)?)\s?([십백천]*)([만억조경]?)")


def numbers_of_source(text: str, language: Language, target: Language) -> list[Values]:
    """Each number that a text writes in digits, as the values that a translation into `target` may give it."""
    folded = _folded(_BEHIND_LETTER.sub(" ", text))
    if language.code not in SCALES:
        return list(_unscaled(folded, language))
    return list(_wanted(folded, language, target.code in SCALES or target.code in MYRIADS))


def values_of_target(text: str, language: Language) -> set[Fraction]:
    """Every value that a translation can be read to hold, in digits or in words."""
    folded = _folded(text)
    found: set[Fraction] = set(numbers_in_words(folded, language.code))
    for pattern in (_GROUPED, _NUMBER):
        for match in pattern.finditer(folded):
            readings = _readings(match.group(), language)
            found |= readings
            scale = _scale(folded, match.end(), language)
            found |= {value * scale for value in readings}
    if language.code in MYRIADS:
        found |= _myriads(folded)
    found |= {a / b for a, b in _fractions(folded)}
    return found


def _folded(text: str) -> str:
    """Case and width folded. What NFKC would spoil is put otherwise before: 1½, and the thin space in 12 000."""
    normal = unicodedata.normalize("NFKC", without_web(text).translate(_BEFORE_NFKC)).casefold()
    return _LONG.sub(r"\1", normal).translate(_HANJA)


def _wanted(folded: str, language: Language, has_scales: bool) -> Iterator[Values]:
    pattern = _THINLY_GROUPED if language.has_decimal_point else _GROUPED
    halves = {HALF, *(a / b for a, b in _fractions(folded))}
    for match in pattern.finditer(folded):
        number, end = match.group(), match.end()
        before = folded[max(0, match.start() - 3) : match.start()]
        values = _readings(number, language, strict=True)
        if number == "00" and before.endswith(":"):
            continue  # 8:00 is 8 o'clock
        clock = _CLOCK.match(folded, end)
        scale = _scale(folded, end, language)
        if len(values) > 1:  # a version or a date: each of its numbers
            yield from (frozenset((value,)) for value in sorted(values))
        elif clock:
            yield _hours(values)
        elif max(values) < 100 and (_DECADE.match(folded, end) or before.endswith(("'", "’"))):
            yield frozenset((*values, *(value + 1900 for value in values), *(value + 2000 for value in values)))
        elif _FRACTION.match(folded, end) or before.rstrip().endswith(("/", "⁄")):
            yield frozenset((*values, *halves))
        else:
            # Where the target's word for a million is not known, the 2 of "2 million" is enough; 5m may be metres.
            is_unit = folded[end : end + 1] in ("k", "m", "b")
            factors = (scale,) if has_scales and not is_unit else (scale, 1)
            yield frozenset(value * factor for value in values for factor in factors)


def _unscaled(folded: str, language: Language) -> Iterator[Values]:
    """Of a language whose words for powers of ten are counted in another manner, or not known: with and without."""
    whole = _myriads(folded) if language.code in MYRIADS else set()
    for match in (_THINLY_GROUPED if language.has_decimal_point else _GROUPED).finditer(folded):
        values = _readings(match.group(), language, strict=True)
        if len(values) > 1:
            yield from (frozenset((value,)) for value in sorted(values))
        else:
            yield frozenset((*values, *whole))


def _hours(values: set[Fraction]) -> Values:
    """An hour by the clock of twelve, and by that of twenty-four."""
    return frozenset((*values, *((value + 12) % 24 for value in values)))


def _scale(folded: str, end: int, language: Language) -> int:
    after = _AFTER.match(folded, end)
    scales = SCALES.get(language.code, {})
    if after is None:
        return 1
    word = after.group(1)
    if word in ("k", "m", "b") and folded[end : end + 1] != word:
        return 1  # 5 m are metres
    return scales.get(word, 1)


def _readings(number: str, language: Language, *, strict: bool = False) -> set[Fraction]:
    """The values of a run of digits, points and commas.

    One, if it is a number as the language writes them. Otherwise that of the other kind of language, which a
    translator may have left as it was, or the numbers that it is made of: 192.168.0.1, 31.12.2023.

    Args:
        strict: give what it is made of only where it is no number at all.
    """
    number = number[:LONGEST_NUMBER]
    if _SPACED.fullmatch(number):
        number = re.sub("[ '’]", "", number)
    own, other = (_POINT, _COMMA) if language.has_decimal_point else (_COMMA, _POINT)
    if own.fullmatch(number):
        return {_value(number, own is _POINT)}
    parts = {Fraction(int(part)) for part in re.split(r"[.,]", number) if part}
    if other.fullmatch(number):
        value = {_value(number, other is _POINT)}
        return value if strict else value | parts
    return parts


def _value(number: str, has_point: bool) -> Fraction:
    thousands, decimal = (",", ".") if has_point else (".", ",")
    return Fraction(number.replace(thousands, "").replace(decimal, "."))


def _fractions(folded: str) -> Iterator[tuple[Fraction, Fraction]]:
    for a, b in re.findall(r"(\d+)\s*[/⁄]\s*(\d+)", folded):
        if int(b):
            yield Fraction(int(a)), Fraction(int(b))


def _myriads(folded: str) -> set[Fraction]:
    """Korean, Japanese and Chinese numbers: 2억 9979만 2458, 45억 4천만, 125만."""
    found: set[Fraction] = set()
    total, below, end = Fraction(0), 0, -1
    for match in _MYRIADS.finditer(folded):
        digits, small, large = match.groups()
        value = Fraction(digits[:LONGEST_NUMBER].replace(",", ""))
        for unit in small:
            value *= _SMALL[unit]
        found |= {value, value * _LARGE.get(large, 1)}
        size = _LARGE.get(large, 1)
        value *= size
        goes_on = match.start() == end and 0 < size < below
        total = total + value if goes_on else value
        found.add(total)
        below, end = (size if large else 0), match.end()
    return found
