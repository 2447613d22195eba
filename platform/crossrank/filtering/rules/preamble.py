"""`preamble`: words of a language model about its translation, before it or behind it."""

from __future__ import annotations

import re

from crossrank.filtering.rules.text_pair import TextPair

_ABOUT = re.compile(
    r"translat|output|출력|```|in (?:korean|english|german)|번역|übersetz|翻訳|翻译|翻譯|译文|訳|traduc|traduz|перев",
    re.IGNORECASE,
)
"""Words of a source about translating, whose translation may have them too."""
_LANGUAGE = (
    r"korean|한국어|한국말|english|영어|german|deutsch|독일어|japanese|日本語|일본어|chinese|中文|중국어|french|français|"
    r"spanish|español"
)
_BEFORE = re.compile(
    r"[\s\"'“*#>`]{0,8}(?:"
    r"(?:(?:sure|certainly|of course|okay|ok|absolutely|great)[,!.:]{1,3}\s{0,3})?"
    r"(?:here(?:'s|’s| is| are) |this is |below is |the following is )(?:the|your|a|my)\b.{0,60}?translat\w{0,5}"
    r"|(?:the |my )?(?:\w{1,12} )?translat(?:ion|ed text|ed version)(?: (?:in|to|into) \w{1,12})?(?: is)?\s?[:：]"
    rf"|here(?:'s|’s| is) (?:the|your|a) (?:{_LANGUAGE}) \w"
    r"|<(?:translation|translated|target|output)>|(?:output|출력)\s?[:：]|```"
    r"|[\"“'‘].{1,400}?[\"”'’]\s?(?:으로|로|라고|이라고)\s?번역"
    r"|translated (?:text|version|from|into|to)\b"
    r"|(?:다음은|아래는|여기|위 (?:글|문장)).{0,40}?번역"
    r"|(?:(?:한국어|한글|영어|독일어)\s?)?번역(?:문|본|된 텍스트|\s?결과)?\s?[:：]"
    r"|(?:네|예|물론이죠|물론입니다|물론|알겠습니다)[,.!]{1,2}\s{0,3}.{0,40}?번역"
    r"|(?:hier ist|hier folgt|natürlich|gerne|selbstverständlich)\b.{0,60}?übersetzung"
    r"|(?:die |deutsche |koreanische ){0,2}übersetzung\s?[:：]"
    r"|(?:以下|こちら).{0,20}?(?:翻訳|訳)|(?:日本語)?(?:翻訳|訳文?)\s?[:：]"
    r"|(?:以下是|这是|這是|好的).{0,20}?(?:翻译|翻譯|译文)|(?:翻译|翻譯|译文)\s?[:：]"
    r"|(?:voici|bien sûr).{0,40}?traduction|traduction\s?[:：]"
    r"|(?:aquí|claro|por supuesto).{0,40}?traducci[oó]n|traducci[oó]n\s?[:：]"
    r")",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    r"[\n(\[]\s{0,3}\**(?:note|translator'?s note|참고|참고로|역주|번역자 주|주|hinweis|anmerkung|注)\**\s?[:：]"
    r".{0,200}?(?:translat|번역|übersetz|翻訳|翻译)",
    re.IGNORECASE,
)
_FENCE = re.compile(r"(\"{3}|'{3}|`{3}).*\1", re.DOTALL)
"""Quotes that stand around a text in a prompt."""
_LABEL = re.compile(rf"[\s\"'“*#>]{{0,8}}(?:{_LANGUAGE})\s?[:：]", re.IGNORECASE)
_ASSENT = re.compile(
    r"(?:sure|certainly|of course|absolutely|물론이죠|물론입니다|네, 알겠습니다|natürlich|selbstverständlich)"
    r"[,!.]\s{0,3}[^\n:：]{0,100}[:：]\s",
    re.IGNORECASE,
)
_ASSENT_IN_ENGLISH = re.compile(r"(?:sure|certainly|of course|absolutely|understood)[!,.:]", re.IGNORECASE)
_ASSENT_OF_SOURCE = re.compile(
    r"sure|certainly|of course|absolutely|understood|natural|yes|okay|indeed|물론|네|natürlich|gewiss|sicher",
    re.IGNORECASE,
)


def has_preamble(pair: TextPair) -> bool:
    """Whether the translation begins or ends with words about itself, and its source has none of the kind."""
    target, source = pair.target.strip(), pair.source
    if _FENCE.fullmatch(target) and not _FENCE.search(source):
        return True
    if (_BEFORE.match(target) or _BEHIND.search(target)) and not _ABOUT.search(source):
        return True
    if _LABEL.match(target) and not re.search(_LANGUAGE, source, re.IGNORECASE):
        return True
    is_foreign = pair.target_language.code != "en" and _ASSENT_IN_ENGLISH.match(target) is not None
    return (is_foreign or _ASSENT.match(target) is not None) and not _ASSENT_OF_SOURCE.search(source)
