"""Hours of the day: 5 pm, 17:00, 오후 5시 and 午後5時 are one hour, by the clock of twelve or of twenty-four."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from crossrank.filtering.rules.number_words import HALF, number_pattern, value_of_word

NIGHT = ("밤", "한밤")
_AFTERNOON = ("오후", "저녁", "낮", *NIGHT, "午後", "夜", "夕方", "下午", "晚上", "傍晚", "中午")
_MORNING = ("오전", "아침", "새벽", "午前", "朝", "上午", "早上", "凌晨")
_BEFORE = re.compile(rf"({'|'.join((*_AFTERNOON, *_MORNING))})(?:에|의)?\s*$")
_HOUR = re.compile(r"\s?(?:시(?!간)|時(?!間)|点|點|:\d\d)")
_MINUTES = r"(?:[:.h]\s?\d\d)?"
_AM_PM = re.compile(rf"{_MINUTES}\s*([ap])\.?\s?m\b\.?")
_PART_OF_DAY = re.compile(
    rf"{_MINUTES}\s?(?:o['’]clock|uhr(?:\s\d\d)?|heures?(?:\s\d\d)?|h)?,?\s(?:"
    r"(?P<late>in the (?:afternoon|evening)|at night|nachmittags|abends|am (?:nachmittag|abend)|du soir"
    r"|de l['’]après-midi|de la (?:tarde|noche))"
    r"|(?P<early>in the morning|morgens|am morgen|früh|du matin|de la mañana))"
)
_MINUTES_BEFORE = re.compile(r"(?<!\d)(?:[01]?\d|2[0-4])[:.]$")
_SPOKEN = re.compile(rf"(?:{'|'.join(_AFTERNOON)})\s?({number_pattern('ko')})\s?시(?!간)")
_QUARTER_TO = re.compile(r"quarter\s(?:to|of|before)\s(\d{1,2})(?!\d)")
_TO_COME = re.compile(r"(?<!\d)(\d{1,2})시\s?([1-5]?\d)분\s?전")


def hours(values: set[Fraction], text: str, start: int, end: int) -> set[Fraction] | None:
    """The hours that a number in a folded text may be written as; None where it is no hour of a half day."""
    late = is_late(text, start, end)
    if late is None or not all(1 <= value <= 12 for value in values):
        return None
    return {hour for value in values for hour in _by_both_clocks(value, late, text[:start])}


def is_late(text: str, start: int, end: int) -> bool | None:
    """Whether a number is an hour after noon; None where nothing says that it is an hour of a half day."""
    marked = _AM_PM.match(text, end)
    if marked:
        return marked[1] == "p"
    part = _PART_OF_DAY.match(text, end)
    if part:
        return part["late"] is not None
    before = _BEFORE.search(text[max(0, start - 8) : start])
    if before and _HOUR.match(text, end):
        return before[1] in _AFTERNOON
    return None


def is_minutes(text: str, start: int) -> bool:
    """Whether a number of two digits stands behind an hour."""
    return _MINUTES_BEFORE.search(text[max(0, start - 3) : start]) is not None


def minutes(values: set[Fraction]) -> set[Fraction]:
    """The values of minutes, with a half for 30: 다섯 시 반, half past five."""
    return values | {HALF} if values == {30} else values


def spoken_hours(text: str, code: str) -> Iterator[Fraction]:
    """Yield the hours after noon that a folded Korean text has in words, by the clock of twenty-four: 오후 다섯 시."""
    for found in _SPOKEN.finditer(text) if code == "ko" else ():
        value = value_of_word(found[1], code)
        if 1 <= value < 12:
            yield value + 12


def hours_to_come(text: str) -> Iterator[Fraction]:
    """Yield the hours and minutes of times before an hour: 6시 15분 전 is 5:45."""
    for found in _TO_COME.finditer(text):
        hour, before = int(found[1]) - 1, found.start(1)
        yield from (Fraction(hour), Fraction(60 - int(found[2])))
        if is_late(text, before, found.end(1)):
            yield Fraction(hour + 12)


def hours_before(text: str) -> Iterator[tuple[int, int, Fraction]]:
    """The hour of a quarter to 5, which is 4, and where the 5 begins and ends."""
    for found in _QUARTER_TO.finditer(text):
        yield found.start(1), found.end(1), Fraction((int(found[1]) - 1) or 12)


def _by_both_clocks(value: Fraction, late: bool, before: str) -> set[Fraction]:
    if value == 12:
        if before.rstrip().endswith(NIGHT):
            return {value, Fraction(0), Fraction(24)}
        return {value} if late else {value, Fraction(0)}
    return {value, value + 12} if late else {value}
