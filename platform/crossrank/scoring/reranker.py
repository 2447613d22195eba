"""`Reranker`: score and rank pairs of a query and a document with a cross-encoder.

Shape letters: P pairs, C candidates of one query.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crossrank.batching import Cost, cut
from crossrank.chosen import Chosen
from crossrank.errors import InputError, SettingsError
from crossrank.scoring import normalize as scores
from crossrank.scoring.ahead import ahead
from crossrank.scoring.budget import token_budget
from crossrank.scoring.choosing import encoder_of, forward_of
from crossrank.scoring.encoding import EncodedPairs, PromptEncoder, SpliceEncoder, Tokenizer
from crossrank.scoring.forward import Forward
from crossrank.scoring.heap import Heap
from crossrank.scoring.loading import (
    check_model,
    check_vocabulary,
    check_window,
    find_model,
    load_tokenizer,
    load_weights,
)
from crossrank.scoring.normalize import Normalize
from crossrank.scoring.precision import choose_dtype
from crossrank.scoring.scored import EncodedText, Scored, Window
from crossrank.scoring.truncation import saved_truncation

logger = logging.getLogger(__name__)

WINDOW_PAIRS = 2048
"""Pairs that are encoded and sorted by length together: enough that neighbours in length are near equal, few
enough that memory does not grow with the input, and that a GPU begins before much is tokenised."""


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A document with its place in the result; the first of a list is the best."""

    index: int
    """Its place in the list that was ranked, from 0."""
    score: float
    text: str


class Reranker:
    """A cross-encoder with one logit. Make one with `Reranker.load`.

    reranker = Reranker.load("BAAI/bge-reranker-v2-m3")
    reranker.score([("query", "passage"), ...])      # float32 logits, input order
    reranker.rank("query", ["passage", ...], top_n=10)
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
        budget: Chosen[int],
    ) -> None:
        self.name = name
        self.revision = revision
        self.encoder = encoder
        self.device = device
        self.dtype = dtype
        self.budget = budget
        self.on_memory_retry: Callable[[], None] = lambda: None
        """Called when a batch is halved, since the GPU's memory did not hold it."""
        self.cut: Counter[str] = Counter()
        """Documents and queries that `score` cut to the window since it was loaded.

        Where the model cuts ``longest_first``: pairs of which anything was cut, and queries over the window alone.
        """
        self._forward = forward
        self._heap = Heap()

    @classmethod
    def load(
        cls,
        model: str,
        device: str | None = None,
        dtype: str | torch.dtype | None = None,
        max_length: int = 512,
        *,
        instruction: str | None = None,
        budget: int | None = None,
    ) -> Reranker:
        """Load a sequence-classification reranker with one logit.

        Args:
            model: hub id, folder, or ``s3://bucket/folder``.
            device: ``cpu``, ``cuda``, ``cuda:1``; None takes a GPU if there is one.
            dtype: ``fp32``, ``bf16``, ``fp16`` or the torch dtype; None is fp32 on CPU and bf16 on GPU. The
                classification head runs in fp32 always.
            max_length: tokens of the window, query, document and special tokens together.
            instruction: what relevant means, for models with a prompt; None takes the model's own.
            budget: token slots of one batch, at least `max_length`; None works it out from the device.

        Raises:
            ModelRefused: no folder, no head, more than one label, pickled weights, code of its own, weights missing.
            SettingsError: a device or precision that is not here, a window that the model does not have, a prompt
                together with ``longest_first``.
        """
        if budget is not None and budget < max_length:
            raise SettingsError(
                f"budget is {budget}, under max_length ({max_length}), so a full window fits no batch; "
                f"raise the budget or lower --max-length"
            )
        folder = find_model(model)
        config = check_model(folder)
        truncation = saved_truncation(config, model)
        chosen_device = _device(device)
        chosen_dtype = choose_dtype(dtype, chosen_device)
        tokenizer = Tokenizer(load_tokenizer(folder))
        loaded = load_weights(folder, config, chosen_dtype, chosen_device)
        check_vocabulary(folder, tokenizer.hf, loaded)
        check_window(folder, loaded, max_length)
        encoder = encoder_of(model, config, tokenizer, max_length, instruction, truncation)
        forward = forward_of(loaded, tokenizer.hf)
        chosen_budget = (
            token_budget(loaded.config, chosen_device, forward.cost, max_length)
            if budget is None
            else Chosen(budget, "as given")
        )
        reranker = cls(
            name=model,
            revision=folder.revision,
            encoder=encoder,
            forward=forward,
            device=chosen_device,
            dtype=chosen_dtype,
            budget=chosen_budget,
        )
        logger.info("%s", reranker)
        return reranker

    def __repr__(self) -> str:
        return f"Reranker({', '.join(f'{key}={value}' for key, value in self.describe().items())})"

    def describe(self) -> dict[str, Any]:
        """What it is and how it computes, for logs and manifests."""
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

    def score(self, pairs: Iterable[tuple[str, str]], normalize: Normalize = "none") -> NDArray[np.float32]:
        """Score pairs of a query and a document.

        Each distinct text of a window of pairs is tokenised once. What does not fit the window is cut off the
        document; a query over half the window is cut to half. Both are counted and logged. A model that was trained
        with ``longest_first``, by its config.json, has its pairs cut so instead.

        Args:
            pairs: ``(query, document)`` each; any iterable, read in windows: its documents are never held all at once.
            normalize: ``none`` for logits; ``softmax`` runs over consecutive pairs with the same query.

        Returns:
            Scores in float32 and input order, shape (P,).
        """
        scores.check(normalize)
        queries: list[str] = []

        def windows() -> Iterator[list[tuple[str, str]]]:
            for window in _windows(pairs):
                if normalize != "none":
                    queries.extend(query for query, _ in window)
                yield window

        logits_P = np.concatenate([np.zeros(0, dtype=np.float32), *self.score_chunks(windows())])
        return logits_P if normalize == "none" else scores.normalize_runs(logits_P, queries, normalize)

    def score_chunks(self, chunks: Iterable[Sequence[tuple[str, str]]]) -> Iterator[NDArray[np.float32]]:
        """Logits of each of several chunks of pairs; on a GPU the next chunk is read and tokenised meanwhile."""
        cut: Counter[str] = Counter()

        def encoded() -> Iterator[Window]:
            for chunk in chunks:
                window = self._encode(chunk)
                cut["queries_cut"] += sum(query.overflow > 0 for query in window.queries)
                yield window

        for scored in self.score_windows(encoded()):
            cut["documents_cut"] += int((scored.truncated_P > 0).sum())
            yield scored.logits_P
        self.cut.update(cut)
        if cut.total():
            logger.info(
                "cut to the window of %d tokens: %d documents, %d queries",
                self.encoder.max_length,
                cut["documents_cut"],
                cut["queries_cut"],
            )

    def rank(
        self, query: str, documents: Sequence[str], top_n: int | None = None, normalize: Normalize = "none"
    ) -> list[RankedDocument]:
        """Documents of one query, best first; equal scores keep their order.

        Args:
            top_n: how many to return; None returns all.
        """
        if top_n is not None and top_n < 1:
            raise SettingsError(f"top_n is {top_n}; use at least 1, or None for all")
        if isinstance(documents, str):
            raise InputError(f"documents is one text, {documents!r:.80}; pass a list of texts")
        scores.check(normalize)
        logits_C = self.score([(query, document) for document in documents])
        scores_C = scores.normalize(logits_C, normalize)
        order = np.argsort(-logits_C, kind="stable")[:top_n]
        return [RankedDocument(int(i), float(scores_C[i]), documents[int(i)]) for i in order]

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
        """Each window's pairs once each, `WINDOW_PAIRS` at a time; with the last of them where every pair has its
        score."""
        for queries, documents, query_P, document_P in windows:
            keys_P = np.asarray(query_P, dtype=np.int64) * max(len(documents), 1) + document_P
            _, once, again_P = np.unique(keys_P, return_index=True, return_inverse=True)
            for start in range(0, max(len(once), 1), WINDOW_PAIRS):
                some = once[start : start + WINDOW_PAIRS]
                is_last = start + WINDOW_PAIRS >= len(once)
                pairs = self.encoder.pairs(queries, documents, query_P[some], document_P[some])
                yield pairs, again_P if is_last else None

    @property
    def cost(self) -> Cost:
        """How its batches are to be cut."""
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
        """One batch; halved, and halved again, where the GPU's memory does not hold it."""
        self._heap.tidy()
        try:
            return [(batch_B, self._forward([ids_P[p] for p in batch_B], first_P[batch_B]))]
        except torch.cuda.OutOfMemoryError:
            if len(batch_B) == 1:
                raise
            slots = len(batch_B) * max(len(ids_P[p]) for p in batch_B)
            half = max(slots // 2, self.encoder.max_length)
            if half < self.budget.value:  # later batches of the window were cut with the old budget
                self.budget = Chosen(half, f"half of a batch of {slots} slots that ran out of GPU memory")
                logger.warning("out of GPU memory; the token budget is now %s", self.budget)
        self.on_memory_retry()
        torch.cuda.empty_cache()
        middle = len(batch_B) // 2
        return self._run(ids_P, first_P, batch_B[:middle]) + self._run(ids_P, first_P, batch_B[middle:])

    def _encode(self, pairs: Sequence[tuple[str, str]]) -> Window:
        """Each distinct text made ready once."""
        queries = {query: None for query, _ in pairs}
        documents = {document: None for _, document in pairs}
        query_index = {query: index for index, query in enumerate(queries)}
        document_index = {document: index for index, document in enumerate(documents)}
        query_P = np.array([query_index[query] for query, _ in pairs])
        document_P = np.array([document_index[document] for _, document in pairs])
        return Window(self.encoder.queries(list(queries)), self.encoder.documents(list(documents)), query_P, document_P)


def _windows(pairs: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    remaining = iter(pairs)
    position = 0
    while window := list(islice(remaining, WINDOW_PAIRS)):
        for pair in window:
            # A dictionary or a set of two would unpack too, into its keys or in any order.
            if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
                raise InputError(f"pair {position} is {pair!r:.80}; a pair is two strings, the query and the document")
            _refuse_half_characters(position, pair)
            position += 1
        yield window


def _refuse_half_characters(position: int, pair: tuple[str, str]) -> None:
    try:
        for text in pair:
            text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"pair {position} holds half a surrogate pair (\\ud800 to \\udfff), which is not text; take it out"
        ) from error


def _device(device: str | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise SettingsError(f"device is {device!r}; use cpu, cuda or cuda:N") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(f"device is {device!r}, and torch sees no GPU here; use cpu")
    return chosen
