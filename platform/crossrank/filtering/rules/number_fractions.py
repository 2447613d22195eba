"""Fractions and halves: 1 1/2, 1½, 1.5, 한 컵 반, 4분의 1 and two and a half."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from crossrank.filtering.rules.number_words import HALF, number_pattern, value_of_word

_FRACTION = re.compile(
    r"(?<![\d/.])(?:(\d{1,4})(?:\s|-|\sand\s|\sund\s|[와과]\s?))?(\d{1,4})\s?[/⁄]\s?(\d{1,4})(?![\d/])"
)
_POWER = re.compile(r"(?<![\w.,^])(\d{1,3})\s?\^\s?(\d{1,2})(?![\w^])")
_PARTS = re.compile(r"(\d{1,4})\s?(?:분의|分の|分之)\s?(\d{1,4})")
_HALVES = {
    "en": r"({number})(?:\s|-)and(?:\s|-)(?:a|one)(?:\s|-)half",
    "de": r"({number})einhalb",
    "ko": r"({number})\s?(?:시간|[가-힣]{{1,4}})?\s?반(?![가-힣]{{2}})",
    "ja": r"({number})\S{{0,3}}半",
    "zh": r"({number})\S{{0,2}}半",
}


def fractions_of(text: str) -> Iterator[tuple[int, int, Fraction]]:
    """Yield the fractions in digits, with their whole if they have one, each with its start and end."""
    for found in _FRACTION.finditer(text):
        whole, above, below = (int(part or 0) for part in found.groups())
        if below and (not whole or above < below):
            yield found.start(), found.end(), whole + Fraction(above, below)


def powers_of(text: str) -> Iterator[tuple[int, int, Fraction]]:
    """Powers in digits, such as 10^6, and where each begins and ends."""
    for found in _POWER.finditer(text):
        yield found.start(), found.end(), Fraction(int(found[1]) ** int(found[2]))


def halves_of(text: str, code: str) -> Iterator[Fraction]:
    """Yield the values that a folded text writes as a number and a half, or as so many parts."""
    for found in _PARTS.finditer(text):
        if int(found[1]):
            yield Fraction(int(found[2]), int(found[1]))
    if code == "de" and "anderthalb" in text:
        yield Fraction(3, 2)
    if code not in _HALVES or not ("half" in text or "halb" in text or "반" in text or "半" in text):
        return
    words = number_pattern(code)
    number = rf"(?<![\d.,])\d{{1,9}}{'|' + words if words else ''}"
    for found in re.finditer(_HALVES[code].format(number=number), text):
        yield (Fraction(found[1]) if found[1].isdigit() else value_of_word(found[1], code)) + HALF
