"""A first stage over the texts of a corpus, made once a node and kept beside them."""

from __future__ import annotations

import numpy as np

from crossrank import storage
from crossrank.corpus.store import TextStore, Usable
from crossrank.derived import Derived
from crossrank.retrieval.analysis import analyser, choose_language
from crossrank.retrieval.bm25 import Bm25Index, estimate_bytes
from crossrank.storage.node_cache import build_once
from crossrank.telemetry.progress import say

SAMPLE_PASSAGES = 1000


def language_of(corpus: TextStore, language: str) -> Derived[str]:
    """The language that a corpus is analysed in: as given, or found out from a sample where it is ``auto``."""
    return choose_language(language, _sample(corpus))


def open_bm25(corpus: TextStore, language: Derived[str]) -> Bm25Index:
    """Open the BM25 index of a corpus on this machine, built now if it is not in the cache.

    Says beforehand how much memory building takes; refused where that is not there. A row that cannot be used keeps its
    place and has no words, so that no query finds it.

    Args:
        language: any but ``auto``; see `language_of`.
    """
    chosen = analyser(language.value)
    folder = storage.cache_folder() / "bm25" / f"{corpus.key}-{chosen.name}"
    if not folder.exists():
        need = estimate_bytes(_sample(corpus), chosen, len(corpus))
        say(f"BM25 over {len(corpus):,} passages, language {language}, needs about {need / 1e6:,.0f} MB")
    usable_N = corpus.usable(slice(None)) == Usable.YES
    texts = (text if usable else "" for text, usable in zip(corpus.all_texts(), usable_N, strict=True))
    build_once(folder, lambda new: Bm25Index.build(texts, chosen, num_documents=len(corpus)).save(new))
    return Bm25Index.load(folder)


def _sample(corpus: TextStore) -> list[str]:
    rows = np.linspace(0, max(len(corpus) - 1, 0), min(len(corpus), SAMPLE_PASSAGES), dtype=int)
    return corpus.texts(rows.tolist())
