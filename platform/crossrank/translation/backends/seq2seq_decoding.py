"""Settings of the search by which a translation model finds its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class DecodingSearch(Protocol):
    """The settings of a search; `TranslateSettings` is one."""

    @property
    def num_beams(self) -> int:
        """Outputs that are followed side by side; 1 is greedy."""

    @property
    def max_new_tokens(self) -> int:
        """Longest translation of a sentence, in tokens."""

    @property
    def precision(self) -> str | None:
        """Number format; None is fp32 on a CPU and bf16 on a GPU."""


@dataclass(frozen=True, slots=True)
class Greedy:
    """The settings of a search, by default a greedy one."""

    num_beams: int = 1
    max_new_tokens: int = 512
    precision: str | None = None
