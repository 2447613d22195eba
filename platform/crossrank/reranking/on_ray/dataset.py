"""Reranking inside somebody's own Ray Data pipeline."""

from __future__ import annotations

import ray

from crossrank import storage
from crossrank.cluster.on_ray import connect, options, pool
from crossrank.cluster.pool import Wanted
from crossrank.errors import SettingsError
from crossrank.reranking.block import Keep
from crossrank.reranking.stage import RerankBatch, check_columns
from crossrank.scoring.loading import check_model, find_model
from crossrank.scoring.normalize import Normalize
from crossrank.scoring.normalize import check as check_normalize
from crossrank.scoring.spec import RerankerSpec


def rerank_dataset(
    ds: ray.data.Dataset,
    *,
    model: str,
    query_column: str = "query",
    documents_column: str = "docs",
    top_n: int = 10,
    normalize: Normalize = "none",
    max_length: int = 512,
    precision: str | None = None,
    instruction: str | None = None,
    workers: int | tuple[int, int] | None = None,
    gpus_per_worker: float | None = None,
    batch_queries: int = 64,
) -> ray.data.Dataset:
    """Rank the documents of each row of a dataset, inside one's own Ray Data pipeline.

    Args:
        ds: rows with a query and a list of documents, each a string or a struct with ``text`` and perhaps ``title``.
        model: hub id, folder or ``s3://``; every node has to reach it.
        top_n: documents of a query that are kept; 0 keeps all.
        workers: how many, or the least and the most; None takes one for each GPU, or for each node without any.
        batch_queries: rows that are scored together; more of them pad less.

    Returns:
        The same rows with three more columns: ``ranking``, a list of ``{index, score}``, best first, where index is
        the place in the list of documents; ``status``, ``ok`` or ``rejected``; ``reason``, null or why. A document
        without text is in no ranking.

    Raises:
        ModelRefused: before anything runs, when the model is not one to score with.
        InputError: the dataset lacks a column; before anything runs where Ray knows the columns by then.
        SettingsError: a top_n below 0, an unknown normalize, GPUs that are not there.
    """
    if top_n < 0:
        raise SettingsError(f"top_n is {top_n}; use at least 1, or 0 to keep all")
    check_normalize(normalize)
    folder = find_model(model)
    check_model(folder)
    columns = ds.columns(fetch_if_missing=False)
    if columns is not None:
        check_columns(columns, query_column, documents_column)
    bounds = (workers, workers) if isinstance(workers, int) else workers
    connect()
    chosen = pool(Wanted(bounds, gpus_per_worker))
    where = storage.absolute(model) if folder.is_local else model  # workers have a working directory of their own
    spec = RerankerSpec(where, folder.revision, max_length, precision, instruction, None if chosen.gpus else "cpu")
    return ds.map_batches(
        RerankBatch,
        batch_size=batch_queries,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=chosen.least, max_size=chosen.most),
        **options(chosen),
        fn_constructor_kwargs={
            "spec": spec,
            "keep": Keep(top_n, normalize, with_text=False),
            "query_column": query_column,
            "documents_column": documents_column,
            "threads": chosen.threads(),
        },
    )
