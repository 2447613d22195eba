"""Analysers, which turn a text into the terms that BM25 counts: one for each language.

    ko        bigrams of runs of CJK characters, other words whole and lowercased    no dependency
    ko-kiwi   content morphemes of kiwipiepy                                         extra ``korean``
    zh ja cjk the same bigrams as ko
    en de fr  ...: Snowball stems of lowercased words, by ISO 639-1 code             PyStemmer
    auto      ko, cjk or en, from the scripts of a sample: see `choose_language`

Every text is NFKC normalised first, so that full-width digits, half-width kana, ligatures and decomposed Hangul
match their usual forms. Queries and passages must be analysed by the same analyser. An analyser is a small value:
it pickles, and the stemmer or the morpheme model behind it is loaded on first use, once a process.

Stop words are removed for the languages whose list bm25s ships (en de nl fr es pt it ru sv no da tr), before
stemming; PyStemmer ships none, so the other languages keep every word. A query of stop words alone finds nothing.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeVar

import Stemmer
from bm25s import stopwords

from crossrank.derived import Derived
from crossrank.errors import MissingExtra, SettingsError

T = TypeVar("T")

SNOWBALL = {
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "eo": "esperanto",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "st": "sesotho",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
"""ISO 639-1 code to Snowball algorithm: all that PyStemmer 3.1 offers, less the two older ``porter`` variants."""

BIGRAM_LANGUAGES = ("ko", "zh", "ja", "cjk")
LANGUAGES = ("auto", *BIGRAM_LANGUAGES, "ko-kiwi", *SNOWBALL)
"""Every value of ``--language``."""

STOP_WORDS = {
    "danish": stopwords.STOPWORDS_DANISH,
    "dutch": stopwords.STOPWORDS_DUTCH,
    "english": stopwords.STOPWORDS_EN,
    "french": stopwords.STOPWORDS_FRENCH,
    "german": stopwords.STOPWORDS_GERMAN,
    "italian": stopwords.STOPWORDS_ITALIAN,
    "norwegian": stopwords.STOPWORDS_NORWEGIAN,
    "portuguese": stopwords.STOPWORDS_PORTUGUESE,
    "russian": stopwords.STOPWORDS_RUSSIAN,
    "spanish": stopwords.STOPWORDS_SPANISH,
    "swedish": stopwords.STOPWORDS_SWEDISH,
    "turkish": stopwords.STOPWORDS_TURKISH,
}

KIWI_CONTENT_TAGS = frozenset(
    {"NNG", "NNP", "NR", "XR", "VV", "VA", "MAG", "SL", "SH", "SN"}
    | {"W_SERIAL", "W_URL", "W_EMAIL", "W_HASHTAG", "W_MENTION"}
)
"""Sejong tags that are kept: nouns, numerals, roots, verb and adjective stems, adverbs, words in Latin letters, Hanja
or digits, and identifiers. Dropped are bound nouns (NNB), pronouns (NP), determiners (MM), particles (J*), endings
(E*), affixes (XP*, XS*), copula and auxiliaries (VC*, VX), conjunctions (MAJ), interjections (IC) and signs."""

HANGUL = "\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb"
HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
KANA = "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
CJK_RUN = re.compile(f"[{HANGUL}{HAN}{KANA}]+")
CJK_RUN_OR_WORD = re.compile(rf"[{HANGUL}{HAN}{KANA}]+|[^\W_{HANGUL}{HAN}{KANA}]+")

# `\w` has no combining marks, and would cut Hindi, Tamil or pointed Yiddish words at their vowel signs.
MARKS = "\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0d7f\u200c\u200d"
WORD = re.compile(rf"[\w{MARKS}]+")
TURKISH_CAPITALS = str.maketrans({"I": "ı", "İ": "i"})

AUTO_MIN_CJK_SHARE = 0.2
"""Share of the letters from which `auto` takes bigrams: they serve Latin words nearly as well as stems do, whereas
whole Korean or Chinese runs hardly ever match, so a mixed corpus is better off with bigrams."""


class Analyser(Protocol):
    """A function from a text to its terms, in order and with repeats. It pickles; `analyser(name)` makes its equal."""

    @property
    def name(self) -> str: ...

    def __call__(self, text: str) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class CjkBigrams:
    """Overlapping character bigrams of each run of Hangul, Han or Kana; a run of one character is that character.

    Needs no dictionary, so names and new words match as well as others, and Korean particles are split off in
    effect. What is in other scripts stays a whole lowercased word: ``5km를`` gives ``5km``, ``를``.

    Source: Lucene's CJKAnalyzer (CJKBigramFilter), without its stop words.
    """

    name: str

    def __call__(self, text: str) -> list[str]:
        terms: list[str] = []
        for run in CJK_RUN_OR_WORD.findall(unicodedata.normalize("NFKC", text).lower()):
            if len(run) > 1 and CJK_RUN.match(run):
                terms += map(str.__add__, run, run[1:])
            else:
                terms.append(run)
        return terms


@dataclass(frozen=True, slots=True)
class SnowballStems:
    """Lowercased words, stop words removed where bm25s ships a list, each cut to its Snowball stem.

    Diacritics are kept but for what the stemmer itself folds (Greek accents, German umlauts in endings): in many
    of these languages they tell words apart.
    """

    name: str

    def __call__(self, text: str) -> list[str]:
        algorithm = SNOWBALL[self.name]
        text = unicodedata.normalize("NFKC", text).replace("_", " ")
        if algorithm == "turkish":
            text = text.translate(TURKISH_CAPITALS)
        stop_words = _stop_words(algorithm)
        words = [word for word in WORD.findall(text.lower()) if word not in stop_words]
        stems: list[str] = _stemmer(algorithm).stemWords(words)
        return stems


@dataclass(frozen=True, slots=True)
class KiwiMorphemes:
    """Content morphemes of Korean text (`KIWI_CONTENT_TAGS`), Latin letters lowercased.

    The index is half the size of that of bigrams, and it takes thirty times as long to build (6 ms a passage of 500
    characters on one core, after 3 s of loading). On KorQuAD it finds no more: see `CjkBigrams` for why.
    Source: kiwipiepy, whose model decides. Another version of it may cut differently, so search an index with the
    version that built it.
    """

    name: str = "ko-kiwi"

    def __call__(self, text: str) -> list[str]:
        morphemes = _kiwi().tokenize(unicodedata.normalize("NFKC", text))
        # Regular and irregular verbs are told apart by a suffix: VV-R, VV-I.
        return [each.form.lower() for each in morphemes if each.tag.partition("-")[0] in KIWI_CONTENT_TAGS]


def analyser(language: str) -> Analyser:
    """The analyser of a language.

    Raises:
        SettingsError: no such language, or ``auto``, which `choose_language` resolves from a sample first.
        MissingExtra: ``ko-kiwi`` without kiwipiepy.
    """
    if language in BIGRAM_LANGUAGES:
        return CjkBigrams(language)
    if language in SNOWBALL:
        return SnowballStems(language)
    if language == "ko-kiwi":
        _kiwi_class()
        return KiwiMorphemes()
    if language == "auto":
        raise SettingsError("the language auto has to be chosen from a sample of the corpus; name one of the others")
    raise _unknown(language)


def choose_language(language: str, sample: Iterable[str]) -> Derived[str]:
    """Resolve ``auto`` by the scripts of a sample of the corpus, and say why; any other language is kept as given.

    Hangul gives ``ko``, Han or Kana gives ``cjk``, everything else ``en``: Latin languages are not told apart.
    Raises `SettingsError` for a language that there is not.
    """
    if language not in LANGUAGES:
        raise _unknown(language)
    if language != "auto":
        return Derived(language, "as given")
    hangul = han_or_kana = letters = num_texts = 0
    for text in sample:
        text = unicodedata.normalize("NFKC", text)
        num_texts += 1
        letters += sum(map(str.isalpha, text))
        hangul += sum(map(len, re.findall(f"[{HANGUL}]+", text)))
        han_or_kana += sum(map(len, re.findall(f"[{HAN}{KANA}]+", text)))
    if not letters:
        return Derived("en", f"auto: no letters in {num_texts:,} sampled passages")
    found = f"{hangul / letters:.0%} Hangul and {han_or_kana / letters:.0%} Han or Kana"
    why = f"auto: of the letters of {num_texts:,} sampled passages, {found}"
    if hangul + han_or_kana < AUTO_MIN_CJK_SHARE * letters:
        return Derived("en", f"{why}; name the language if it is not English")
    return Derived("ko" if hangul >= han_or_kana else "cjk", why)


def _unknown(language: str) -> SettingsError:
    return SettingsError(f"the language is {language!r}, which has no analyser; choose one of {', '.join(LANGUAGES)}")


@cache
def _stop_words(algorithm: str) -> frozenset[str]:
    return frozenset(STOP_WORDS.get(algorithm, ()))


_of_this_thread = threading.local()


def _stemmer(algorithm: str) -> Any:
    """A stemmer of this thread: a PyStemmer object may be used by one thread only."""
    stemmers = _of_this_thread.__dict__.setdefault("stemmers", {})
    if algorithm not in stemmers:
        stemmers[algorithm] = Stemmer.Stemmer(algorithm)
    return stemmers[algorithm]


def _kiwi_class() -> Any:
    try:
        from kiwipiepy import Kiwi
    except ImportError as error:
        raise MissingExtra.of("kiwipiepy", "korean", "the language ko-kiwi") from error
    return Kiwi


@cache
def _kiwi() -> Any:
    return _kiwi_class()(num_workers=1)
