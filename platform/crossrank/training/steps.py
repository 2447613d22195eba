"""Micro-batches of token ids, made from the groups of a step, the same on every rank.

Shape letters: P pairs of a micro-batch, S its groups, U groups of the step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrank import storage
from crossrank.batching import Cost, cut
from crossrank.corpus.store import TextStore
from crossrank.corpus.tokens import TokenStore, open_tokens
from crossrank.errors import UnitOverBudget
from crossrank.scoring.encoding import EncodedPairs, PromptEncoder, SpliceEncoder
from crossrank.scoring.interfaces import EncodedText
from crossrank.training.groups import GroupStore
from crossrank.training.sampler import Sampler, documents_of

Encoder = SpliceEncoder | PromptEncoder


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Input of one forward and one backward pass: whole groups, one after another, the positive of each first."""

    number: int
    """Place of the micro-batch in its step, from 0."""
    ids_P: list[NDArray[np.int32]]
    first_P: NDArray[np.int32]
    """Token ids of the pairs and lengths of their first part, as in `EncodedPairs`."""
    sizes_S: list[int]
    """Documents of each group."""
    labels_P: NDArray[np.float64]
    teachers_P: NDArray[np.float32]
    """Teacher scores; NaN where a document has none."""
    truncated: int
    """Pairs whose query or document was cut to fit the window."""

    @property
    def tokens(self) -> int:
        return sum(map(len, self.ids_P))


class StepDocuments:
    """Documents of a group store, made ready for the model: token ids from a store, or the text itself."""

    def __init__(self, groups: GroupStore, encoder: Encoder) -> None:
        self._groups = groups
        self._encoder = encoder
        self._own: TokenStore | None = None
        self._corpus: TokenStore | None = None
        if encoder.store_key is None:
            return
        rows = np.asarray(groups.rows_N)
        self._own = self._tokens(groups.own, ~rows[rows < 0])
        if groups.corpus is not None:
            self._corpus = self._tokens(groups.corpus, rows[rows >= 0])

    def _tokens(self, store: TextStore, rows: NDArray[np.int64]) -> TokenStore:
        wanted_N = np.zeros(len(store), dtype=bool)
        wanted_N[rows] = True
        key = hashlib.sha256(np.packbits(wanted_N).tobytes()).hexdigest()[:16]
        folder = storage.cache_folder() / "tokens" / f"{self._groups.key_of(store)}-{self._encoder.store_key}-{key}"
        return open_tokens(folder, store, wanted_N, self._encoder)

    def __call__(self, rows: Sequence[int]) -> list[EncodedText]:
        """The encoded documents of these rows, which are those of `GroupDocuments.rows_D`."""
        if self._own is None:
            return self._encoder.documents(self._groups.texts(rows))
        encoded: list[EncodedText] = []
        for row in rows:
            store = self._own if row < 0 else self._corpus
            assert store is not None, "a row of the corpus was found in the corpus"
            encoded.append(store[~row if row < 0 else row])
        return encoded


class Batcher:
    """Maker of the micro-batches of a step.

    Args:
        size: documents of a group that one epoch trains on; 0 keeps every negative.
        budget: token slots of a micro-batch.
        cost: cost of a micro-batch, as in `batching.cut`.
        stretches: whether a step in which one group alone is over the budget has micro-batches of that group's size;
            else such a group is refused.
    """

    def __init__(
        self,
        groups: GroupStore,
        encoder: Encoder,
        sampler: Sampler,
        size: int,
        budget: int,
        cost: Cost,
        *,
        stretches: bool = False,
    ) -> None:
        self._groups = groups
        self._encoder = encoder
        self._documents = StepDocuments(groups, encoder)
        self.sampler = sampler
        self._size = size
        self._budget = budget
        self._cost = cost
        self._stretches = stretches

    def micro_batches(self, step: int) -> list[MicroBatch]:
        """All micro-batches of a step, counted from 0 through all epochs. Every group of the step is in one.

        Raises:
            UnitOverBudget: a group alone is over the budget.
        """
        chosen = self.sampler.groups(step).tolist()
        pairs, is_cut_P, sizes_U, labels, teachers = self._pairs(chosen, self.sampler.epoch(step))
        ends_U = np.cumsum(sizes_U)
        starts_U = ends_U - sizes_U
        lengths_P = pairs.lengths_P
        over_pairs = np.add if self._cost == "packed" else np.maximum
        lengths_U = over_pairs.reduceat(lengths_P.astype(np.int64), starts_U)
        costs_U = lengths_U if self._cost == "packed" else lengths_U * sizes_U
        costliest = int(costs_U.argmax())
        if costs_U[costliest] > self._budget and not self._stretches:
            [query_id] = self._groups.query_ids([chosen[costliest]])
            raise UnitOverBudget(
                f"the group of query {query_id} takes {costs_U[costliest]:,} tokens, over micro_batch_tokens "
                f"({self._budget:,}); raise it, or lower train_group_size or --max-length"
            )
        budget = max(self._budget, int(costs_U[costliest]))
        batches = []
        for number, units in enumerate(cut(lengths_U, budget, self._cost, "group", rows_U=sizes_U)):
            # Neighbours in length first: a packed batch attends a run of equal lengths at once.
            taken = np.concatenate([np.arange(starts_U[unit], ends_U[unit]) for unit in units])
            batches.append(
                MicroBatch(
                    number,
                    [pairs.ids_P[p] for p in taken],
                    pairs.first_P[taken],
                    sizes_U[units].tolist(),
                    labels[taken],
                    teachers[taken],
                    int(is_cut_P[taken].sum()),
                )
            )
        return batches

    def _pairs(
        self, chosen: list[int], epoch: int
    ) -> tuple[EncodedPairs, NDArray[np.bool_], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        rows, labels, teachers, sizes = [], [], [], []
        hashes = self._groups.hashes(chosen)
        for group, group_hash in zip(chosen, hashes, strict=True):
            documents = self._groups.documents(group)
            places = documents_of(documents.labels_D, self._size, self.sampler.seed, epoch, group_hash)
            rows.append(documents.rows_D[places])
            labels.append(documents.labels_D[places])
            teachers.append(documents.teachers_D[places])
            sizes.append(len(places))
        queries = self._encoder.queries(self._groups.queries(chosen))
        documents_ = self._documents(np.concatenate(rows).tolist())
        sizes_U = np.array(sizes, dtype=np.int64)
        query_P = np.repeat(np.arange(len(chosen)), sizes_U)
        pairs = self._encoder.pairs(queries, documents_, query_P, np.arange(len(documents_)))
        is_cut_U = np.array([query.overflow > 0 for query in queries])
        is_cut_P = (pairs.truncated_P > 0) | is_cut_U[query_P]
        return pairs, is_cut_P, sizes_U, np.concatenate(labels), np.concatenate(teachers)
