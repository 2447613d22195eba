"""A number is kept when its value is, however the other language writes it."""

from __future__ import annotations

import pytest

from crossrank.translation.filters.language import language_of
from crossrank.translation.filters.lost_number import has_lost_number
from crossrank.translation.filters.number_values import numbers_of_source, values_of_target
from crossrank.translation.filters.pair import TextPair
from crossrank.translation.filters.thresholds import Thresholds


def lost(source: str, target: str, to: str, of: str = "en") -> bool:
    return has_lost_number(TextPair(source, target, language_of(of, "s"), language_of(to, "t"), Thresholds()))


@pytest.mark.parametrize(
    ("text", "language", "values"),
    [
        ("1,000.5", "en", [{1000.5}]),
        ("1.000,5", "de", [{1000.5}]),
        ("12\u2009000 and 7", "en", [{12000}, {7}]),
        ("12 000 and 7", "de", [{12000}, {7}]),
        ("101 102 103", "en", [{101}, {102}, {103}]),
        ("1,5", "de", [{1.5}]),
        ("1.5", "de", [{1.5}]),
        ("2.4 billion", "en", [{2.4e9}]),
        ("2,4 Milliarden", "de", [{2.4e9}]),
        ("350k", "en", [{350, 350_000}]),
        ("5 m", "en", [{5}]),
        ("5m", "en", [{5, 5_000_000}]),
        ("3 pm", "en", [{3, 15}]),
        ("12 am", "en", [{12, 0}]),
        ("at 22:00", "en", [{22}]),
        ("192.168.0.1", "en", [{0}, {1}, {168}, {192}]),
        ("31.12.2023", "de", [{12}, {31}, {2023}]),
        ("the 80s", "en", [{80, 1980, 2080}]),
        ("B12, CO2, CO₂ and 50 m²", "en", [{50}]),
        ("back in '98", "en", [{98, 1998, 2098}]),
        ("１２ cups", "en", [{12}]),
        ("no digits: seven", "en", []),
    ],
)
def test_what_is_looked_for_of_a_source(text: str, language: str, values: list[set[float]]) -> None:
    found = [
        {float(value) for value in each}
        for each in numbers_of_source(text, language_of(language, "s"), language_of("ko", "t"))
    ]

    assert found == values


@pytest.mark.parametrize(
    ("text", "language", "value"),
    [
        ("15억 달러", "ko", 1_500_000_000),
        ("2억 9979만 2458미터", "ko", 299_792_458),
        ("45억 4천만 년", "ko", 4_540_000_000),
        ("125만 명", "ko", 1_250_000),
        ("1만5000명", "ko", 15_000),
        ("10만 5천 명", "ko", 105_000),
        ("5천 명", "ko", 5_000),
        ("1億2000万", "ja", 120_000_000),
        ("만 명", "ko", 10_000),
        ("두 개", "ko", 2),
        ("스무 살", "ko", 20),
        ("2,5 Stunden", "de", 2.5),
        ("anderthalb Stunden, eine halbe", "de", 0.5),
        ("siebzehn Jahre", "de", 17),
        ("¾ cup", "en", 0.75),
        ("2¾ cups", "en", 2),
    ],
)
def test_what_a_translation_is_read_to_hold(text: str, language: str, value: float) -> None:
    assert value in {float(each) for each in values_of_target(text, language_of(language, "t"))}


@pytest.mark.parametrize(
    ("source", "target", "to"),
    [
        ("It has 1,234,567.89 units.", "Es hat 1.234.567,89 Einheiten.", "de"),
        ("Python 3.11 is needed.", "Python 3.11 wird benötigt.", "de"),
        ("Doors open at 6:30 pm.", "Einlass ab 18.30 Uhr.", "de"),
        ("The year 1066", "1066년", "ko"),
        ("1.2 million people", "120만 명", "ko"),
        ("12 million people", "1200만 명", "ko"),
        ("The 7 dwarfs", "일곱 난쟁이", "ko"),
        ("2nd place", "2위", "ko"),
        ("She is 20.", "그녀는 스무 살이다.", "ko"),
        ("Use 1/2 teaspoon", "반 작은술을 사용하세요", "ko"),
        ("Visit https://example.com/7 now", "지금 https://example.com/7 을 방문하세요", "ko"),
        ("1,000", "1 000", "fr"),
        ("The 3-year-old waited 7 days.", "세살 아이는 일주일을 기다렸다.", "ko"),
        ("CO2 fills 50 m².", "이산화탄소가 50제곱미터를 채운다.", "ko"),
        ("3.5 %", "3,5 %", "fr"),
        ("2 million", "2 millions", "fr"),
    ],
)
def test_a_number_that_changed_its_form_is_kept(source: str, target: str, to: str) -> None:
    assert not lost(source, target, to)


@pytest.mark.parametrize(
    ("source", "target", "to"),
    [
        ("The dose is 0.5 mg.", "Die Dosis beträgt 5 mg.", "de"),
        ("1,500 people", "1,500 Menschen", "de"),  # in German that is one and a half
        ("12 million people", "12만 명", "ko"),
        ("It opened in 1998.", "1989년에 문을 열었다.", "ko"),
        ("Gate 14", "게이트", "ko"),
        ("It costs $30.", "Es kostet dreizehn Dollar.", "de"),
        ("The bus runs at 5 pm.", "버스는 16시에 운행한다.", "ko"),
    ],
)
def test_a_number_that_is_another_now_is_lost(source: str, target: str, to: str) -> None:
    assert lost(source, target, to)


def test_of_a_table_of_numbers_one_may_be_missing() -> None:
    source = " ".join(str(number) for number in range(101, 121))

    assert not lost(source, source.replace("120", ""), "ko")
    assert lost(source, " ".join(source.split()[:14]), "ko")


def test_numbers_are_read_from_korean_as_well_as_into_it() -> None:
    assert not lost("인구는 125만 명이다.", "It has 1,250,000 inhabitants.", "en", of="ko")
    assert lost("인구는 125만 명이다.", "It has 25,000 inhabitants.", "en", of="ko")
