"""The families of translation models, and how each is given the source and target language.

T5 (MADLAD-400)    a prefix of the source, ``<2ko> ``
NLLB-200           the source's code by the tokenizer, and an output that begins with the target's: ``kor_Hang``
M2M100             the same with ``__ko__``
Marian             nothing, or where the model has several targets a prefix of the source, ``>>kor<< ``
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from crossrank.errors import ModelRefused, SettingsError
from crossrank.translation.backends.seq2seq_languages import code_of, same_language

FAMILIES = "MADLAD-400 (T5), NLLB-200, M2M100 and Marian"
SOURCE_FLAG, TARGET_FLAG = "--source", "--target"
_T5_TOKEN = re.compile(r"<2(\w+)>")
_MARIAN_TOKEN = re.compile(r">>([\w-]+)<<")
_NLLB_TOKEN = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
_M2M_TOKEN = re.compile(r"__([a-z]{2,3})__")


@dataclass(frozen=True, slots=True)
class Direction:
    """The inputs of a model, beside the text, that name the source and target language."""

    family: str
    prefix: str = ""
    """Text before every source, such as ``<2ko> ``; empty where the family takes none."""
    source_code: str | None = None
    """The tokenizer's code of the source language; None where it takes none."""
    begins_with: int | None = None
    """Id of the token that every output begins with, after the one that starts the decoder; None for no such token."""


def direction_of(model: str, config: dict[str, Any], tokenizer: Any, source: str, target: str) -> Direction:
    """The inputs that make a model translate from `source` to `target`: codes of its own or tags such as ``ko``.

    Raises:
        ModelRefused: a model of another family than T5, NLLB, M2M100 and Marian.
        SettingsError: a language that it does not have.
    """
    vocabulary = tokenizer.get_vocab()
    if config["model_type"] == "t5":
        return _t5(model, vocabulary, source, target)
    if config["model_type"] == "marian":
        return _marian(model, vocabulary, tokenizer, source, target)
    if config["model_type"] == "m2m_100":
        return _m2m(model, vocabulary, tokenizer, source, target)
    raise ModelRefused(
        f"{model} is a {config['model_type']}, and the models that translate here are {FAMILIES}; use one of those"
    )


def _t5(model: str, vocabulary: dict[str, int], source: str, target: str) -> Direction:
    codes = _codes(_T5_TOKEN, vocabulary)
    if not codes:
        raise ModelRefused(
            f"{model} is a T5 without language tokens such as <2ko>, so it cannot be told a language; use a MADLAD-400"
        )
    code_of(source, codes, model, SOURCE_FLAG)
    return Direction("madlad", prefix=f"<2{code_of(target, codes, model, TARGET_FLAG)}> ")


def _marian(model: str, vocabulary: dict[str, int], tokenizer: Any, source: str, target: str) -> Direction:
    named_source, named_target = getattr(tokenizer, "source_lang", None), getattr(tokenizer, "target_lang", None)
    codes = _codes(_MARIAN_TOKEN, vocabulary)
    for flag, given, named in ((SOURCE_FLAG, source, named_source), (TARGET_FLAG, target, named_target)):
        # A model for many languages is named after a group of them, which says nothing of one.
        if named and not (codes and flag == TARGET_FLAG) and same_language(given, named) is False:
            raise SettingsError(
                f"{flag} is {given}, and {model} translates from {named_source} to {named_target}; use another model"
            )
    return Direction("marian", prefix=f">>{code_of(target, codes, model, TARGET_FLAG)}<< " if codes else "")


def _m2m(model: str, vocabulary: dict[str, int], tokenizer: Any, source: str, target: str) -> Direction:
    nllb = {token for token in vocabulary if _NLLB_TOKEN.fullmatch(token)}
    if nllb:
        begin = tokenizer.convert_tokens_to_ids(code_of(target, nllb, model, TARGET_FLAG))
        return Direction("nllb", source_code=code_of(source, nllb, model, SOURCE_FLAG), begins_with=begin)
    # The tokenizer of M2M100 keeps language codes apart from its vocabulary.
    codes: dict[str, int] = dict(getattr(tokenizer, "lang_code_to_id", {}))
    codes = codes or {code: vocabulary[f"__{code}__"] for code in _codes(_M2M_TOKEN, vocabulary)}
    if not codes:
        raise ModelRefused(f"{model} has no language tokens such as kor_Hang or __ko__; fetch its tokenizer again")
    begin = codes[code_of(target, codes, model, TARGET_FLAG)]
    return Direction("m2m100", source_code=code_of(source, codes, model, SOURCE_FLAG), begins_with=begin)


def _codes(pattern: re.Pattern[str], vocabulary: dict[str, int]) -> set[str]:
    return {match[1] for match in map(pattern.fullmatch, vocabulary) if match}
