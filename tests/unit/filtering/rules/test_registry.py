"""Each rule on its own: what it has to find, and what it must not take for it."""

from __future__ import annotations

import pytest

from crossrank.errors import SettingsError
from crossrank.filtering.rules.language import language_of
from crossrank.filtering.rules.registry import reasons_against
from crossrank.filtering.rules.text_pair import TextPair
from crossrank.filtering.rules.thresholds import Thresholds
from crossrank.filtering.rules.web import web_names


def reasons(source: str, target: str, to: str = "ko", of: str = "en", limits: Thresholds | None = None) -> set[str]:
    languages = language_of(of, "--source"), language_of(to, "--target")
    return set(reasons_against(TextPair(source, target, *languages, limits or Thresholds())))


BAD = [
    ("backend_error", "good evening", " Err. ", "ko"),
    ("backend_error", "a tall tree", "botocore.errorfactory.InvalidRequestException: Input is invalid", "ko"),
    ("backend_error", "a tall tree", "429 Too Many Requests", "de"),
    ("empty", "a tall tree", "。", "ja"),
    ("untranslated", "where do the whales go in the winter", "Where do the whales go in the winter?", "ja"),
    ("untranslated", "we live in a house by the sea", "we live in a house by the See", "de"),
    ("wrong_language", "we live in a house by the sea", "Vivimos en una casa junto al mar desde hace años.", "de"),
    ("wrong_language", "the cat", "猫がいます", "ko"),
    ("wrong_language", "we live in a house", "우리는 집에 산다", "de"),
    ("wrong_language", "we live in a house by the sea", "Мы живем в доме у моря уже много лет.", "uk"),
    ("wrong_script", "we live in a house by the sea", "우리는 바닷가의 住宅に 산다", "ko"),
    ("wrong_script", "thank you for the food", "jal meogeotseumnida gamsahamnida", "ko"),
    ("wrong_script", "we live in a house", "Wir wohnen in einem доме", "de"),
    ("length_ratio", "word " * 40, "단어", "ko"),
    (
        "length_ratio",
        "yes",
        "예, " + "그리고 다른 여러 가지 이야기를 더 하자면 " + "끝이 없을 것 같습니다만 그래도",
        "ko",
    ),
    ("repetition", "the sun is hot", "태양은 뜨겁고 뜨겁고 뜨겁고 뜨겁고 뜨겁다", "ko"),
    ("repetition", "the sun is hot", "太陽は熱い熱い熱い熱い熱い熱い熱い熱い", "ja"),
    ("repetition", "the sun is hot", "Die Sonne ist heiß!!!!!!!!!!!!!!!!!!!!", "de"),
    ("mojibake", "for you", "fÃ¼r dich", "de"),
    ("mojibake", "for you", "\u00eb\u2039\u00b9\u00ec\u2039\u0160\u00ec\u0161\u00a9", "ko"),
    ("mojibake", "for you", "당신을 위\ue000해", "ko"),
    ("lost_number", "gate 14", "게이트", "ko"),
    ("lost_url", "see https://a.example/b?c=1.", "https://a.example/를 보세요.", "ko"),
    ("lost_url", "ask me@example.com", "나에게 물어보세요", "ko"),
]


@pytest.mark.parametrize(("reason", "source", "target", "to"), BAD)
def test_a_bad_translation_gets_its_reason(reason: str, source: str, target: str, to: str) -> None:
    assert reason in reasons(source, target, to)


GOOD = [
    ("the null hypothesis", "귀무가설", "ko"),
    ("null", "null", "de"),
    ("fix ValueError in pandas", "pandas의 ValueError 해결하기", "ko"),
    ("What is an internal server error (500)?", "500 internal server error란 무엇인가요?", "ko"),
    ("Kubernetes vs Docker Swarm", "Kubernetes vs Docker Swarm", "ko"),
    ("The Lord of the Rings", "The Lord of the Rings", "de"),
    ("for (int i = 0; i < n; i++) { sum += i; }", "for (int i = 0; i < n; i++) { sum += i; }", "de"),
    ("Paris", "Paris", "de"),
    ("bank", "Bank", "de"),
    ("Alexander von Humboldt", "Alexander von Humboldt", "nl"),
    ("GPU memory", "GPU 메모리", "ko"),
    ("laptop with 16GB RAM", "16GB RAM 노트북", "ko"),
    ("The alpha particle (α) is a helium nucleus.", "알파 입자(α)는 헬륨 원자핵이다.", "ko"),
    ("The obituary was short.", "부고(訃告)는 짧았다.", "ko"),
    ("Ω stands for ohm", "Ω steht für Ohm", "de"),
    ("no", "아니요, 괜찮습니다", "ko"),
    ("ha ha ha ha ha ha", "하하하하하하", "ko"),
    ("very, very, very good", "아주, 아주, 아주 좋은", "ko"),
    ("1. -----------\n2. -----------", "1. -----------\n2. -----------", "ko"),
    ("He said “Café Ö«.", "Er sagte »Café Ö«.", "de"),
    ("A cafe « Le Petit »", "Un café\u00a0« Le Petit\u00a0»", "fr"),
    ("shaking face \U0001fae8", "떨리는 얼굴 \U0001fae8", "ko"),
    ("Name: Ångström, Ærø, Þór", "Name: Ångström, Ærø, Þór", "de"),
    ("see http://a.example/b/ now", "지금 a.example/b를 보세요", "ko"),
    ("see (https://a.example/b_(c)).", "https://a.example/b_(c)를 보세요.", "ko"),
    ("👍", "👍", "ko"),
]


@pytest.mark.parametrize(("source", "target", "to"), GOOD)
def test_a_good_translation_gets_none(source: str, target: str, to: str) -> None:
    assert reasons(source, target, to) == set()


def test_the_rules_are_for_any_two_languages() -> None:
    assert reasons("Wie lange dauert es, ein Ei zu kochen?", "달걀을 삶는 데 얼마나 걸립니까?", "ko", of="de") == set()
    assert "untranslated" in reasons(
        "wie lange dauert es, ein ei zu kochen", "wie lange dauert es, ein ei zu kochen", of="de"
    )
    assert reasons("고양이는 왜 물을 싫어하나요?", "Why do cats dislike water?", "en", of="ko") == set()
    assert "wrong_language" in reasons("고양이는 왜 물을 싫어하나요?", "고양이는 물이 싫어요", "en", of="ko")


def test_mojibake_that_the_source_has_too_is_still_no_text_to_train_on() -> None:
    assert reasons("the caf\ufffd is open", "카페\ufffd가 열려 있다") == {"mojibake"}
    assert reasons("the cafÃ© is open", "카페가 열려 있다") == set()


def test_what_is_no_translation_is_not_called_names_besides() -> None:
    assert reasons("Call 555-0142 or see https://a.example for more.", "err") == {"backend_error"}
    assert reasons("Call 555-0142 or see https://a.example for more.", "") == {"empty"}


def test_a_threshold_moves_its_rule_alone() -> None:
    source, target = "word " * 20, "단어가 있습니다"  # 99 and 8 characters

    assert reasons(source, target) == {"length_ratio"}
    assert reasons(source, target, limits=Thresholds(min_length_ratio=0.05)) == set()


def test_a_region_does_not_matter_and_an_unknown_language_is_named() -> None:
    assert language_of("pt-BR", "--target") == language_of("pt", "--target")
    assert language_of("zh_TW", "--target").scripts == ("CJK",)
    with pytest.raises(SettingsError, match="--target is 'klingon', which is no language that the filters know; use"):
        language_of("klingon", "--target")


def test_the_punctuation_behind_a_url_is_none_of_it() -> None:
    text = "See www.example.org/a, (http://b.example/c) and x.y@d.example.com! Not 3.5 or e.g. this."

    assert web_names(text) == ["www.example.org/a", "http://b.example/c", "x.y@d.example.com"]


HOSTILE = {
    "digits": "7" * 50_000,
    "groups of digits": "1" + ",000" * 12_000,
    "letters": "a" * 100_000,
    "dashes": "-" * 50_000,
    "brackets": "(" * 50_000,
    "dots and letters": "a." * 20_000,
    "numbers": "12/3 " * 3_000,
    "at": "a@" * 30_000 + " https://a.example",
    "spaces": " " * 50_000 + "1",
    "Hangul": "가" * 50_000,
    "half numbers": "½" * 5_000,
    "every kind of character": "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000)])),
}
"""Texts that a careless expression takes hours for, or that Python refuses to read as numbers."""


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_whatever_stops_the_filter(text: str) -> None:
    assert isinstance(reasons(text, text), set)
    assert isinstance(reasons("see https://a.example at 7", text), set)
    assert isinstance(reasons(text, "판다", to="ko"), set)
