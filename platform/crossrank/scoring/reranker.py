"""`Reranker`: score and rank documents for a query with a cross-encoder.

Shape letters: P pairs, C candidates of one query.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from crossrank import storage
from crossrank.errors import InputError, SettingsError
from crossrank.scoring import normalize as scores
from crossrank.scoring.argument_names import names_arguments
from crossrank.scoring.inputs import (
    Document,
    InputDocument,
    Pair,
    documents_of,
    in_order,
    lists_of_documents,
    num_of,
    pairs_of,
    queries_of,
    query_of,
)
from crossrank.scoring.interfaces import Scored, Window
from crossrank.scoring.loading import model_name
from crossrank.scoring.normalize import Normalize
from crossrank.scoring.ranking import RankedDocument, ranking

if TYPE_CHECKING:
    import torch

    from crossrank.scoring.pair_scorer import PairScorer

logger = logging.getLogger(__name__)

CHUNK_PAIRS = 2048
"""Pairs whose texts are made ready together, at least: so many that neighbours in length are near equal, and so few
that memory does not grow with the input."""


class Reranker:
    """A cross-encoder with one logit, which says how well a document answers a query. Make one with `Reranker.load`.

        reranker = Reranker.load("BAAI/bge-reranker-v2-m3")
        reranker.score([("query", "passage"), ...])  # float32 logits, in this order
        reranker.rank("query", ["passage", ...], top_n=10)  # RankedDocument, best first

    Documents are texts, or dictionaries with ``text`` and perhaps ``title`` and ``id``. Any iterable with an order will
    do: a list, a tuple, a generator, a numpy array, a column of pandas, Arrow or datasets. What counts is the position
    in it, never an index label of its own.

    It can be pickled, for `multiprocessing` or Ray: what travels is how it was loaded, and the same revision of the
    model is loaded again where it arrives, which takes as long as `load` and needs the model to be in reach there.
    """

    def __init__(self, scorer: PairScorer, loaded_by: Mapping[str, Any]) -> None:
        """Make a reranker of a loaded scorer; users call `Reranker.load` instead.

        Args:
            scorer: does the work.
            loaded_by: arguments of `load` that make the same one again in another process.
        """
        self._scorer = scorer
        self._loaded_by = dict(loaded_by)
        self._cut: Counter[str] = Counter()

    @classmethod
    @names_arguments
    def load(
        cls,
        model: str | os.PathLike[str],
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        max_length: int = 512,
        *,
        instruction: str | None = None,
        budget: int | None = None,
        revision: str | None = None,
    ) -> Self:
        """Load a sequence-classification reranker with one logit.

        Args:
            model: hub id, folder (a string or a `pathlib.Path`), or ``s3://bucket/folder``.
            device: ``cpu``, ``cuda``, ``cuda:1``; None takes a GPU if there is one.
            dtype: number format, as ``--precision`` has it or the torch dtype; None is fp32 on CPU and bf16 on GPU.
                The classification head runs in fp32 always.
            max_length: tokens of the window, query, document and special tokens together.
            instruction: what relevant means, for models with a prompt; None takes the model's own.
            budget: token slots of one batch, at least `max_length`; None works it out from the device.
            revision: branch, tag or commit of a hub id; None takes the newest. A folder or ``s3://`` has the hash
                that `revision` shows after loading, and any other is refused.

        Returns:
            The reranker, ready to score.

        Raises:
            ModelRefused: no folder, no head, more than one label, pickled weights, code of its own, weights missing,
                a revision that is not there.
            SettingsError: a device or precision that is not here, a window that the model does not have, a prompt
                together with ``longest_first``, an argument that is not one of these.
            StorageError: the hub or the bucket cannot be reached.
        """
        from crossrank.scoring.pair_scorer import PairScorer

        name = model_name(model)
        _check_whole("max_length", max_length)
        _check_whole("budget", budget)
        scorer = PairScorer.load(
            name, device, dtype, max_length, instruction=instruction, budget=budget, revision=revision
        )
        loaded_by = {
            "model": storage.absolute(name) if os.path.isdir(name) else name,
            "device": device,
            "dtype": dtype,
            "max_length": max_length,
            "instruction": instruction,
            "budget": budget,
            "revision": scorer.revision,
        }
        return cls(scorer, loaded_by)

    def __getstate__(self) -> dict[str, Any]:
        return self._loaded_by

    def __setstate__(self, loaded_by: dict[str, Any]) -> None:
        self.__dict__.update(type(self).load(**loaded_by).__dict__)

    def __repr__(self) -> str:
        return f"Reranker({', '.join(f'{key}={value}' for key, value in self.describe().items())})"

    @property
    def name(self) -> str:
        """Model as it was named to `load`."""
        return self._scorer.name

    @property
    def revision(self) -> str:
        """Commit of a hub id; of a folder, a hash of its configuration, weights and tokenizer."""
        return self._scorer.revision

    @property
    def device(self) -> torch.device:
        """Device that it computes on."""
        return self._scorer.device

    @property
    def max_length(self) -> int:
        """Tokens of the window: query, document and special tokens together."""
        return self._scorer.encoder.max_length

    @property
    def cut(self) -> Counter[str]:
        """Numbers of ``documents_cut`` and ``queries_cut`` to the window since the model was loaded.

        Where the model cuts ``longest_first``: pairs of which anything was cut, and queries over the window alone.
        """
        return self._cut.copy()

    def describe(self) -> dict[str, Any]:
        """Model, revision, device, dtype, window and budget, for logs and manifests."""
        return self._scorer.describe()

    @names_arguments
    def score(
        self,
        pairs: Iterable[tuple[str, Document]],
        normalize: Normalize = "none",
        *,
        show_progress: bool = False,
    ) -> NDArray[np.float32]:
        """Score pairs of a query and a document.

        Each distinct text of a chunk of pairs is tokenised once. What does not fit the window is cut off the document;
        a query over half the window is cut to half. Both are counted and logged. A model that was trained with
        ``longest_first``, by its config.json, has its pairs cut so instead.

        Args:
            pairs: ``(query, document)`` each, of any number of queries. What has a length is looked at whole before
                anything is scored. Anything else, such as a generator, is read as it is scored, and its documents are
                never held all at once.
            normalize: ``none`` for logits, unbounded; ``sigmoid`` for 0 to 1 each; ``softmax`` to sum to 1 over
                consecutive pairs with the same query.
            show_progress: show a progress bar on standard error.

        Returns:
            Scores in float32 and input order, shape (P,).

        Raises:
            InputError: what is no pair of two texts, by its position.
            SettingsError: an unknown `normalize`.
        """
        scores.check(normalize)
        checked = pairs_of(pairs)
        queries: list[str] = []

        def chunks() -> Iterator[list[Pair]]:
            while chunk := list(islice(checked, CHUNK_PAIRS)):
                if normalize != "none":
                    queries.extend(query for query, _ in chunk)
                yield chunk

        scored = self._scored(chunks(), num_of(pairs), show_progress)
        logits_P = np.concatenate([np.zeros(0, dtype=np.float32), *(chunk.logits_P for chunk in scored)])
        return logits_P if normalize == "none" else scores.normalize_runs(logits_P, queries, normalize)

    @names_arguments
    def score_chunks(self, chunks: Iterable[Iterable[tuple[str, Document]]]) -> Iterator[NDArray[np.float32]]:
        """Score pairs that come in chunks, for as many as memory would not hold.

        On a GPU the next chunk is read and tokenised while one is scored, so `chunks` may be read from a thread.

        Args:
            chunks: pairs as `score` takes them, some thousands in each.

        Yields:
            Logits of each chunk in its order, float32, shape (P,).

        Raises:
            InputError: what is no pair of two texts, by its position in all chunks; before its chunk is scored.
        """

        def checked() -> Iterator[list[Pair]]:
            position = 0
            for number, chunk in enumerate(in_order(chunks, "chunks", "a list of chunks of pairs")):
                pairs = list(pairs_of(chunk, f"chunk {number}", position))
                position += len(pairs)
                yield pairs

        return (scored.logits_P for scored in self._scored(checked()))

    @names_arguments
    def rank(
        self,
        query: str,
        documents: Iterable[Document],
        top_n: int | None = None,
        normalize: Normalize = "none",
        *,
        show_progress: bool = False,
    ) -> list[RankedDocument]:
        """Rank the documents of one query.

        Args:
            query: what is asked.
            documents: texts, or dictionaries with ``text`` and perhaps ``title`` and ``id``.
            top_n: how many to return; None returns all.
            normalize: ``none``, ``sigmoid`` or ``softmax``, which runs over all documents, before `top_n` cuts.
            show_progress: show a progress bar on standard error.

        Returns:
            Documents with their position, score, text, id and tokens, best first. Equal scores keep their order, a
            score that is not a number comes last.

        Raises:
            InputError: a query that is not one text, or what is no document, by its position; before anything is
                scored.
            SettingsError: a `top_n` under 1, an unknown `normalize`, an argument that is not one of these.
        """
        _check_top_n(top_n)
        scores.check(normalize)
        lists = [(query_of(query), documents_of(documents))]
        return self._ranked(lists, top_n, normalize, show_progress)[0]

    @names_arguments
    def rank_many(
        self,
        queries: Iterable[str],
        documents: Iterable[Iterable[Document]],
        top_n: int | None = None,
        normalize: Normalize = "none",
        *,
        show_progress: bool = False,
    ) -> list[list[RankedDocument]]:
        """Rank the documents of several queries at once, which fills batches better than one query after another.

        A text that is in several lists is tokenised once a chunk. For so many that they do not fit memory there are
        `rerank_dataset` and ``crossrank rerank``.

        Args:
            queries: what is asked.
            documents: one list for each query, as `rank` takes it. For the same documents under each query,
                ``[documents] * len(queries)``.
            top_n: how many to return of each; None returns all.
            normalize: as in `rank`, over the list of each query.
            show_progress: show a progress bar on standard error.

        Returns:
            For each query, in order, what `rank` returns.

        Raises:
            InputError: as in `rank`, by the positions of query and document; other than one list for each query.
            SettingsError: as in `rank`.
        """
        _check_top_n(top_n)
        scores.check(normalize)
        checked_queries = queries_of(queries)
        checked_lists = lists_of_documents(documents)
        if len(checked_queries) != len(checked_lists):
            raise InputError(
                f"queries are {len(checked_queries)}, and lists of documents {len(checked_lists)}; "
                f"pass one list for each query"
            )
        lists = list(zip(checked_queries, checked_lists, strict=True))
        return self._ranked(lists, top_n, normalize, show_progress)

    def _ranked(
        self,
        lists: list[tuple[str, list[InputDocument]]],
        top_n: int | None,
        normalize: Normalize,
        show_progress: bool,
    ) -> list[list[RankedDocument]]:
        total = sum(len(documents) for _, documents in lists)
        scored = Scored.joined(self._scored(_chunks_of(lists), total, show_progress))
        rankings, start = [], 0
        for _, documents in lists:
            rankings.append(ranking(documents, scored, start, top_n, normalize))
            start += len(documents)
        return rankings

    def _scored(
        self, chunks: Iterable[list[Pair]], total: int | None = None, show_progress: bool = False
    ) -> Iterator[Scored]:
        """Score chunk after chunk; count what was cut, and log it at the end."""
        from tqdm import tqdm

        cut: Counter[str] = Counter()

        def windows() -> Iterator[Window]:
            for chunk in chunks:
                window = self._window(chunk)
                cut["queries_cut"] += sum(query.overflow > 0 for query in window.queries)
                yield window

        with tqdm(total=total, unit=" pairs", disable=not show_progress) as bar:
            for scored in self._scorer.score_windows(windows()):
                cut["documents_cut"] += int((scored.truncated_P > 0).sum())
                yield scored
                bar.update(len(scored.logits_P))
        self._cut.update(cut)
        if cut.total():
            logger.info(
                "cut to the window of %d tokens: %d documents, %d queries",
                self.max_length,
                cut["documents_cut"],
                cut["queries_cut"],
            )

    def _window(self, pairs: list[Pair]) -> Window:
        """Encode the texts of pairs, each distinct one once."""
        queries = {query: number for number, query in enumerate(dict.fromkeys(query for query, _ in pairs))}
        documents = {text: number for number, text in enumerate(dict.fromkeys(text for _, text in pairs))}
        encoder = self._scorer.encoder
        return Window(
            encoder.queries(list(queries)),
            encoder.documents(list(documents)),
            np.array([queries[query] for query, _ in pairs], dtype=np.int64),
            np.array([documents[text] for _, text in pairs], dtype=np.int64),
        )


def _check_whole(name: str, value: Any) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise SettingsError(f"{name} is {value!r}; use a whole number of tokens")


def _check_top_n(top_n: Any) -> None:
    if top_n is not None and (not isinstance(top_n, int | np.integer) or isinstance(top_n, bool) or top_n < 1):
        raise SettingsError(f"top_n is {top_n!r}; use at least 1, a whole number, or None for all")


def _chunks_of(lists: Iterable[tuple[str, list[InputDocument]]]) -> Iterator[list[Pair]]:
    """Pairs of whole lists, as many as make a chunk: equal documents of a query get the very same score, and tie."""
    chunk: list[Pair] = []
    for query, documents in lists:
        chunk.extend((query, document.text) for document in documents)
        if len(chunk) >= CHUNK_PAIRS:
            yield chunk
            chunk = []
    yield chunk
