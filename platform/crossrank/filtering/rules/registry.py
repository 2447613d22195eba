"""Every rule that judges one text, by its reason code. To add one is to add a file and a line here."""

from __future__ import annotations

from collections.abc import Callable

from crossrank.filtering.rules.added_markup import has_added_markup
from crossrank.filtering.rules.backend_error import is_backend_error
from crossrank.filtering.rules.empty import is_empty
from crossrank.filtering.rules.hidden_characters import has_hidden_characters
from crossrank.filtering.rules.html_entity import has_html_entity
from crossrank.filtering.rules.length_ratio import has_wrong_length
from crossrank.filtering.rules.lost_minus import has_lost_minus
from crossrank.filtering.rules.lost_number import has_lost_number
from crossrank.filtering.rules.lost_placeholder import has_lost_placeholder
from crossrank.filtering.rules.lost_tag import has_lost_tag
from crossrank.filtering.rules.lost_url import has_lost_url
from crossrank.filtering.rules.mojibake import has_mojibake
from crossrank.filtering.rules.preamble import has_preamble
from crossrank.filtering.rules.refusal import is_refusal
from crossrank.filtering.rules.repetition import is_repetition
from crossrank.filtering.rules.text_pair import TextPair
from crossrank.filtering.rules.untranslated import is_untranslated
from crossrank.filtering.rules.wrong_language import is_wrong_language
from crossrank.filtering.rules.wrong_script import is_wrong_script

Rule = Callable[[TextPair], bool]

ALONE: dict[str, Rule] = {"empty": is_empty, "backend_error": is_backend_error, "refusal": is_refusal}
"""Rules that, where one holds, leave no translation to judge by the others."""
RULES: dict[str, Rule] = {
    "untranslated": is_untranslated,
    "wrong_language": is_wrong_language,
    "wrong_script": is_wrong_script,
    "length_ratio": has_wrong_length,
    "repetition": is_repetition,
    "mojibake": has_mojibake,
    "lost_number": has_lost_number,
    "lost_minus": has_lost_minus,
    "lost_url": has_lost_url,
    "lost_placeholder": has_lost_placeholder,
    "lost_tag": has_lost_tag,
    "added_markup": has_added_markup,
    "html_entity": has_html_entity,
    "hidden_characters": has_hidden_characters,
    "preamble": has_preamble,
}


def reasons_against(pair: TextPair) -> tuple[str, ...]:
    """The codes of the rules that a translation breaks; empty for a good one."""
    for reason, holds in ALONE.items():
        if holds(pair):
            return (reason,)
    return tuple(reason for reason, holds in RULES.items() if holds(pair))
