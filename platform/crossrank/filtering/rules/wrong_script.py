"""`wrong_script`: letters that the target language is not written in, and that the source did not bring.

Two kinds: pieces of a third script (Chinese in a Korean text), of which two letters are too many, and the target's
own language in Latin letters, of which a good part has to be. Names and units in Latin letters are at home anywhere.
"""

from __future__ import annotations

import re

from crossrank.filtering.rules.text_pair import TextPair, scripts_of

_IN_BRACKETS = re.compile(r"[(（\[][^)）\]]{0,80}[)）\]]")


def is_wrong_script(pair: TextPair) -> bool:
    """Whether words that the source does not have are in a script that is not the target's."""
    if not pair.num_letters or pair.is_copy:
        return False
    ours = pair.target_language.scripts
    glossed = _glossed(pair)
    third = sum(
        max(0, count - glossed.get(script, 0))
        for script, count in pair.new_scripts.items()
        if script not in ours and script not in ("LATIN", "UNKNOWN", "MICRO", "OHM", "KELVIN", "ANGSTROM")
    )
    limits = pair.thresholds
    if third >= limits.foreign_letters and third >= limits.foreign_share * pair.num_letters:
        return True
    latin = pair.new_scripts.get("LATIN", 0)
    return "LATIN" not in ours and latin > limits.latin_share * pair.num_letters and latin >= limits.language_letters


def _glossed(pair: TextPair) -> dict[str, int]:
    """Number of letters in brackets by script, where a Korean text explains itself by Chinese characters."""
    return scripts_of("".join(_IN_BRACKETS.findall(pair.target_prose)))
