"""`Reranker`: score and rank pairs of a query and a document with a cross-encoder.

Shape letters: P pairs, C candidates of one query.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from crossrank.batching import Cost, cut
from crossrank.chosen import Chosen
from crossrank.errors import InputError, SettingsError
from crossrank.scoring import normalize as scores
from crossrank.scoring.budget import token_budget
from crossrank.scoring.encoding import EncodedPairs, PromptEncoder, SpliceEncoder, Tokenizer
from crossrank.scoring.forward import Forward, TransformersForward
from crossrank.scoring.heap import Heap
from crossrank.scoring.loading import check_model, check_vocabulary, find_model, load_tokenizer, load_weights
from crossrank.scoring.normalize import Normalize
from crossrank.scoring.packed import PackedForward, packable
from crossrank.scoring.prompts import PROMPT_OF_MODEL_TYPE
from crossrank.scoring.scored import EncodedText, Scored

logger = logging.getLogger(__name__)

WINDOW_PAIRS = 8192
"""Pairs that are encoded and sorted by length together: enough that neighbours in length are near equal, few
enough that memory does not grow with the input."""

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Item = TypeVar("Item")


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
        """Documents and queries that `score` cut to the window since it was loaded."""
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
            SettingsError: a device or precision that is not here, a window that the model does not have.
        """
        if budget is not None and budget < max_length:
            raise SettingsError(
                f"budget is {budget}, under max_length ({max_length}), so a full window fits no batch; "
                f"raise the budget or lower --max-length"
            )
        folder = find_model(model)
        config = check_model(folder)
        chosen_device = _device(device)
        chosen_dtype = _dtype(dtype, chosen_device)
        tokenizer = Tokenizer(load_tokenizer(folder))
        loaded = load_weights(folder, config, chosen_dtype, chosen_device)
        check_vocabulary(folder, tokenizer.hf, loaded)
        _check_window(loaded, max_length, model)
        prompt = PROMPT_OF_MODEL_TYPE.get(config["model_type"])
        if instruction is not None and prompt is None:
            raise SettingsError(f"{model} has no prompt, so an instruction has no place; leave --instruction out")
        encoder = (
            PromptEncoder(tokenizer, max_length, prompt, instruction)
            if prompt
            else SpliceEncoder(tokenizer, max_length, model)
        )
        forward = _forward(loaded, tokenizer.hf)
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
            "token_budget": str(self.budget),
        }

    def score(self, pairs: Iterable[tuple[str, str]], normalize: Normalize = "none") -> NDArray[np.float32]:
        """Score pairs of a query and a document.

        Each distinct text of a window of pairs is tokenised once. What does not fit the window is cut off the
        document; a query over half the window is cut to half. Both are counted and logged.

        Args:
            pairs: ``(query, document)`` each; any iterable, read in windows: its documents are never held all at once.
            normalize: ``none`` for logits; ``softmax`` runs over consecutive pairs with the same query.

        Returns:
            Scores in float32 and input order, shape (P,).
        """
        scores.check(normalize)
        chunks: list[NDArray[np.float32]] = []
        queries: list[str] = []
        truncated_documents = truncated_queries = 0
        for window, encoded in _ahead(self._encode(window) for window in _windows(pairs)):
            scored = self.score_encoded(*encoded)
            chunks.append(scored.logits_P)
            truncated_documents += int((scored.truncated_P > 0).sum())
            truncated_queries += sum(query.overflow > 0 for query in encoded[0])
            if normalize != "none":
                queries.extend(query for query, _ in window)
        self.cut.update({"documents_cut": truncated_documents, "queries_cut": truncated_queries})
        if truncated_documents or truncated_queries:
            logger.info(
                "cut to the window of %d tokens: %d documents, %d queries",
                self.encoder.max_length,
                truncated_documents,
                truncated_queries,
            )
        logits_P = np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.float32)
        return logits_P if normalize == "none" else _normalize_runs(logits_P, queries, normalize)

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
        """Score the pairs ``(queries[query_P[p]], documents[document_P[p]])`` of texts that `encoder` made ready.

        A pair that stands twice is scored once: in another batch it could differ in its last bits, and no longer tie.
        """
        keys_P = np.asarray(query_P, dtype=np.int64) * max(len(documents), 1) + document_P
        _, once, again_P = np.unique(keys_P, return_index=True, return_inverse=True)
        encoded = (
            self.encoder.pairs(queries, documents, query_P[some], document_P[some])
            for some in (once[start : start + WINDOW_PAIRS] for start in range(0, max(len(once), 1), WINDOW_PAIRS))
        )
        windows = [self._score_window(pairs) for pairs in _ahead(encoded)]
        return Scored(*(np.concatenate(parts)[again_P] for parts in zip(*windows, strict=True)))

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

    def _encode(
        self, window: list[tuple[str, str]]
    ) -> tuple[
        list[tuple[str, str]],
        tuple[list[EncodedText], list[EncodedText], NDArray[np.int64], NDArray[np.int64]],
    ]:
        queries = {query: None for query, _ in window}
        documents = {document: None for _, document in window}
        query_index = {query: index for index, query in enumerate(queries)}
        document_index = {document: index for index, document in enumerate(documents)}
        query_P = np.array([query_index[query] for query, _ in window])
        document_P = np.array([document_index[document] for _, document in window])
        return window, (
            self.encoder.queries(list(queries)),
            self.encoder.documents(list(documents)),
            query_P,
            document_P,
        )


def _normalize_runs(logits_P: NDArray[np.float32], queries: list[str], how: Normalize) -> NDArray[np.float32]:
    """Normalise each run of consecutive equal queries."""
    starts = [p for p, query in enumerate(queries) if p == 0 or query != queries[p - 1]]
    runs = [scores.normalize(run, how) for run in np.split(logits_P, starts[1:])]
    return np.concatenate(runs) if len(logits_P) else logits_P


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


def _ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, the next one made in a thread while this one is used: tokenising overlaps the forward."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        future = thread.submit(next, items, None)
        while (item := future.result()) is not None:
            future = thread.submit(next, items, None)
            yield item


def _forward(model: Any, hf_tokenizer: Any) -> Forward:
    if packable(model):
        return PackedForward(model)
    pad_token_id = hf_tokenizer.pad_token_id if hf_tokenizer.pad_token_id is not None else model.config.pad_token_id
    if pad_token_id is None:
        raise SettingsError("the model names no padding token; set pad_token_id in its config.json")
    model.config.pad_token_id = pad_token_id  # decoder models find the last real token by it
    return TransformersForward(model, pad_token_id)


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


def _dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    if dtype is None:
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype not in PRECISIONS:
        raise SettingsError(f"precision is {dtype!r}; use {', '.join(PRECISIONS)}")
    return PRECISIONS[dtype]


def _check_window(loaded: Any, max_length: int, model: str) -> None:
    positions = getattr(loaded.config, "max_position_embeddings", None)
    if positions is None:
        return
    embeddings = getattr(loaded.base_model, "embeddings", None)
    padding_index = getattr(getattr(embeddings, "position_embeddings", None), "padding_idx", None)
    if padding_index is not None:
        positions -= padding_index + 1  # the RoBERTa family counts positions from the padding index on
    if max_length > positions:
        raise SettingsError(
            f"max_length is {max_length}, over the {positions} positions of {model}; lower --max-length"
        )
