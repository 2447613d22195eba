"""The metrics of jobs. docs/metrics.md lists them beside those of the server, and a test holds the two together.

A name is ``rr_job_``, what is counted, its unit where that is not the thing itself (``_seconds``, ``_ratio``), and for
a counter ``_total``. Each has the labels ``job`` and ``verb``. A counter counts what this run did, and not what earlier
runs had done.
"""

from __future__ import annotations

from crossrank.telemetry.metrics import Series


def _counter(name: str, unit: str, meaning: str, *labels: str) -> Series:
    return Series(f"rr_job_{name}_total", "counter", unit, meaning, labels)


def _gauge(name: str, unit: str, meaning: str, *labels: str) -> Series:
    return Series(f"rr_job_{name}", "gauge", unit, meaning, labels)


RUNS = _counter("runs", "runs", "Runs that ended: done, refused for what the user gave, or failed", "outcome")
PROGRESS = _gauge("progress_units", "the unit", "What is done of the stage that goes on, earlier runs included", "unit")
EXPECTED = _gauge("expected_units", "the unit", "What the stage has to do in all, where that is known", "unit")
STAGE_SECONDS = _counter("stage_seconds", "seconds", "Time of each stage, counted when it ends", "stage")
WORKERS = _gauge("workers", "workers", "Workers that the job asks the cluster for, at most")
RESTARTS = _counter("worker_restarts", "workers", "Workers that were started again after one died")
STORAGE_RETRIES = _counter("storage_retries", "tries", "Reads and writes of a block that failed and were tried again")

ROWS_READ = _counter("rows_read", "rows", "Rows of the input: queries for rerank, groups for the others")
ROWS_RESUMED = _counter("rows_resumed", "rows", "Rows that earlier runs had finished")
ROWS_DONE = _counter("rows_done", "rows", "Rows that are in the output, whatever their status")
ROWS_REJECTED = _counter("rows_rejected", "rows", "Rows, documents and lines that were set aside", "reason")

PAIRS = _counter("pairs", "pairs", "Pairs that a model scored, or was trained on")
TOKENS = _counter("tokens", "tokens", "Tokens of these pairs")
PADDING = _counter("padding_tokens", "tokens", "Slots of batches that were computed for nothing")
TRUNCATED = _counter("truncated_documents", "documents", "Documents that were cut to the window")
PASSAGES = _counter("passages_encoded", "passages", "Passages of a corpus that got their vectors")
NEGATIVES = _counter("negatives", "documents", "Hard negatives that were found")

TEXTS = _counter("texts", "texts", "Different texts that were sent to be translated: translated, or failed", "outcome")
REQUESTS = _counter("requests", "requests", "Requests to a translation service")
THROTTLED = _counter("throttled_requests", "requests", "Requests that it refused as too fast")
REPEATED = _counter("repeated_requests", "requests", "Requests that were sent again, for whatever reason")
REQUEST_RATE = _gauge(
    "requests_per_second", "requests/second", "Requests that the job lets go at most, as it found out"
)
PAID_CHARACTERS = _gauge("paid_characters", "characters", "Characters paid for this output, by earlier runs too")
PAID_USD = _gauge("paid_usd", "US dollars", "What they cost at the price that was given")

STEPS = _counter("steps", "steps", "Optimiser steps")
SKIPPED_STEPS = _counter("skipped_steps", "steps", "Steps whose gradients were no numbers, so that nothing changed")
LOSS = _gauge("loss", "nats", "Loss of training, mean over the last row of the history")
LEARNING_RATE = _gauge("learning_rate", "1", "Learning rate of the last step")
GRADIENT_NORM = _gauge("gradient_norm", "1", "Norm of the gradients before they are shortened")
VALIDATION = _gauge("validation_ratio", "ratio", "Measures on the held-out groups, at the last validation", "measure")


def all_series() -> list[Series]:
    """Every series of this module."""
    return [each for each in globals().values() if isinstance(each, Series)]
