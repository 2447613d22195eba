"""The labelled pairs are as many as were asked for, and were halved by their seed, not by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.unit.filtering.labelled import HALVES, LANGUAGES, halves, read

REASONS = {
    "backend_error",
    "empty",
    "untranslated",
    "wrong_language",
    "wrong_script",
    "length_ratio",
    "repetition",
    "mojibake",
    "lost_number",
    "lost_url",
}


def test_there_are_200_korean_and_100_german_pairs_and_at_least_15_bad_ones_of_every_reason() -> None:
    pairs = {language: [pair for half in HALVES for pair in read(language, half)] for language in LANGUAGES}

    assert len(pairs["ko"]) >= 200
    assert len(pairs["de"]) >= 100
    reasons = Counter(pair["reason"] for language in LANGUAGES for pair in pairs[language])
    assert set(reasons) == REASONS | {None}
    assert all(reasons[reason] >= 15 for reason in REASONS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_halves_are_what_the_seed_draws(language: str) -> None:
    thresholds, sealed = (read(language, half) for half in HALVES)

    assert halves(thresholds + sealed) == (thresholds, sealed)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_pair_is_in_both_halves(language: str) -> None:
    sources = [{pair["source"] for pair in read(language, half)} for half in HALVES]

    assert not sources[0] & sources[1]
