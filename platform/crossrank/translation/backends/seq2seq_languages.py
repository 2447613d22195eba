"""The language code that a model has for a language: ``<2ko>``, ``kor_Hang``, ``__ko__`` or ``>>kor<<`` for ``ko``."""

from __future__ import annotations

import re
from collections.abc import Collection

from crossrank.errors import SettingsError

LISTED_CODES = 24
"""Codes that a refusal lists; models have up to 450."""
MEMBERS = {
    "ara": "arb",
    "aym": "ayr",
    "aze": "azj",
    "est": "ekk",
    "fas": "pes",
    "fil": "tgl",
    "grn": "gug",
    "kur": "kmr",
    "lav": "lvs",
    "mlg": "plt",
    "mon": "khk",
    "msa": "zsm",
    "nep": "npi",
    "nor": "nob",
    "ori": "ory",
    "orm": "gaz",
    "pus": "pbt",
    "que": "quy",
    "sqi": "als",
    "swa": "swh",
    "uzb": "uzn",
    "yid": "ydd",
    "zho": "cmn",
}
"""The language that ISO 639-3 has for a group of languages which has one code in ISO 639-1, where one is meant."""
SCRIPTS = {"Kore": "Hang"}
"""Names that models have for a script, by its name in ISO 15924."""


def code_of(language: str, codes: Collection[str], model: str, flag: str) -> str:
    """The code among `codes` that means `language`.

    Args:
        language: one of the codes themselves, or a language tag: ``ko``, ``kor``, ``zh-Hant``, ``pt-BR``.
        codes: the codes that the model has.
        model: its name, for the refusal.
        flag: what the user gave the language as, for the refusal.

    Raises:
        SettingsError: the model has no such language; the sentence names some that it has.
    """
    if language in codes:
        return language
    found = _meaning(language, codes)
    if found is None:
        listed = ", ".join(sorted(codes)[:LISTED_CODES])
        more = f" and {len(codes) - LISTED_CODES} more" if len(codes) > LISTED_CODES else ""
        raise SettingsError(f"{flag} is {language}, which {model} does not have; it has {listed}{more}")
    return found


def same_language(one: str, other: str) -> bool | None:
    """Whether two tags mean one language; None where either is not a tag of one language (``mul``, ``gmw``)."""
    first, second = _names(one), _names(other)
    return None if not first or not second else bool(first & second)


def _meaning(language: str, codes: Collection[str]) -> str | None:
    names = _names(language)
    candidates = [code for code in codes if re.split("[_-]", code)[0] in names]
    # The likely script first, then a code that says less (pt before pt_BR), then the alphabet: always the same one.
    script = _script(language)
    return min(candidates, key=lambda code: (script not in re.split("[_-]", code), len(code), code), default=None)


def _names(language: str) -> set[str]:
    """The codes of a language in ISO 639-1 and 639-3; empty where they do not know it."""
    from langcodes import Language

    try:
        tag = Language.get(language)
        three = tag.to_alpha3()
    except (ValueError, LookupError):
        return set()
    two = {tag.language} if tag.language else set()
    return two | {three, MEMBERS.get(three, three)}


def _script(language: str) -> str | None:
    from langcodes import Language

    try:
        script = Language.get(language).maximize().script
    except ValueError:
        return None
    return SCRIPTS.get(script, script) if script else None
