"""Values of the numbers in a text, however it writes them: 1,000.5 and 1.000,5 and 12 000; 15억; 3 pm.

A number of the source is a set of values, of which the translation has to have one: 3 pm is 3 or 15. The translation
gives one set of values, with every reading of a number that can be read in two ways.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction

from crossrank.filtering.rules.language import Language
from crossrank.filtering.rules.number_clock import hours, hours_before, hours_to_come, is_minutes, minutes, spoken_hours
from crossrank.filtering.rules.number_durations import Duration, Span, durations_of, spans_of
from crossrank.filtering.rules.number_fractions import fractions_of, halves_of, powers_of
from crossrank.filtering.rules.number_words import HALF, SCALES, composed_numbers, numbers_in_words
from crossrank.filtering.rules.web import without_web

Value = Fraction | Duration
Values = frozenset[Value]

_THIN_SPACES = "\u00a0\u202f\u2009"
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_BEHIND_LETTER = re.compile(r"[a-z][₀-₉⁰¹²³⁴-⁹]+|(?<=[a-z])\d+(?:[.,]\d+)*|<su[bp]>\d+</su[bp]>", re.IGNORECASE)
"""Formulas, powers and names: CO₂ and m² have other words in other languages, and no number of anything."""
_GROUPED = re.compile(rf"\d{{1,3}}(?:[ '’]\d{{3}})+(?!\d)(?:[.,]\d+)?|{_NUMBER.pattern}")
_THINLY_GROUPED = re.compile(rf"\d{{1,3}}(?:['’]\d{{3}})+(?!\d)(?:\.\d+)?|{_NUMBER.pattern}")
"""Numbers as English writes them: digits with spaces of full width between them are a row of numbers."""
LONGEST_NUMBER = 400
_LONG = re.compile(r"(\d{40})\d+")
"""A number of over 40 digits, of which only the beginning is compared: Python reads none of some thousand digits."""
_POINT = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_COMMA = re.compile(r"\d{1,3}(?:\.\d{3})+(?:,\d+)?|\d+(?:,\d+)?")
_SPACED = re.compile(r"\d{1,3}(?:[ '’]\d{3})+(?:[.,]\d+)?")
_AFTER = re.compile(r"[\s-]?\s*([^\W\d_]+)\.?")
_DECADE = re.compile(r"['’]?s\b")
_PERCENT = re.compile(r"\s?(?:%|percent|per cent|prozent|퍼센트|프로|パーセント|pour cent|por ciento)")
_RANGE = re.compile(r"\s?(?:-|–|—|~|to|bis|and|und)\s?\d[\d.,]*")
_LEADING_POINT = re.compile(r"(?<![\w.)\]])\.(?=\d)")
"""A point before a number without its zero: .5 is 0.5."""
_EACH = re.compile(r"\s?[a-z가-힣%]{1,4}\s?당(?![가-힣])")
"""The unit of a rate, whose 1 may be missing: 1L당 is "per litre"."""
_MINUTES_OF_HOUR = re.compile(r"\d\s?(?:시|時|点)\s?$")
MYRIADS = frozenset(("ko", "ja", "zh"))
"""Languages that count in ten thousands."""
_BEFORE_NFKC = str.maketrans({**dict.fromkeys(_THIN_SPACES, "'"), **{half: f" {half}" for half in "¼½¾⅓⅔⅛"}})
_SMALL = {"십": 10, "백": 100, "천": 1000}
_LARGE = {"만": 10**4, "억": 10**8, "조": 10**12, "경": 10**16}
_HANJA = str.maketrans("十百千万萬億亿兆", "십백천만만억억조")
_MYRIADS = re.compile(r"\s?(\d[\d,]*(?:\.\d+)?)\s?([십백천]*)([만억조경]?)")


def numbers_of_source(text: str, language: Language, target: Language) -> list[Values]:
    """The numbers that a text writes in digits, each as the values that a translation into `target` may give it."""
    folded = _BEHIND_LETTER.sub(" ", _folded(text))
    if language.code in SCALES:
        located = _wanted(folded, language, target.code in SCALES or target.code in MYRIADS)
    else:
        located = _unscaled(folded, language)
    spans = spans_of(folded, language.code, lambda number: _readings(number, language, strict=True))
    wholes = [*fractions_of(folded), *powers_of(folded), *hours_before(folded)]
    return [_with_wholes(place, values, spans, wholes) for place, values in located]


def values_of_target(text: str, language: Language) -> set[Value]:
    """Every value that a translation can be read to hold, in digits or in words."""
    folded = _folded(text)
    found: set[Value] = set(numbers_in_words(folded, language.code))
    found |= set(composed_numbers(folded, language.code))
    found |= {*spoken_hours(folded, language.code), *hours_to_come(folded)}
    found |= set(halves_of(folded, language.code))
    for pattern in (_GROUPED, _NUMBER):
        for match in pattern.finditer(folded):
            readings = _readings(match.group(), language)
            scale = _scale(folded, match.end(), language)
            found |= readings | {value * scale for value in readings}
            found |= hours(readings, folded, match.start(), match.end()) or set()
    if language.code in MYRIADS:
        found.update(*(values for _, _, values in _myriads(folded)))
    found |= {value for _, _, value in fractions_of(folded)}
    return found | durations_of(folded, language.code, lambda number: _readings(number, language))


def _with_wholes(place: int, values: Values, spans: list[Span], wholes: list[tuple[int, int, Fraction]]) -> Values:
    """The values of a number, and of what it is a part of: 1 of "1 1/2", 6 of "10^6", 30 of "1 hour 30 minutes"."""
    found: set[Value] = set(values)
    for start, end, value in wholes:
        if start <= place < end:
            found |= {value, HALF} if value.denominator > 1 else {value}
    for span in spans:
        if span.start <= place < span.end:
            found |= span.own | span.whole
    return frozenset(found)


def _folded(text: str) -> str:
    """A text with case and width folded; what NFKC would spoil is rewritten before: 1½, the thin space in 12 000."""
    normal = unicodedata.normalize("NFKC", without_web(text).translate(_BEFORE_NFKC)).casefold()
    return _LEADING_POINT.sub("0.", _LONG.sub(r"\1", normal).translate(_HANJA))


def _wanted(folded: str, language: Language, has_scales: bool) -> Iterator[tuple[int, Values]]:
    pattern = _THINLY_GROUPED if language.has_decimal_point else _GROUPED
    for match in pattern.finditer(folded):
        start, number, end = match.start(), match.group(), match.end()
        before = folded[max(0, start - 3) : start]
        values = _readings(number, language, strict=True)
        if number == "00" and before.endswith(":"):
            continue  # 8:00 is 8 o'clock
        by_the_clock = None if is_minutes(folded, start) else hours(values, folded, start, end)
        if len(values) > 1:  # a version or a date: each of its numbers
            yield from ((start, frozenset((value,))) for value in sorted(values))
        elif by_the_clock:
            yield start, frozenset(by_the_clock)
        elif max(values) < 100 and (_DECADE.match(folded, end) or before.endswith(("'", "’"))):
            yield start, frozenset((*values, *(value + 1900 for value in values), *(value + 2000 for value in values)))
        elif is_minutes(folded, start):
            yield start, frozenset(minutes(values))
        else:
            # Where the target's word for a million is not known, the 2 of "2 million" is enough; 5m may be metres.
            scale = _scale(folded, end, language)
            is_unit = folded[end : end + 1] in ("k", "m", "b")
            factors = {scale} if has_scales and not is_unit else {scale, 1}
            range_end = _RANGE.match(folded, end)
            if range_end:  # 1-2 million
                factors |= {1, _scale(folded, range_end.end(), language)}
            yield (
                start,
                frozenset((*(value * factor for value in values for factor in factors), *_share(values, folded, end))),
            )


def _unscaled(folded: str, language: Language) -> Iterator[tuple[int, Values]]:
    """Yield numbers with and without powers of ten, for a language whose words for those differ or are not known."""
    wholes = _myriads(folded) if language.code in MYRIADS else []
    for match in (_THINLY_GROUPED if language.has_decimal_point else _GROUPED).finditer(folded):
        start, end = match.start(), match.end()
        values = _readings(match.group(), language, strict=True)
        is_full_hour = match.group() == "00" and folded[start - 1 : start] == ":"
        if is_full_hour or (values == {1} and _EACH.match(folded, end)):
            continue
        if len(values) > 1:
            yield from ((start, frozenset((value,))) for value in sorted(values))
            continue
        if is_minutes(folded, start) or _MINUTES_OF_HOUR.search(folded[max(0, start - 4) : start]):
            values = minutes(values)
        else:
            values |= hours(values, folded, start, end) or set()
        values |= {value for begin, until, parts in wholes if begin <= start < until for value in parts}
        yield start, frozenset(values | _share(values, folded, end))


def _share(values: set[Fraction], folded: str, end: int) -> set[Fraction]:
    """The share that a percentage may be written as: half for 50 %, a fifth for 20 %."""
    return {value / 100 for value in values if value % 5 == 0} if _PERCENT.match(folded, end) else set()


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

    One value, if the run is a number as the language writes them. Otherwise that of the other way of writing, which a
    translator may have left as it was, or the numbers that the run is made of: 192.168.0.1, 31.12.2023.

    Args:
        strict: give the numbers that it is made of only where it is no number in either way.
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


def _myriads(folded: str) -> list[tuple[int, int, set[Fraction]]]:
    """Korean, Japanese and Chinese numbers, such as 2억 9979만 2458: start, end and possible values of each."""
    found: list[tuple[int, int, set[Fraction]]] = []
    total, below, end = Fraction(0), 0, -1
    for match in _MYRIADS.finditer(folded):
        digits, small, large = match.groups()
        value = Fraction(digits[:LONGEST_NUMBER].replace(",", ""))
        for unit in small:
            value *= _SMALL[unit]
        size = _LARGE.get(large, 1)
        parts = {value, value * size}
        value *= size
        if match.start() == end and 0 < size < below:
            start, _, before = found.pop()
            total += value
            found.append((start, match.end(), before | parts | {total}))
        else:
            total = value
            found.append((match.start(), match.end(), parts))
        below, end = (size if large else 0), match.end()
    return found
