"""Relevance: the labels that make a document count as a hit.

Measures of hits (MRR, Success, Recall, Precision, MAP) know relevant and not; nDCG takes the label itself as its gain.
TREC Deep Learning grades passages from 0 to 3, and counts a hit from 2.

Shape letters: P pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_relevant(label: float | None, relevant_from: float | None = None) -> bool:
    """Whether a document of this label is a hit.

    Args:
        label: label of the document; None where nobody judged it, which is no hit.
        relevant_from: the lowest label of a hit; None for any above 0.
    """
    return label is not None and (label > 0 if relevant_from is None else label >= relevant_from)


def are_relevant(labels_P: NDArray[np.floating[Any]], relevant_from: float | None = None) -> NDArray[np.bool_]:
    """Whether documents of these labels are hits, as `is_relevant`; NaN where nobody judged. Shape (P,)."""
    is_relevant_P: NDArray[np.bool_] = labels_P > 0 if relevant_from is None else labels_P >= relevant_from
    return is_relevant_P


def in_words(relevant_from: float | None) -> str:
    """Words for the labels of a hit, to stand after "a document"."""
    return "labelled above 0" if relevant_from is None else f"labelled {relevant_from:g} or more"
