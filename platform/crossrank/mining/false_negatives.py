"""Filters that drop the passages of a first stage that probably answer the query, and leave the negatives.

The first unjudged passages of a ranking are the hardest negatives, and among them are passages that answer the query
as well as the judged one. Each filter drops a passage for a reason that is kept and counted.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from crossrank.mining.near_duplicates import Fingerprint, containment, jaccard
from crossrank.retrieval.analysis import HAN, HANGUL, KANA

JACCARD = 0.5
CONTAINMENT = 0.8
"""Default likeness of a near duplicate, by `jaccard` and by `containment`. Copies of KorQuAD paragraphs with every
tenth word changed stay above both; different paragraphs of one article lie under 0.2, and different sentences that
answer one question of WikiQA under 0.37 and 0.67."""


class Drop(StrEnum):
    """Reasons why a passage is no negative of a query."""

    IN_GROUP = "in_group"
    """The group has it already, judged or not."""
    QUERY_ITSELF = "query_itself"
    """The query itself, by its id or its text, as in collections whose queries are documents."""
    POSITIVE_OF_SAME_QUERY = "positive_of_same_query"
    """Another group asks the same and has it as a positive."""
    EXACT_COPY = "exact_copy"
    """A positive under another id, perhaps laid out or capitalised in another way."""
    NEAR_DUPLICATE = "near_duplicate"
    """A positive that was lightly edited, cut short or made longer."""
    HAS_ANSWER = "has_answer"
    """A passage that holds the answer that the group brings."""
    REPEATED = "repeated"
    """A negative that the group has already, under another id."""
    OVER_MARGIN = "over_margin"
    """A passage that the teacher scores too near to the lowest positive, or above."""
    SCORE_NOT_FINITE = "score_not_finite"
    """A passage whose score by the teacher is not finite."""


FALSE_NEGATIVES = tuple(
    reason for reason in Drop if reason not in (Drop.IN_GROUP, Drop.QUERY_ITSELF, Drop.REPEATED, Drop.SCORE_NOT_FINITE)
)
"""Reasons for which a passage probably answers the query."""

DropReason = tuple[Drop, str]
"""A reason, and the id or text by which it holds."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Likeness from which a passage counts as a copy of a positive: shares of shingles, 0 to 1."""

    jaccard: float = JACCARD
    containment: float = CONTAINMENT

    def find(self, passage: Fingerprint, positives: Iterable[tuple[str, Fingerprint]]) -> DropReason | None:
        """The reason to drop a passage that is one of the positives, which come with their ids; None for any other."""
        for doc_id, positive in positives:
            if passage.letters and passage.letters == positive.letters:
                return Drop.EXACT_COPY, f"the text of the positive {doc_id}"
            likeness = jaccard(passage, positive)
            if likeness >= self.jaccard:
                return Drop.NEAR_DUPLICATE, f"like the positive {doc_id}: Jaccard {likeness:.2f}"
            part = containment(passage, positive)
            if part >= self.containment:
                return Drop.NEAR_DUPLICATE, f"like the positive {doc_id}: {part:.2f} of the shorter is in the longer"
        return None


OTHER_LETTER = rf"[^\W_{HANGUL}{HAN}{KANA}]"
"""A letter or digit of a script that separates words by spaces."""


def answers_of(meta: dict[str, Any]) -> Callable[[str], str | None]:
    """A function that gives the answer of the group that a text holds, None where it holds none.

    An answer is ``meta["answer"]``, a text or a list of texts. It is found whatever its case, white space or
    punctuation, and as whole words; Hangul, Han and Kana go on from word to word, so there any place will do.
    """
    found = meta.get("answer")
    answers = [str(each) for each in (found if isinstance(found, list) else [found]) if each is not None]
    patterns = [(answer, _pattern(spaced)) for answer in answers if (spaced := _spaced(answer))]

    def held(text: str) -> str | None:
        spaced = _spaced(text) if patterns else ""
        return next((answer for answer, pattern in patterns if pattern.search(spaced)), None)

    return held


def _spaced(text: str) -> str:
    """The words of a text, caseless, with one space between them."""
    return " ".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold()))


def _pattern(spaced: str) -> re.Pattern[str]:
    before = rf"(?<!{OTHER_LETTER})" if re.match(OTHER_LETTER, spaced) else ""
    after = rf"(?!{OTHER_LETTER})" if re.match(OTHER_LETTER, spaced[-1]) else ""
    return re.compile(before + re.escape(spaced) + after)


@dataclass(frozen=True, slots=True)
class Margin:
    """The distance under the lowest positive at which a teacher has to score a negative.

    ``relative`` wants its probability, the sigmoid of the logit, under ``(1 - value)`` times that of the positive:
    the TopK-PercPos of NV-Retriever, whose best was 95 %, a value of 0.05. ``absolute`` wants its logit under the
    positive's by more than `value`: its TopK-MarginPos. With several positives the lowest counts.

    Source: Moreira et al., NV-Retriever: Improving text embedding models with effective hard-negative mining,
    arXiv 2407.15831, 2024.
    """

    kind: Literal["relative", "absolute"]
    value: float

    def ceiling(self, positive_logits: Sequence[float]) -> float:
        """The logit from which a passage is dropped. `positive_logits` are finite, and at least one."""
        lowest = min(positive_logits)
        if self.kind == "absolute":
            return lowest - self.value
        probability = (1.0 - self.value) * _sigmoid(lowest)
        return min(_logit(probability), lowest)  # a high logit is a probability of 1.0, which no logit is

    def find(self, logit: float, ceiling: float) -> DropReason | None:
        """The reason to drop a passage that scores too high; None for any other."""
        if not math.isfinite(logit):
            return Drop.SCORE_NOT_FINITE, f"the teacher scores it {logit}"
        if logit >= ceiling:
            return Drop.OVER_MARGIN, f"the teacher scores it {logit:.3f}, and negatives have to be under {ceiling:.3f}"
        return None


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1.0 + math.exp(logit))


def _logit(probability: float) -> float:
    if probability <= 0.0:
        return -math.inf
    return math.log(probability) - math.log1p(-probability) if probability < 1.0 else math.inf
