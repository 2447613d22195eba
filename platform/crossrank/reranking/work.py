"""The work on a block of queries: read it, score it, write its part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrank import storage
from crossrank.corpus.source import CorpusSource
from crossrank.corpus.tokens import open_tokens
from crossrank.reranking.block import Corpus, Keep, figures_of, rerank_block
from crossrank.reranking.left import complete_part
from crossrank.resumable.block_job import Figures
from crossrank.resumable.layout import Layout, read_table, write_table
from crossrank.scoring.interfaces import Scorer
from crossrank.scoring.spec import ScorerSpec
from crossrank.storage.retries import with_retries


@dataclass(frozen=True, slots=True)
class RerankBlocks:
    """Reranks the blocks of a prepared job; a `BlockJob`."""

    layout: Layout
    spec: ScorerSpec
    corpus: CorpusSource | None
    keep: Keep
    again: frozenset[int] = frozenset()
    """Blocks whose part is there, and of which only queries without scores are scored again."""

    def open(self, threads: int) -> Callable[[int], Figures]:
        """Load the model, and the corpus if there is one."""
        scorer = self.spec.load(threads)
        corpus = self._open_corpus(scorer)

        def rerank(number: int) -> Figures:
            block = with_retries(lambda: read_table(self.layout.block(number)))
            before = with_retries(lambda: read_table(self.layout.part(number))) if number in self.again else None
            part, new = complete_part(block, before, lambda asked: rerank_block(asked, scorer, corpus, self.keep))
            with_retries(lambda: write_table(self.layout.part(number), part))
            return figures_of(new)

        return rerank

    def _open_corpus(self, scorer: Scorer) -> Corpus | None:
        if self.corpus is None:
            return None
        store = self.corpus.open()
        key = scorer.encoder.store_key
        if key is None:
            return Corpus(store, None)
        wanted_N, wanted_key = _wanted(self.layout, len(store))
        folder = storage.cache_folder() / "tokens" / f"{self.corpus.key}-{key}-{wanted_key}"
        return Corpus(store, open_tokens(folder, store, wanted_N, scorer.encoder))


def _wanted(layout: Layout, num_rows: int) -> tuple[NDArray[np.bool_], str]:
    """Mask of the rows of the corpus that any candidate names, and a key for that set."""
    table = with_retries(lambda: read_table(layout.wanted))
    bits = np.frombuffer(table["bits"][0].as_py(), dtype=np.uint8)
    return np.unpackbits(bits, count=num_rows).astype(bool), table["key"][0].as_py()
