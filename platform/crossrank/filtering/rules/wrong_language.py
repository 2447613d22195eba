"""`wrong_language`: a translation into another language than was asked for.

The script first: who writes Hangul writes Korean, and kana are Japanese, however short the text. Only where several
languages share a script is the language identified, and only in texts of some length: of five letters every library
guesses.
"""

from __future__ import annotations

from crossrank.filtering.rules.identification import probabilities
from crossrank.filtering.rules.text_pair import TextPair
from crossrank.filtering.rules.untranslated import is_code

MOST = 0.5
"""Share of its letters from which a text is in a script."""
IDENTIFYING_SCRIPTS = ("HIRAGANA", "KATAKANA", "CJK", "HANGUL", "THAI", "HEBREW", "GREEK", "ARMENIAN", "GEORGIAN")
"""Scripts of one or two languages, so that a few letters show the language."""
IDENTIFYING_LETTERS = 4


def is_wrong_language(pair: TextPair) -> bool:
    """Whether the translation is in another language than the target's."""
    letters = pair.num_letters
    if not letters or pair.is_copy:  # a copy is judged by `untranslated`
        return False
    own = pair.target_language.own_script
    if own is not None and pair.scripts.get(own, 0) >= MOST * letters:
        return False
    own_scripts = pair.target_language.scripts
    foreign = sum(pair.new_scripts.get(script, 0) for script in IDENTIFYING_SCRIPTS if script not in own_scripts)
    if foreign >= max(MOST * letters, IDENTIFYING_LETTERS):
        return True
    if letters < pair.thresholds.language_letters or is_code(pair.target):
        return False
    likely = probabilities(pair.target_prose)
    wanted = pair.target_language.and_relatives
    best, probability = next(iter(likely.items()))
    return (
        best not in wanted
        and probability >= pair.thresholds.other_probability
        and sum(likely.get(code, 0.0) for code in wanted) < pair.thresholds.target_probability
    )
