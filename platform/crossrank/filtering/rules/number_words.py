"""Numbers that are written as words: up to a hundred, powers of ten, months, and words that imply a number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

HALF = Fraction(1, 2)

_ENGLISH = """
one/first/a/an/single/once 1, two/second/twice/both/pair/double 2, three/third/thrice/triple 3, four/fourth 4,
five/fifth 5, six/sixth 6,
seven/seventh 7, eight/eighth 8, nine/ninth 9, ten/tenth 10, eleven 11, twelve/twelfth/dozen 12, thirteen 13,
fourteen 14, fifteen 15, sixteen 16, seventeen 17, eighteen 18, nineteen 19, twenty 20, thirty 30, forty 40, fifty 50,
sixty 60, seventy 70, eighty 80, ninety 90, hundred 100, thousand 1000, million 1000000, billion 1000000000, zero 0
"""
_GERMAN = """
ein/erst/einmal/eins 1, zwei/zweit/beide/doppel/paar 2, drei/dritt 3, vier/viert 4, fünf 5, sechs 6, sieb 7, acht 8,
neun 9, zehn 10, elf 11, zwölf/dutzend 12, dreizehn 13, vierzehn 14, fünfzehn 15, sechzehn 16, siebzehn 17,
achtzehn 18, neunzehn 19, zwanzig 20, dreißig 30, vierzig 40, fünfzig 50, sechzig 60, siebzig 70, achtzig 80,
neunzig 90, hundert 100, tausend 1000, million 1000000, milliarde 1000000000, null 0
"""
_KOREAN = """
하나/한/첫/일/외 1, 둘/두/이/쌍/양 2, 셋/세/석/서/삼 3, 넷/네/넉/사 4,
다섯/닷/오 5, 여섯/엿/육/륙 6, 일곱/칠 7, 여덟/팔 8,
아홉/구 9, 열/십 10, 열한/십일 11, 열두/십이 12, 열세/십삼 13, 열네/십사 14, 열다섯/십오/보름 15, 열여섯/십육 16,
열일곱/십칠 17, 열여덟/십팔 18, 열아홉/십구 19, 스무/스물/이십 20, 서른/삼십 30, 마흔/사십 40, 쉰/오십 50, 예순/육십 60,
일흔/칠십 70, 여든/팔십 80, 아흔/구십 90, 백 100, 천 1000, 만 10000, 백만 1000000, 억 100000000, 영/제로 0
"""
_HALVES = {"en": ("half", "halves"), "de": ("halb", "hälfte"), "ko": ("반", "절반")}
_IDIOMS: dict[str, dict[str, tuple[int, ...]]] = {
    "en": {
        "around the clock": (24, 7),
        "every day": (7,),
        "noon": (12,),
        "midnight": (0, 12),
        "weekly": (7,),
        "quarter": (15, 3),
        "fortnight": (14,),
    },
    "de": {
        "rund um die uhr": (24, 7),
        "täglich": (24, 7),
        "mittag": (12,),
        "viertel": (15, 3),
        "woche": (7,),
        "wöchentlich": (7,),
        "zwei wochen": (14,),
        "mitternacht": (0, 12, 24),
    },
    "ko": {
        "연중무휴": (7, 24, 365),
        "내내": (7, 24),
        "언제나": (7,),
        "코로나": (19,),
        "한두": (1, 2),
        "이삼": (2, 3),
        "삼사": (3, 4),
        "오륙": (5, 6),
        "육칠": (6, 7),
        "칠팔": (7, 8),
        "팔구": (8, 9),
        "두세": (2, 3),
        "두서너": (2, 3, 4),
        "서너": (3, 4),
        "너댓": (4, 5),
        "네댓": (4, 5),
        "대여섯": (5, 6),
        "예닐곱": (6, 7),
        "일고여덟": (7, 8),
        "하루 종일": (24,),
        "온종일": (24,),
        "정오": (12,),
        "자정": (0, 12, 24),
        "매일": (7,),
        "일주일": (7,),
        "하루": (1, 24),
        "이틀": (2,),
        "사흘": (3,),
        "나흘": (4,),
        "닷새": (5,),
        "엿새": (6,),
        "열흘": (10,),
    },
}
SCALES: dict[str, dict[str, int]] = {
    "en": {
        "hundred": 10**2,
        "thousand": 10**3,
        "k": 10**3,
        "million": 10**6,
        "m": 10**6,
        "mn": 10**6,
        "billion": 10**9,
        "b": 10**9,
        "bn": 10**9,
        "trillion": 10**12,
        "dozen": 12,
    },
    "de": {
        "tausend": 10**3,
        "tsd": 10**3,
        "million": 10**6,
        "millionen": 10**6,
        "mio": 10**6,
        "milliarde": 10**9,
        "milliarden": 10**9,
        "mrd": 10**9,
        "billion": 10**12,
        "billionen": 10**12,
        "dutzend": 12,
    },
}
"""Factor of a word behind a number, by language. In languages that are not listed a number counts with and without."""


def _table(listed: str) -> dict[str, int]:
    entries = (entry.rsplit(" ", 1) for entry in " ".join(listed.split()).split(", "))
    return {word: int(value) for words, value in entries for word in words.split("/")}


_WORDS = {"en": _table(_ENGLISH), "de": _table(_GERMAN), "ko": _table(_KOREAN)}
_KOREAN_COUNTED = r"(?=\s|[번차째개명인분시년월일주층등급호장위배점살회달마대원%쪽단종잔컵권사가끼팀곳해군벌켤송])"
_ENGLISH_END = r"(?=s?\b|-|th\b)"
_PATTERNS = {
    # German words are inflected and compounded; in Korean what is counted follows.
    code: re.compile(
        rf"(?<![^\W\d_])(?:{'|'.join(sorted(words, key=len, reverse=True))})"
        + {"ko": _KOREAN_COUNTED, "en": _ENGLISH_END}.get(code, "")
    )
    for code, words in _WORDS.items()
}


_ONES = {
    "en": "one two three four five six seven eight nine first second third fourth fifth sixth seventh eighth ninth",
    "de": "ein zwei drei vier fünf sechs sieben acht neun",
    "ko": "하나 둘 셋 넷 다섯 여섯 일곱 여덟 아홉 한 두 세 네",
}
_TENS = {
    "en": "twenty thirty forty fifty sixty seventy eighty ninety",
    "de": "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig",
    "ko": "열 스물 서른 마흔 쉰 예순 일흔 여든 아흔",
}


def _any(words: str) -> str:
    return "|".join(words.split())


_COMPOSED = {
    "en": re.compile(rf"\b({_any(_TENS['en'])})[- ]({_any(_ONES['en'])})\b"),
    "de": re.compile(rf"({_any(_ONES['de'])})und({_any(_TENS['de'])})"),
    "ko": re.compile(rf"({_any(_TENS['ko'])})({_any(_ONES['ko'])})"),
}
"""Tens and ones: twenty-two, zweiundzwanzig, 스물두."""
_COMPOSABLE = {
    code: {
        **{
            word: place % 9 + 1 if code != "ko" or place < 9 else place - 8
            for place, word in enumerate(_ONES[code].split())
        },
        **{word: 10 * (place + (1 if code == "ko" else 2)) for place, word in enumerate(_TENS[code].split())},
    }
    for code in _ONES
}
_SINO = {digit: value for value, digit in enumerate("일이삼사오육칠팔구", start=1)}
_SINO_TENS = re.compile(rf"([이삼사오육칠팔구]?)십([{''.join(_SINO)}]){_KOREAN_COUNTED}")
_SINO_NUMBER = re.compile(rf"[{''.join(_SINO)}십백천만억조]{{2,20}}")
_SINO_UNITS = {"십": 10, "백": 100, "천": 1000}
_SINO_SCALES = {"만": 10**4, "억": 10**8, "조": 10**12}
_ENGLISH_SCALED = re.compile(
    rf"\b({'|'.join(sorted(_WORDS['en'], key=len, reverse=True))}) (hundred|thousand|million|billion)"
)
_MONTHS = {
    "en": "january february march april may june july august september october november december",
    "de": "januar februar märz april mai juni juli august september oktober november dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
}
_DAY_OF = r"\d(?:st|nd|rd|th|\.|er)? (?:of |de )?|in "
_MONTH = {
    code: re.compile(rf"\b(?:({_any(names)})\b(?:\s\d|,)|(?:{_DAY_OF})({_any(names)})\b)")
    for code, names in _MONTHS.items()
}
"""Names of months beside a number, or after "in": may and march are other words too."""


def number_pattern(code: str) -> str:
    """An expression for one number in words; empty for a language whose words are not known."""
    return "|".join(sorted(_WORDS.get(code, ()), key=len, reverse=True))


def value_of_word(word: str, code: str) -> Fraction:
    """The value of a match of `number_pattern`."""
    return Fraction(_WORDS[code][word])


def _sino_value(numeral: str) -> Fraction:
    """The value of a Sino-Korean numeral: 천오백만 is 15,000,000."""
    total = below_scale = digit = 0
    for sign in numeral:
        if sign in _SINO:
            digit = _SINO[sign]
        elif sign in _SINO_UNITS:
            below_scale, digit = below_scale + (digit or 1) * _SINO_UNITS[sign], 0
        else:
            total, below_scale, digit = total + (below_scale + digit or 1) * _SINO_SCALES[sign], 0, 0
    return Fraction(total + below_scale + digit)


def composed_numbers(text: str, code: str) -> Iterator[Fraction]:
    """Yield the numbers of several words in a folded text: twenty-two, two thousand, 스물두; and the named months."""
    for first, second in _COMPOSED[code].findall(text) if code in _COMPOSED else ():
        yield Fraction(_COMPOSABLE[code][first] + _COMPOSABLE[code][second])
    if code == "ko":
        yield from map(_sino_value, _SINO_NUMBER.findall(text))
        yield from (Fraction(10 * _SINO.get(tens, 1) + _SINO[ones]) for tens, ones in _SINO_TENS.findall(text))
    if code == "en":
        for word, scale in _ENGLISH_SCALED.findall(text):
            yield Fraction(_WORDS["en"][word] * _WORDS["en"][scale])
    for found in _MONTH[code].finditer(text) if code in _MONTH else ():
        yield Fraction(_MONTHS[code].split().index(found[1] or found[2]) + 1)


def numbers_in_words(text: str, language: str) -> Iterator[Fraction]:
    """Yield the numbers that a folded text has in words, as far as they are known. Generous: every "ein" is 1."""
    words = _WORDS.get(language)
    if words is None:
        return
    for found in _PATTERNS[language].finditer(text):
        yield Fraction(words[found.group()])
    if any(half in text for half in _HALVES[language]):
        yield HALF
    for idiom, values in _IDIOMS[language].items():
        if idiom in text:
            yield from map(Fraction, values)
