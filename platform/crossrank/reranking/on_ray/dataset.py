"""Reranking inside somebody's own Ray Data pipeline."""

from __future__ import annotations

import os
from typing import Any

import pyarrow as pa
import ray

from crossrank import storage
from crossrank.cluster.on_ray import connect, options_beside_others, pool
from crossrank.cluster.pool import WorkerRequest
from crossrank.errors import InputError, SettingsError
from crossrank.reranking.block import Keep
from crossrank.reranking.on_ray.watchdog import watch
from crossrank.reranking.stage import RerankBatch, check_columns, check_types
from crossrank.scoring.argument_names import names_arguments
from crossrank.scoring.loading import check_model, find_model, model_name
from crossrank.scoring.normalize import Normalize
from crossrank.scoring.normalize import check as check_normalize
from crossrank.scoring.spec import RerankerSpec


@names_arguments
def rerank_dataset(
    ds: ray.data.Dataset,
    *,
    model: str | os.PathLike[str],
    query_column: str = "query",
    documents_column: str = "docs",
    top_n: int = 10,
    normalize: Normalize = "none",
    max_length: int = 512,
    precision: str | None = None,
    instruction: str | None = None,
    revision: str | None = None,
    workers: int | tuple[int, int] | None = None,
    gpus_per_worker: float | None = None,
    batch_queries: int = 64,
) -> ray.data.Dataset:
    """Rerank the documents of each row of a dataset, inside one's own Ray Data pipeline.

    It is lazy as all of Ray Data: the model is loaded and rows are scored when the dataset is read or written. Blocks
    may come from any reader and from `map_batches` of any batch format. Its workers take no CPU that another stage of
    the pipeline needs; where stages of your own hold all CPUs of the cluster and wait for each other, it fails and
    names them.

    Rows come out in the order in which their batches were finished, as with any stage of actors: bring a column along
    that identifies them, or set ``ray.data.DataContext.get_current().execution_options.preserve_order = True`` before.

    Args:
        ds: rows with a query and a list of documents, each a string or a struct with ``text`` and perhaps ``title``.
        model: hub id, folder or ``s3://``; every node has to reach it.
        query_column: column with the query, a string.
        documents_column: column with the documents, a list of strings or structs.
        top_n: documents of a query that are kept; 0 keeps all.
        normalize: ``none`` for logits, ``sigmoid`` for 0 to 1 each, ``softmax`` over all documents of a query.
        max_length: tokens of the window, query, document and special tokens together.
        precision: number format of the model, as ``--precision`` has it; None is fp32 on CPU and bf16 on GPU.
        instruction: what relevant means, for models with a prompt; None takes the model's own.
        revision: branch, tag or commit of a hub id; None takes the newest.
        workers: how many, or the least and the most; None takes one for each GPU, or for each node without any.
        gpus_per_worker: GPUs of each worker; 0 scores on CPU, None takes one where there are any.
        batch_queries: rows that are scored together; more of them pad less.

    Returns:
        The same rows with four more columns: ``ranking``, a list of ``{index, score, truncated_tokens}``, best first,
        where index is the place in the list of documents and truncated_tokens what was cut off; ``without_text``,
        places of documents that are null or have no text, which are in no ranking; ``status``, ``ok`` or ``rejected``;
        ``reason``, null or why: ``empty_query``, ``no_candidates``, ``score_not_finite``.

    Raises:
        ModelRefused: before anything runs, when the model is not one to score with.
        InputError: a column is not there or holds something else than texts, by its name, row and type; before anything
            runs where Ray knows the columns by then. Later its sentence stands in the `RayTaskError` that Ray raises.
        SettingsError: a top_n below 0, an unknown normalize, GPUs that are not there, an argument that is not one of
            these; while it runs, stages that wait for each other's CPUs.
    """
    _check_settings(ds, top_n, workers, batch_queries)
    check_normalize(normalize)
    name = model_name(model)
    folder = find_model(name, revision)
    check_model(folder)
    _check_schema(ds, query_column, documents_column)
    bounds = (workers, workers) if isinstance(workers, int) else workers
    connect()
    chosen = pool(WorkerRequest(bounds, gpus_per_worker))
    where = storage.absolute(name) if folder.is_local else name  # workers have a working directory of their own
    spec = RerankerSpec(where, folder.revision, max_length, precision, instruction, None if chosen.gpus else "cpu")
    ranked = ds.map_batches(
        RerankBatch,
        batch_size=batch_queries,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=chosen.min_workers, max_size=chosen.max_workers),
        **options_beside_others(chosen),
        fn_constructor_kwargs={
            "spec": spec,
            "keep": Keep(top_n, normalize, with_text=False),
            "query_column": query_column,
            "documents_column": documents_column,
            "threads": chosen.threads(),
        },
    )
    watch(ranked)
    return ranked


def _check_settings(ds: Any, top_n: Any, workers: Any, batch_queries: Any) -> None:
    if not isinstance(ds, ray.data.Dataset):
        raise InputError(
            f"ds is a {type(ds).__name__}, and not a ray.data.Dataset; make one by ray.data.from_items, from_pandas, "
            f"from_arrow or read_parquet"
        )
    if not _is_number(top_n, 0):
        raise SettingsError(f"top_n is {top_n!r}; use at least 1, or 0 to keep all")
    if not _is_number(batch_queries, 1):
        raise SettingsError(f"batch_queries is {batch_queries!r}; use at least 1")
    least, most = workers if isinstance(workers, tuple | list) and len(workers) == 2 else (workers, workers)
    if workers is not None and not (_is_number(least, 1) and _is_number(most, least)):
        raise SettingsError(f"workers is {workers!r}; use at least 1, or the least and the most, such as (1, 4)")


def _is_number(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _check_schema(ds: ray.data.Dataset, query_column: str, documents_column: str) -> None:
    """Check what Ray knows of the columns without reading anything; the rest is judged batch by batch."""
    schema = ds.schema(fetch_if_missing=False)
    if schema is None:
        return
    check_columns(schema.names, query_column, documents_column)
    if isinstance(schema.base_schema, pa.Schema):
        check_types(schema.base_schema, query_column, documents_column)
