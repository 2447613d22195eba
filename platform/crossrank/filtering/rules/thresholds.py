"""The numbers that the rules compare with: chosen on one half of the labelled pairs, and set by `FilterSettings`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds of the rules. `FilterSettings` has a key for each, with its meaning."""

    min_length_ratio: float | None = None
    max_length_ratio: float | None = None
    length_slack: int = 16
    kept_words: float = 0.7
    source_probability: float = 0.5
    language_letters: int = 20
    target_probability: float = 0.05
    other_probability: float = 0.6
    foreign_letters: int = 2
    foreign_share: float = 0.02
    latin_share: float = 0.4
    repeats: int = 4
    character_run: int = 12
    compressed_share: float = 0.35
    lost_numbers_share: float = 0.2
