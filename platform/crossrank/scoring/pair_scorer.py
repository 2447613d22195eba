"""`PairScorer`: a cross-encoder in memory, for jobs, training and the server. `Reranker` is what users see of it.

Shape letters: P pairs, D different pairs, B pairs of a batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from crossrank.batching import Cost, cut
from crossrank.derived import Derived
from crossrank.errors import SettingsError
from crossrank.scoring.encoding import EncodedPairs, PromptEncoder, SpliceEncoder, Tokenizer
from crossrank.scoring.interfaces import EncodedText, Scored, Window
from crossrank.scoring.loading import check_model, find_model, load_tokenizer
from crossrank.scoring.malloc_trim import Heap
from crossrank.scoring.model_families import encoder_of
from crossrank.scoring.precision import choose_dtype
from crossrank.scoring.prefetch import ahead
from crossrank.scoring.runtimes.registry import runtime_of
from crossrank.scoring.runtimes.runtime import Forward
from crossrank.scoring.truncation import saved_truncation

logger = logging.getLogger(__name__)

WINDOW_PAIRS = 2048
"""Pairs that are encoded and sorted by length together: enough that neighbours in length are near equal, few
enough that memory does not grow with the input, and that a GPU begins before much is tokenised."""


class PairScorer:
    """A cross-encoder with one logit, made by `PairScorer.load`.

    It is a `Scorer` for jobs, which hand it windows of encoded texts, and what the server's engine needs, which cuts
    batches itself and launches them.
    """

    def __init__(
        self,
        *,
        name: str,
        revision: str,
        encoder: SpliceEncoder | PromptEncoder,
        forward: Forward,
        device: torch.device,
        dtype: torch.dtype,
        budget: Derived[int],
    ) -> None:
        self.name = name
        self.revision = revision
        self.encoder = encoder
        self.device = device
        self.dtype = dtype
        self.budget = budget
        self.on_memory_retry: Callable[[], None] = lambda: None
        """Called when a batch is halved, since the GPU's memory did not hold it."""
        self._forward = forward
        self._heap = Heap()

    @classmethod
    def load(
        cls,
        model: str,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        max_length: int = 512,
        *,
        instruction: str | None = None,
        budget: int | None = None,
        revision: str | None = None,
    ) -> Self:
        """Load a sequence-classification reranker with one logit. For arguments and refusals see `Reranker.load`."""
        if budget is not None and budget < max_length:
            raise SettingsError(
                f"budget is {budget}, under max_length ({max_length}), so a full window fits no batch; "
                f"raise the budget or lower --max-length"
            )
        folder = find_model(model, revision)
        config = check_model(folder)
        truncation = saved_truncation(config, model)
        chosen_device = _device(device)
        chosen_dtype = choose_dtype(dtype, chosen_device)
        tokenizer = Tokenizer(load_tokenizer(folder))
        runtime = runtime_of(chosen_device, chosen_dtype)
        loaded = runtime.load(
            folder, config, tokenizer.hf, device=chosen_device, dtype=chosen_dtype, max_length=max_length
        )
        encoder = encoder_of(model, config, tokenizer, max_length, instruction, truncation)
        scorer = cls(
            name=model,
            revision=folder.revision,
            encoder=encoder,
            forward=loaded.forward,
            device=chosen_device,
            dtype=chosen_dtype,
            budget=loaded.budget if budget is None else Derived(budget, "as given"),
        )
        logger.info("loaded %s", scorer)
        return scorer

    def __repr__(self) -> str:
        return f"PairScorer({', '.join(f'{key}={value}' for key, value in self.describe().items())})"

    def describe(self) -> dict[str, Any]:
        """Model, device, number format and budget, for logs and manifests."""
        return {
            "model": self.name,
            "revision": self.revision,
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "forward": self._forward.name,
            "max_length": self.encoder.max_length,
            "truncation": self.encoder.truncation,
            "token_budget": str(self.budget),
        }

    def score_encoded(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> Scored:
        """Score the pairs ``(queries[query_P[p]], documents[document_P[p]])`` of texts that `encoder` made ready."""
        [scored] = self.score_windows(iter([Window(queries, documents, query_P, document_P)]))
        return scored

    def score_windows(self, windows: Iterator[Window]) -> Iterator[Scored]:
        """Score windows of pairs one after another; on a GPU the next is made ready meanwhile, which tokenises.

        A CPU has no cores to spare for that. A pair that stands twice in a window is scored once: in another batch
        it could differ in its last bits, and no longer tie.
        """
        pieces = self._pieces(windows)
        parts: list[tuple[NDArray[Any], ...]] = []
        for pairs, again_P in ahead(pieces) if self.runs_ahead else pieces:
            parts.append(self._score_window(pairs))
            if again_P is not None:
                yield Scored(*(np.concatenate(values)[again_P] for values in zip(*parts, strict=True)))
                parts = []

    def _pieces(self, windows: Iterator[Window]) -> Iterator[tuple[EncodedPairs, NDArray[np.int64] | None]]:
        """Pieces of each window: its different pairs, `WINDOW_PAIRS` at a time.

        The last piece of a window comes with the positions of every pair's score among the different ones, shape (P,).
        """
        for queries, documents, query_P, document_P in windows:
            keys_P = np.asarray(query_P, dtype=np.int64) * max(len(documents), 1) + document_P
            _, first_D, again_P = np.unique(keys_P, return_index=True, return_inverse=True)
            for start in range(0, max(len(first_D), 1), WINDOW_PAIRS):
                piece = first_D[start : start + WINDOW_PAIRS]
                is_last = start + WINDOW_PAIRS >= len(first_D)
                pairs = self.encoder.pairs(queries, documents, query_P[piece], document_P[piece])
                yield pairs, again_P if is_last else None

    @property
    def cost(self) -> Cost:
        """Cost of a batch, by which batches are cut: whether padding is computed too."""
        return self._forward.cost

    @property
    def runs_ahead(self) -> bool:
        """Whether `launch` returns before the work is done."""
        return self.device.type == "cuda"

    def launch(self, ids_B: Sequence[NDArray[np.int32]], first_B: NDArray[np.int32]) -> torch.Tensor:
        """Begin to score one batch of pairs as `EncodedPairs` has them; `read` waits for its logits."""
        pieces = self._run(ids_B, first_B, np.arange(len(ids_B)))
        return torch.cat([logits for _, logits in pieces])

    def read(self, launched: torch.Tensor) -> NDArray[np.float32]:
        """Logits of a batch that was launched, float32, shape (B,)."""
        logits_B: NDArray[np.float32] = launched.cpu().numpy()
        return logits_B

    def _score_window(self, pairs: EncodedPairs) -> tuple[NDArray[Any], ...]:
        """The fields of `Scored` for pairs that are sorted by length and cut into batches together."""
        lengths_P = pairs.lengths_P
        padding_P = np.zeros(len(lengths_P), dtype=np.int32)
        outputs: list[tuple[NDArray[np.int64], torch.Tensor]] = []
        for batch_B in cut(lengths_P, self.budget.value, self._forward.cost):
            outputs.extend(self._run(pairs.ids_P, pairs.first_P, batch_B))
            if self._forward.cost == "padded":
                padding_P[batch_B] = lengths_P[batch_B].max() - lengths_P[batch_B]
        logits_P = np.empty(len(lengths_P), dtype=np.float32)
        for batch_B, logits_B in outputs:  # read after all were started: a GPU is never waited for between batches
            logits_P[batch_B] = logits_B.cpu().numpy()
        return logits_P, lengths_P, padding_P, pairs.truncated_P

    def _run(
        self, ids_P: Sequence[NDArray[np.int32]], first_P: NDArray[np.int32], batch_B: NDArray[np.int64]
    ) -> list[tuple[NDArray[np.int64], torch.Tensor]]:
        """Run one batch; halve it, and halve it again, where the GPU's memory does not hold it."""
        self._heap.tidy()
        try:
            return [(batch_B, self._forward([ids_P[p] for p in batch_B], first_P[batch_B]))]
        except torch.cuda.OutOfMemoryError:
            if len(batch_B) == 1:
                raise
            slots = len(batch_B) * max(len(ids_P[p]) for p in batch_B)
            half = max(slots // 2, self.encoder.max_length)
            if half < self.budget.value:  # later batches of the window were cut with the old budget
                self.budget = Derived(half, f"half of a batch of {slots} slots that ran out of GPU memory")
                logger.warning("out of GPU memory; the token budget is now %s", self.budget)
        self.on_memory_retry()
        torch.cuda.empty_cache()
        middle = len(batch_B) // 2
        return self._run(ids_P, first_P, batch_B[:middle]) + self._run(ids_P, first_P, batch_B[middle:])


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise SettingsError(f"device is {device!r}; use cpu, cuda or cuda:N") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(f"device is {device!r}, and torch sees no GPU here; use cpu")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise SettingsError(
            f"device is {device!r}, and torch sees {torch.cuda.device_count()} GPUs here; count from cuda:0"
        )
    return chosen
