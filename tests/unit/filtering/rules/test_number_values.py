"""A number is kept when its value is, however the other language writes it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from crossrank.filtering.rules.language import language_of
from crossrank.filtering.rules.lost_number import has_lost_number
from crossrank.filtering.rules.number_values import numbers_of_source, values_of_target
from crossrank.filtering.rules.text_pair import TextPair
from crossrank.filtering.rules.thresholds import Thresholds


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
        {float(value) for value in each if isinstance(value, Fraction)}
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
    assert value in {
        float(each) for each in values_of_target(text, language_of(language, "t")) if isinstance(each, Fraction)
    }


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


@pytest.mark.parametrize(
    ("source", "target", "to"),
    [
        # the clock
        ("The bus leaves at 17:00.", "버스는 오후 5시에 떠난다.", "ko"),
        ("The bus leaves at 17:30.", "버스는 오후 5시 30분에 떠난다.", "ko"),
        ("The bus leaves at 17:30.", "버스는 오후 5시 반에 떠난다.", "ko"),
        ("The bus leaves at 19:00.", "버스는 저녁 일곱 시에 떠난다.", "ko"),
        ("The bus leaves at 5:30 p.m.", "버스는 17시 30분에 떠난다.", "ko"),
        ("The bus leaves at 5:30 p.m.", "버스는 오후 다섯 시 반에 떠난다.", "ko"),
        ("at 0:30", "오전 12시 30분에", "ko"),
        ("at 12 am", "밤 12시에", "ko"),
        ("at 12:00", "정오에", "ko"),
        ("open until 22:00", "bis 10 Uhr abends geöffnet", "de"),
        ("at 15:00", "午後3時に", "ja"),
        ("open 24/7", "연중무휴 24시간 영업", "ko"),
        ("open 24/7", "연중무휴", "ko"),
        # fractions
        ("Add 1 1/2 cups of milk.", "우유 1.5컵을 넣으세요.", "ko"),
        ("Add 1 1/2 cups of milk.", "우유 한 컵 반을 넣으세요.", "ko"),
        ("Add 1-1/2 cups of milk.", "우유 1½컵을 넣으세요.", "ko"),
        ("Add 1½ cups of milk.", "우유 1.5컵을 넣으세요.", "ko"),
        ("It is 2.5 km away.", "2킬로미터 반 떨어져 있다.", "ko"),
        ("It takes 2 1/2 hours.", "Es dauert zweieinhalb Stunden.", "de"),
        ("It takes 1.5 hours.", "Es dauert anderthalb Stunden.", "de"),
        ("1/4 of all people", "사람들의 4분의 1", "ko"),
        ("25% of all people", "사람들의 4분의 1", "ko"),
        ("50% of all people", "사람들의 절반", "ko"),
        ("50% of all people", "die Hälfte der Menschen", "de"),
        ("take .5 mg", "0.5mg을 드세요", "ko"),
        # time that passes
        ("It takes 90 minutes.", "1시간 30분이 걸린다.", "ko"),
        ("It takes 90 minutes.", "한 시간 반이 걸린다.", "ko"),
        ("It takes 90 minutes.", "1.5시간이 걸린다.", "ko"),
        ("It takes 1 hour and 30 minutes.", "90분이 걸린다.", "ko"),
        ("It takes 1 1/2 hours.", "90분이 걸린다.", "ko"),
        ("It takes 30 minutes.", "반 시간이 걸린다.", "ko"),
        ("It takes 30 minutes.", "Es dauert eine halbe Stunde.", "de"),
        ("within 48 hours", "이틀 안에", "ko"),
        ("within 48 hours", "2일 안에", "ko"),
        ("for 2 weeks", "14일 동안", "ko"),
        ("for 18 months", "1년 6개월 동안", "ko"),
        ("for 6 months", "반년 동안", "ko"),
        ("a 120-second video", "2분짜리 영상", "ko"),
        ("after 2 decades", "20년 뒤에", "ko"),
        ("150 minutes", "2 Stunden und 30 Minuten", "de"),
        ("90 minutes", "1時間30分", "ja"),
        # ranges, scales, shares, words
        ("$1-2 million", "100만~200만 달러", "ko"),
        ("1 to 2 million people", "100만 명에서 200만 명", "ko"),
        ("It takes 5-10 days.", "5~10일이 걸린다.", "ko"),
        ("$30k a year", "1년에 3만 달러", "ko"),
        ("He is 22.", "그는 스물두 살이다.", "ko"),
        ("23 people", "이십삼 명", "ko"),
        ("22 people", "zweiundzwanzig Menschen", "de"),
        ("the 21st century", "21세기", "ko"),
        ("the 11th hour", "열한 번째 시간", "ko"),
        ("on 12/25/2021", "2021년 12월 25일에", "ko"),
        ("on 5/3/2021", "am 3. Mai 2021", "de"),
        ("COVID-19", "코로나", "ko"),
        ("at 17:45", "오후 6시 15분 전에", "ko"),
        ("2-3 times a day", "하루 두세 번", "ko"),
        ("5-6 people", "대여섯 명", "ko"),
        ("20 percent of all people", "사람들의 5분의 1", "ko"),
        ("10 million won", "천만 원", "ko"),
        ("15 million won", "천오백만 원", "ko"),
        ("123,000 people", "십이만삼천 명", "ko"),
    ],
)
def test_a_number_that_is_said_in_another_way_is_kept(source: str, target: str, to: str) -> None:
    assert not lost(source, target, to)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("버스는 오후 5시에 떠난다.", "The bus leaves at 17:00."),
        ("버스는 오후 5시 30분에 떠난다.", "The bus leaves at 5:30 p.m."),
        ("버스는 17시에 떠난다.", "The bus leaves at 5 in the afternoon."),
        ("버스는 5시 30분에 떠난다.", "The bus leaves at half past five."),
        ("1시간 30분이 걸린다.", "It takes 90 minutes."),
        ("1시간 30분이 걸린다.", "It takes an hour and a half."),
        ("90분이 걸린다.", "It takes one and a half hours."),
        ("3월 5일에", "on March 5"),
        ("2021년 5월 3일", "the 3rd of May 2021"),
        ("22명", "twenty-two people"),
        ("2000명", "two thousand people"),
        ("14일 동안", "for a fortnight"),
        ("영하 5도", "minus 5 degrees"),
        ("80㎡까지", "up to 80 square metres"),
        ("1L당 10g", "10 g per litre"),
        ("45억 4천만 년", "4.54 billion years"),
        ("1만 5천 명", "15,000 people"),
        ("사람들의 50%", "half of the people"),
    ],
)
def test_a_korean_number_that_is_said_in_another_way_is_kept(source: str, target: str) -> None:
    assert not lost(source, target, "en", of="ko")


@pytest.mark.parametrize(
    ("source", "target", "to"),
    [
        ("The bus leaves at 17:00.", "버스는 오후 7시에 떠난다.", "ko"),
        ("The bus leaves at 17:00.", "버스는 오전 5시에 떠난다.", "ko"),
        ("The bus leaves at 17:00.", "버스는 5시간 걸린다.", "ko"),
        ("The bus leaves at 3 am.", "버스는 15시에 떠난다.", "ko"),
        ("Add 1 1/2 cups of milk.", "우유 2.5컵을 넣으세요.", "ko"),
        ("It takes 90 minutes.", "1시간 20분이 걸린다.", "ko"),
        ("It takes 90 minutes.", "2시간이 걸린다.", "ko"),
        ("It takes 90 minutes.", "한 시간이 걸린다.", "ko"),
        ("within 48 hours", "사흘 안에", "ko"),
        ("for 18 months", "1년 8개월 동안", "ko"),
        ("for 6 months", "일곱 주 동안", "ko"),
        ("$1-2 million", "100만~300만 달러", "ko"),
        ("He is 22.", "그는 스물세 살이다.", "ko"),
        ("25% of all people", "사람들의 3분의 1", "ko"),
        ("take .5 mg", "5mg을 드세요", "ko"),
        ("15 million won", "천육백만 원", "ko"),
        ("at 17:45", "오후 6시 45분에", "ko"),
        ("20 percent of all people", "사람들의 4분의 1", "ko"),
    ],
)
def test_a_number_that_is_another_in_other_words_is_lost(source: str, target: str, to: str) -> None:
    assert lost(source, target, to)


def test_a_month_is_another_month() -> None:
    assert lost("3월 5일에", "on April 5", "en", of="ko")
    assert lost("1시간 30분이 걸린다.", "It takes 80 minutes.", "en", of="ko")
