"""`refusal`: the words of a language model that will not translate, in whichever language."""

from __future__ import annotations

import re

from crossrank.filtering.rules.text_pair import TextPair

_CANNOT = "(?:can'?t|can’t|cannot|can not|unable|not able|won'?t)"
_REFUSAL = re.compile(
    r"[\s\"'“*]{0,4}(?:"
    rf"(?:i'?m|i’m|i am) (?:really |very |so )?(?:sorry|afraid)\b.{{0,80}}?\b{_CANNOT}\b"
    rf"|(?:sorry|my apologies|apologies|i apologi[sz]e|unfortunately)\b.{{0,60}}?\bi(?:'m| am)? {_CANNOT}\b"
    r"|i (?:can'?t|can’t|cannot|can not|am unable to|am not able to|won'?t|will not|must decline to)"
    r" (?:translate|assist|help|provide|fulfil|comply|process|complete|continue|generate|engage)"
    r"|as an? (?:ai|artificial intelligence|language model)\b"
    r"|(?:대단히 |정말 )?(?:죄송|미안|유감|안타깝|송구).{0,80}?"
    r"(?:번역|요청|도와|도움|제공|답변|처리|응답|지원|내용).{0,40}?"
    r"(?:수 없|수가 없|불가|어렵|못|않)"
    r"|(?:저는 |나는 )?(?:ai|인공지능)(?: 언어)? ?(?:모델|어시스턴트)?(?:로서|이기 때문에|이므로|라서|이라)"
    r"|(?:이 |해당 |요청하신 )?(?:글|텍스트|내용|문장|요청)[은는을를]? ?.{0,10}?(?:번역|처리|제공)"
    r"(?:할|해 드릴|해드릴) 수(?:가)? 없"
    r"|번역(?:할 수(?:가)? 없|이 불가능|을 제공할 수 없)|no translation (?:is )?(?:available|possible|provided)"
    r"|(?:this|the) text (?:cannot|can'?t) be translated"
    r"|(?:es )?tut mir (?:sehr )?leid\b.{0,60}?(?:kann|nicht möglich)|leider kann ich\b.{0,60}?(?:nicht|keine)"
    r"|als (?:ki|sprachmodell)\b"
    r"|(?:大変)?申し訳(?:ありません|ございません|ない).{0,60}?(?:できません|いたしかねます|できかね)"
    r"|(?:很|非常)?(?:抱歉|对不起|對不起).{0,40}?(?:无法|無法|不能)"
    r"|(?:je suis )?désolée?.{0,60}?ne (?:peux|puis) pas"
    r"|lo siento.{0,60}?no puedo"
    r")",
    re.IGNORECASE,
)
_OF_SOURCE = re.compile(
    rf"sorry|afraid|apolog|unfortunate|regret|pardon|excuse|\b{_CANNOT}\b|decline|language model|artificial|\bai\b"
    r"|translat|번역|übersetz|죄송|미안|유감|안타깝|송구|수 없|인공지능|leid\b|leider|entschuld|\bki\b|sprachmodell"
    r"|申し訳|すみません|ごめん|できません|抱歉|对不起|對不起|无法|無法|désolé|siento|disculp",
    re.IGNORECASE,
)
"""Words of a source that itself is sorry or cannot do something, whose translation has them too."""


def is_refusal(pair: TextPair) -> bool:
    """Whether the translation is no translation but the words of a model that refuses."""
    return _REFUSAL.match(pair.target) is not None and not _OF_SOURCE.search(pair.source)
