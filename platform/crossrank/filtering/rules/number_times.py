"""Hours and months that stand in both texts and are not the same ones: 10 a.m. and 오후 10시, May 5 and 6월 5일.

Their digits are there, so as mere numbers they are not lost.
"""

from __future__ import annotations

import re
import unicodedata

from crossrank.filtering.rules.number_words import number_pattern, value_of_word

_EARLY = "오전|아침|새벽|午前|朝|上午|早上|凌晨"
_LATE = "오후|저녁|午後|夕方|下午"
"""Not words for the night, which goes on after midnight, nor 낮 and 中午, which begin before noon."""
_MARK_FIRST = re.compile(
    rf"(?:(?P<early>{_EARLY})|{_LATE})(?:에|의)?\s?(?P<hour>\d{{1,2}}|{number_pattern('ko')})\s?(?:시(?!간)|時(?!間)|点|點|:\d\d)"
)
_MARK_LAST = re.compile(
    r"(?<![\d.,:])(?P<hour>\d{1,2})(?:[:.]\d\d)?\s?"
    r"(?:(?:(?P<early>a)|p)\.?\s?m\b|(?:o['’]clock\s)?in the (?:(?P<morning>morning)|afternoon|evening))"
)
_MONTHS = (
    "jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|juli|aug(?:ust)?"
    "|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?"
)
_NAMED_MONTH = re.compile(
    rf"\b(?P<before>{_MONTHS})\.?\s(?:\d{{1,2}}(?:st|nd|rd|th)?|\d{{4}})\b"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th|\.)?\s(?:of\s)?(?P<behind>{_MONTHS})\b",
    re.IGNORECASE,
)
_COUNTED_MONTH = re.compile(r"(?<!\d)(1[0-2]|0?[1-9])\s?[월月]")
_BEGINNINGS = ("jan", "feb", "mar mär", "apr", "may mai", "jun", "jul", "aug", "sep", "oct okt", "nov", "dec dez")


def has_other_time(source: str, target: str) -> bool:
    """Whether an hour is in the other half of the day in the translation, or another month in the place of one."""
    hours, others = _hours(source), _hours(target)
    if any((hour, not is_late) in others - hours for hour, is_late in hours - others):
        return True
    months, other_months = _months(source), _months(target)
    return bool(months - other_months) and bool(other_months - months)


def _hours(text: str) -> set[tuple[int, bool]]:
    """Hours of a half day from 1 to 11, and whether each is after noon. What 12 o'clock is called differs too much."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    found = set()
    for match in _MARK_FIRST.finditer(folded):
        hour = match["hour"]
        found.add((int(hour) if hour.isdigit() else int(value_of_word(hour, "ko")), match["early"] is None))
    for match in _MARK_LAST.finditer(folded):
        found.add((int(match["hour"]), match["early"] is None and match["morning"] is None))
    return {(hour, is_late) for hour, is_late in found if 1 <= hour <= 11}


def _months(text: str) -> set[int]:
    """Months of the year: by name beside a day or a year, or as a number with the word for it."""
    normal = unicodedata.normalize("NFKC", text)
    found = {int(number) for number in _COUNTED_MONTH.findall(normal)}
    for match in _NAMED_MONTH.finditer(normal):
        name = (match["before"] or match["behind"]).casefold()
        if name[0] != (match["before"] or match["behind"])[0]:  # "may 5 of them" is no date
            found.add(next(number for number, begins in enumerate(_BEGINNINGS, start=1) if name[:3] in begins.split()))
    return found
