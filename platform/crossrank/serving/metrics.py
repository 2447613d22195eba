"""Series of a replica for Prometheus: the names of text-embeddings-inference, so that its dashboards work, and our own.

The series of text-embeddings-inference have the labels that they have there, and are added up over all replicas. Ours
begin with ``rr_`` and name the model, its revision and the replica; requests have their dialect and priority, too.
"""

from __future__ import annotations

import uuid
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import HistogramMetricFamily, Metric

from crossrank.batching import Cost
from crossrank.serving.errors import Abandoned, Expired, Overloaded, RequestError
from crossrank.serving.exposition import Family, families_of
from crossrank.serving.fair_queue import Batch
from crossrank.serving.request import ScoringResponse

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 65536)
RATIOS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
PROBABILITIES = tuple(tenth / 10 for tenth in range(1, 10))
PAIRS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
ERR_OF_KIND = {
    "Validation": "validation",
    "Empty": "validation",
    "Overloaded": "overloaded",
    "Backend": "inference",
    "Timeout": "timeout",
    "Cancelled": "dropped",
    "Unauthorized": "unauthorized",
    "Unhealthy": "unhealthy",
}
UNREAD = "unread"
"""The dialect of a body that was not read."""
OF_REQUESTS = ("dialect", "priority")


class Metrics:
    """The series of one replica."""

    def __init__(self) -> None:
        self.replica = uuid.uuid4().hex[:12]
        """Name of this replica, unique among all that there ever were."""
        self._labels = {"replica": self.replica}
        self._registry = CollectorRegistry()
        self._requests = self._counter("te_request_count", "Requests that arrived", "method")
        self._successes = self._counter("te_request_success", "Requests that were answered", "method")
        self._failures = self._counter("te_request_failure", "Requests that were not", "err")
        self._request_seconds = self._seconds("te_request", "request")
        self._input_length = Bulk(self._registry, "te_request_input_length", "Tokens of a pair", TOKENS)
        self._pairs = self._counter("te_predict_count", "Pairs that were asked for")
        self._pairs_scored = self._counter("te_predict_success", "Pairs that were scored")
        self._pair_seconds = self._seconds("te_predict", "pair")
        self._queue_size = self._gauge("te_queue_size", "Requests in the queue")
        self._batch_pairs = self._histogram("te_batch_next_size", "Pairs of a batch", PAIRS)
        self._batch_tokens = [
            self._histogram(name, "Tokens of a batch", TOKENS) for name in ("te_batch_next_tokens", "rr_batch_tokens")
        ]
        self._padding = self._histogram("rr_batch_padding_ratio", "Share of a batch that is padding", RATIOS)
        self._scores = Bulk(self._registry, "rr_score_histogram", "Scores as probabilities", PROBABILITIES)
        self._queued_tokens = self._gauge("rr_queue_tokens", "Tokens queued, admitted or being scored")
        self._speed = self._gauge("rr_tokens_per_second", "Measured tokens a second of this model")
        self._documents = self._counter("rr_documents", "Documents that were scored", *OF_REQUESTS)
        self._cut_documents = self._counter("rr_truncated_documents", "Documents that were cut", *OF_REQUESTS)
        self._cut_tokens = self._counter("rr_truncated_tokens", "Tokens of documents that were not read", *OF_REQUESTS)
        self._fanned_out = self._counter("rr_fanned_out_requests", "Requests that were scored by several replicas")
        self._overflowed = self._counter(
            "rr_overflowed_requests", "Requests refused here and scored by another replica"
        )
        self._for_siblings = self._counter("rr_sibling_requests", "Requests and slices of other replicas scored here")
        self._shed = self._counter("rr_shed", "Requests refused with 429", "reason", *OF_REQUESTS)
        self._expired = self._counter("rr_deadline_expired", "Requests whose deadline passed", *OF_REQUESTS)
        self._cancelled = self._counter("rr_client_cancelled", "Requests whose client went away", *OF_REQUESTS)
        self._memory_retries = self._counter("rr_oom_retries", "Batches halved for want of GPU memory")
        self._loaded = Gauge("rr_model_loaded_info", "The model", ["dtype"], registry=self._registry)

    def loaded(self, model: str, revision: str, dtype: str) -> None:
        """Name the model in the labels, once it is loaded."""
        self._labels |= {"model": model, "revision": revision}
        self._loaded.labels(dtype).set(1)

    def arrived(self, method: str) -> None:
        """Count a request, by the last part of its path."""
        self._requests.labels(method).inc()

    def read(self, num_pairs: int) -> None:
        """Count the pairs of a request whose body was read."""
        self._pairs.inc(num_pairs)

    def answered(self, method: str) -> None:
        """Count a request that was answered."""
        self._successes.labels(method).inc()

    def scored(self, dialect: str, priority: int, answer: ScoringResponse) -> None:
        """Count the scores of a request, with their tokens, cuts and seconds."""
        num, timing = len(answer.tokens_C), answer.timing
        whole = (timing.total_s, timing.tokenization_s, timing.queue_s, timing.inference_s)
        for of_request, of_pair, seconds in zip(self._request_seconds, self._pair_seconds, whole, strict=True):
            of_request.observe(seconds)
            of_pair.observe(seconds, num)
        self._pairs_scored.inc(num)
        self._input_length.observe_all(answer.tokens_C)
        self._scores.observe_all(1.0 / (1.0 + np.exp(-np.clip(answer.logits_C, -80, 80).astype(np.float64))))
        labels = (dialect, urgency(priority))
        self._documents.labels(*labels).inc(num)
        self._cut_documents.labels(*labels).inc(answer.num_cut)
        self._cut_tokens.labels(*labels).inc(int(answer.cut_C.sum()))

    def failed(self, fault: RequestError, dialect: str = UNREAD, priority: int = 0) -> None:
        """Count a request that was refused or failed."""
        self._failures.labels(ERR_OF_KIND.get(fault.kind, "inference")).inc()
        labels = (dialect, urgency(priority))
        if isinstance(fault, Overloaded):
            self._shed.labels(fault.reason, *labels).inc()
        elif isinstance(fault, Expired):
            self._expired.labels(*labels).inc()
        elif isinstance(fault, Abandoned):
            self._cancelled.labels(*labels).inc()

    def fanned_out(self) -> None:
        """Count a request that several replicas answered."""
        self._fanned_out.inc()

    def overflowed(self) -> None:
        """Count a request that this replica refused and another one answered."""
        self._overflowed.inc()

    def for_sibling(self) -> None:
        """Count a request, or a slice of one, that this replica scored for another one."""
        self._for_siblings.inc()

    def batch(self, batch: Batch, cost: Cost) -> None:
        """Count a batch that was scored by a forward of this cost."""
        self._batch_pairs.observe(len(batch.units_B))
        for tokens in self._batch_tokens:
            tokens.observe(batch.num_tokens)
        slots = len(batch.units_B) * max(map(len, batch.ids_B)) if cost == "padded" else batch.num_tokens
        self._padding.observe(1.0 - batch.num_tokens / slots)

    def memory_retry(self) -> None:
        """Count a batch that was halved, since the GPU's memory did not hold it."""
        self._memory_retries.inc()

    def families(self, queue_size: int, queued_tokens: float, tokens_per_second: float) -> list[Family]:
        """Series of this replica, with the gauges set to these values."""
        self._queue_size.set(queue_size)
        self._queued_tokens.set(queued_tokens)
        self._speed.set(tokens_per_second)
        return families_of(self._registry.collect(), self._labels)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: Iterable[float]) -> Histogram:
        return Histogram(name, text, buckets=tuple(buckets), registry=self._registry)

    def _seconds(self, name: str, whose: str) -> list[Bulk]:
        """Histograms of the seconds of a request or a pair: all of them, and its parts."""
        parts = {"": "", "tokenization_": " of tokenising", "queue_": " in the queue", "inference_": " of scoring"}
        return [
            Bulk(self._registry, f"{name}_{part}duration", f"Seconds of a {whose}{text}", SECONDS)
            for part, text in parts.items()
        ]


def urgency(priority: int) -> str:
    """A priority as a label: any number may be asked for, and each would be a series of its own."""
    return "normal" if priority == 0 else "low" if priority > 0 else "high"


class Bulk:
    """A histogram that takes many values at a time: one of prometheus_client is too slow for 10,000 documents.

    Shape letters: N values.
    """

    def __init__(self, registry: CollectorRegistry, name: str, text: str, bounds: tuple[float, ...]) -> None:
        self._name = name
        self._text = text
        self._bounds = bounds
        self._counts = np.zeros(len(bounds) + 1, dtype=np.int64)
        self._sum = 0.0
        registry.register(self)

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value, so many times."""
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def observe_all(self, value_N: NDArray[Any]) -> None:
        """Count values."""
        self._counts += np.bincount(np.searchsorted(self._bounds, value_N), minlength=len(self._counts))
        self._sum += float(value_N.sum())

    def collect(self) -> Iterator[Metric]:
        """Give the histogram to the registry, which calls this."""
        family = HistogramMetricFamily(self._name, self._text)
        bounds = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        family.add_metric([], list(zip(bounds, np.cumsum(self._counts).tolist(), strict=True)), self._sum)
        yield family
