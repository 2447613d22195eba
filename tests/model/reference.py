"""What scores are held against: transformers alone, one pair at a time, in float32."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, AutoTokenizer

Pair = tuple[str, str]


def plain(folder: Path) -> tuple[Any, Any]:
    """Tokenizer and model as transformers loads them."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    return AutoTokenizer.from_pretrained(folder), model


def one_at_a_time(folder: Path, pairs: Iterable[Pair], max_length: int) -> NDArray[np.float32]:
    """Logits of a model that reads query and document as two sequences. Shape (P,)."""
    tokenizer, model = plain(folder)
    logits = []
    with torch.inference_mode():
        for query, document in pairs:
            # A batch of one: called with two bare strings, transformers takes an empty document for no document at
            # all and leaves its separators out; in a batch, and so in CrossEncoder, it is a pair.
            inputs = tokenizer(
                [query], [document], truncation="only_second", max_length=max_length, return_tensors="pt"
            )
            logits.append(float(model(**inputs).logits[0, 0]))
    return np.array(logits, dtype=np.float32)


def assert_same_scores(found_P: Sequence[float] | NDArray[Any], expected_P: Sequence[float] | NDArray[Any]) -> None:
    """Within 1e-5 times max(1, |logit|): the project's promise. Never widened."""
    found, expected = np.asarray(found_P, dtype=np.float64), np.asarray(expected_P, dtype=np.float64)
    assert found.shape == expected.shape
    error = np.abs(found - expected) / np.maximum(1, np.abs(expected))
    worst = int(error.argmax())
    assert error[worst] <= 1e-5, f"pair {worst}: {found[worst]} and not {expected[worst]}, off by {error[worst]:.1e}"
