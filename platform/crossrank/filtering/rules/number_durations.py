"""Spans of time by their length: 90 minutes, 1시간 30분, 한 시간 반 and anderthalb Stunden are one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from crossrank.filtering.rules.number_words import HALF, number_pattern, value_of_word

Readings = Callable[[str], set[Fraction]]
"""The values of a run of digits, points and commas."""


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time. Months have no length in seconds, so the two are never compared."""

    amount: Fraction
    in_months: bool


@dataclass(frozen=True, slots=True)
class Span:
    """A number with a unit of time, its own length, and that of the whole that it may be a part of."""

    start: int
    end: int
    own: frozenset[Duration]
    whole: frozenset[Duration]


_SECONDS = {
    1: "second seconds sec secs 초 sekunde sekunden 秒 秒鐘 seconde secondes segundo segundos",
    60: "minute minutes min mins 분 minuten 分 分間 分钟 分鐘 minuto minutos",
    3600: "hour hours hr hrs h 시간 stunde stunden std 時間 小时 小時 heure heures hora horas",
    86400: "day days 일 tag tage tagen 日 日間 天 jour jours día días",
    604800: "week weeks 주 주일 주간 woche wochen 週間 周 週 星期 semaine semaines semana semanas",
}
_MONTHS = {
    1: "month months 개월 달 monat monate monaten か月 ヶ月 カ月 个月 個月 mois mes meses",
    12: "year years yr yrs 년 년간 해 jahr jahre jahren 年 年間 an ans année années año años",
    120: "decade decades jahrzehnt jahrzehnte jahrzehnten",
    1200: "century centuries 세기 jahrhundert jahrhunderte jahrhunderten siècle siècles siglo siglos",
}
UNITS = {
    unit: Duration(Fraction(size), in_months)
    for table, in_months in ((_SECONDS, False), (_MONTHS, True))
    for size, units in table.items()
    for unit in units.split()
}
_LATIN = sorted((unit for unit in UNITS if re.match(r"[a-zí]", unit)), key=len, reverse=True)
_OTHERS = sorted((unit for unit in UNITS if unit not in _LATIN), key=len, reverse=True)
_AND = re.compile(r"[\s,]{0,3}(?:and|und|et|y|과|와)?\s{0,2}")
_DAY = UNITS["day"]
_DAYS = ("하루(?!살)", "이틀", "사흘", "나흘", "닷새", "엿새", "이레", "여드레", "아흐레", "열흘")
IDIOMS: dict[str, Duration] = {
    r"half[ -](?:an? )?hour|반\s?시간|halbe\w? stunde|半時間|半小时|半小時": Duration(Fraction(1800), in_months=False),
    r"half[ -]a?[ -]?day|halbe\w? tag": Duration(Fraction(43200), in_months=False),
    r"half[ -]a?[ -]?year|반년|halbe\w? jahr|半年": Duration(Fraction(6), in_months=True),
    "일주일": UNITS["week"],
    "보름": replace(_DAY, amount=15 * _DAY.amount),
    **{word: replace(_DAY, amount=days * _DAY.amount) for days, word in enumerate(_DAYS, start=1)},
    **{rf"{word}\s?반": replace(_DAY, amount=(days + HALF) * _DAY.amount) for days, word in enumerate(_DAYS, start=1)},
}
"""Lengths that a language has without a number and a unit."""


def durations_of(text: str, code: str, readings: Readings) -> set[Duration]:
    """Every length of time in a folded text: of each span, and of spans that belong together."""
    found = {length for span in spans_of(text, code, readings) for length in span.own | span.whole}
    return found | {length for idiom, length in IDIOMS.items() if re.search(idiom, text)}


def spans_of(text: str, code: str, readings: Readings) -> list[Span]:
    """The spans of a folded text in order; those that follow each other from large to small are one whole."""
    chains: list[list[Span]] = []
    for found in _pattern(code).finditer(text):
        unit = UNITS[found["unit"]]
        half = HALF if found["half"] or found["end_half"] else Fraction(0)
        amounts = _amounts(found["number"], code, readings)
        own = frozenset(Duration((amount + half) * unit.amount, unit.in_months) for amount in amounts)
        span = Span(found.start(), found.end(), own, own)
        if chains and _goes_on(chains[-1][-1], span, text):
            chains[-1].append(span)
        else:
            chains.append([span])
    return [replace(span, whole=_whole(chain)) for chain in chains for span in chain]


def _amounts(number: str, code: str, readings: Readings) -> set[Fraction]:
    mixed = re.fullmatch(r"(?:(\d+)[\s-])?(\d+)\s?[/⁄]\s?(\d+)", number)
    if mixed:
        whole, above, below = (int(part or 0) for part in mixed.groups())
        return {whole + Fraction(above, below)} if below else set()
    return readings(number) if number[0].isdigit() else {value_of_word(number, code)}


def _goes_on(before: Span, span: Span, text: str) -> bool:
    if len(before.own) != 1 or len(span.own) != 1 or not _AND.fullmatch(text, before.end, span.start):
        return False
    [larger], [smaller] = before.own, span.own
    return larger.in_months == smaller.in_months and larger.amount > smaller.amount


def _whole(chain: list[Span]) -> frozenset[Duration]:
    lengths = [length for span in chain for length in span.own]
    if len(chain) == 1:
        return chain[0].own
    return frozenset((Duration(sum((each.amount for each in lengths), Fraction(0)), lengths[0].in_months),))


@lru_cache(maxsize=8)
def _pattern(code: str) -> re.Pattern[str]:
    number = r"(?<![\d.,/])(?:(?:\d{1,4}[\s-])?\d{1,4}\s?[/⁄]\s?\d{1,4}|\d+(?:[.,]\d+)*)"
    words = number_pattern(code)
    either = rf"{number}|(?<![^\W\d_])(?:{words})" if words else number
    half = r"\sand\sa\shalf|-and-a-half|\s?einhalb"
    return re.compile(
        rf"(?P<number>{either})(?P<half>{half})?(?:e[nrsm]?)?[\s-]?"
        rf"(?P<unit>(?:{'|'.join(_LATIN)})(?![^\W\d_])|{'|'.join(_OTHERS)})"
        rf"(?P<end_half>\s?반(?![가-힣]{{2}})|半|\sand\sa\shalf|\sund\seine?\shalbe)?"
    )
