"""Languages as the rules know them: their scripts, how long their texts are, how they write numbers."""

from __future__ import annotations

from dataclasses import dataclass

from crossrank.errors import SettingsError

_WRITTEN_IN = {
    "LATIN": "af az bs ca cs cy da de en es et eu fi fil fr ga gl hr ht hu id is it lb lt lv mg ms mt nl no nb nn pl "
    "pt ro sk sl so sq sv sw tl tr uz vi zu",
    "CYRILLIC": "be bg kk ky mk mn ru tg uk",
    "CYRILLIC LATIN": "sr",
    "ARABIC": "ar fa ps ur",
    "DEVANAGARI": "hi mr ne",
    "HIRAGANA KATAKANA CJK": "ja",
    "ETHIOPIC": "am",
    "BENGALI": "bn",
    "GREEK": "el",
    "GUJARATI": "gu",
    "HEBREW": "he",
    "ARMENIAN": "hy",
    "GEORGIAN": "ka",
    "KHMER": "km",
    "KANNADA": "kn",
    "HANGUL": "ko",
    "LAO": "lo",
    "MALAYALAM": "ml",
    "MYANMAR": "my",
    "GURMUKHI": "pa",
    "SINHALA": "si",
    "TAMIL": "ta",
    "TELUGU": "te",
    "THAI": "th",
    "CJK": "zh",
}
SCRIPTS = {code: tuple(scripts.split()) for scripts, codes in _WRITTEN_IN.items() for code in codes.split()}
"""Scripts of a language, by the first word of a letter's Unicode name."""

OWN_SCRIPTS = {"ko": "HANGUL", "el": "GREEK", "he": "HEBREW", "hy": "ARMENIAN", "ka": "GEORGIAN", "th": "THAI"}
"""Scripts that are written in one language alone, as far as translators go: who writes them writes that language."""

CHARACTERS = {"ja": 0.45, "ko": 0.5, "th": 0.95, "zh": 0.32, "de": 1.15, "fr": 1.15, "es": 1.1, "ru": 1.05}
"""Characters of a text for one character of its English; 1.05 for a language that is not listed."""

DECIMAL_POINT = frozenset(("en", "ja", "ko", "zh", "th", "he", "hi"))
"""Languages that write 1,000.5; all others write 1.000,5 or 1 000,5."""

RELATIVES = {
    "no": ("nb", "nn", "da"),
    "nb": ("no", "nn", "da"),
    "nn": ("no", "nb", "da"),
    "ms": ("id",),
    "id": ("ms",),
    "tl": ("fil",),
    "fil": ("tl",),
    "hr": ("bs", "sr", "sh"),
    "bs": ("hr", "sr", "sh"),
    "sr": ("hr", "bs", "sh"),
    "zh": ("wuu", "yue"),
    "de": ("lb", "nds", "als", "bar"),
    "en": ("pcm", "sco"),
    "es": ("gl", "ast"),
    "fa": ("prs",),
    "ht": ("fr",),
}
"""Languages that identification takes for each other in short texts."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language, by its ISO 639-1 code."""

    code: str
    scripts: tuple[str, ...]

    @property
    def own_script(self) -> str | None:
        """The script that no other language has; None where several share one."""
        return OWN_SCRIPTS.get(self.code)

    @property
    def characters(self) -> float:
        """Characters of a text for one character of its English."""
        return CHARACTERS.get(self.code, 1.0 if self.code == "en" else 1.05)

    @property
    def has_decimal_point(self) -> bool:
        """Whether the language writes 1,000.5 rather than 1.000,5."""
        return self.code in DECIMAL_POINT

    @property
    def and_relatives(self) -> tuple[str, ...]:
        """The codes that identification may give for the language: its own, and those it is mistaken for."""
        return (self.code, *RELATIVES.get(self.code, ()))


def primary_code(code: str) -> str:
    """The language of a code with a region: ``pt`` of ``pt-BR``."""
    return code.replace("_", "-").split("-")[0].lower()


def language_of(code: str, flag: str) -> Language:
    """The language of a code such as ``ko``, ``pt-BR`` or ``zh-TW``; what follows the hyphen does not matter.

    Raises:
        SettingsError: a code that the rules know no script of.
    """
    primary = primary_code(code)
    if primary not in SCRIPTS:
        known = ", ".join(sorted(SCRIPTS))
        raise SettingsError(f"{flag} is {code!r}, which is no language that the filters know; use one of {known}")
    return Language(primary, SCRIPTS[primary])
