"""`lost_number`: a number of the source whose value the translation does not have."""

from __future__ import annotations

from crossrank.filtering.rules.number_times import has_other_time
from crossrank.filtering.rules.number_values import numbers_of_source, values_of_target
from crossrank.filtering.rules.text_pair import TextPair


def has_lost_number(pair: TextPair) -> bool:
    """Whether numbers are gone or changed: any of the first few, or a share of many.

    Only what the source writes in digits is looked for; the translation may say it in words. How often a number is
    said does not matter. An hour in the other half of the day, and another month, count though their digits are there.
    """
    wanted = numbers_of_source(pair.source, pair.source_language, pair.target_language)
    if not wanted:
        return False
    if has_other_time(pair.source, pair.target):
        return True
    there = values_of_target(pair.target, pair.target_language)
    lost = sum(there.isdisjoint(values) for values in wanted)
    return lost > 0 and lost >= pair.thresholds.lost_numbers_share * len(wanted)
