"""What a server tells Prometheus: the names of text-embeddings-inference, so that its dashboards work, and our own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from crossrank.batching import Cost
from crossrank.serving.ask import Answer
from crossrank.serving.fair_queue import Batch
from crossrank.serving.faults import Abandoned, Expired, Fault, Overloaded

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 65536)
RATIOS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
PROBABILITIES = tuple(tenth / 10 for tenth in range(1, 11))
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


class Metrics:
    """The series of one replica."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter("te_request_count", "Requests that arrived", "method")
        self._successes = self._counter("te_request_success", "Requests that were answered", "method")
        self._failures = self._counter("te_request_failure", "Requests that were not", "err")
        self._duration = self._histogram("te_request_duration", "Seconds of a request", SECONDS)
        self._tokenization = self._histogram("te_request_tokenization_duration", "Seconds of tokenising", SECONDS)
        self._queueing = self._histogram("te_request_queue_duration", "Seconds in the queue", SECONDS)
        self._inference = self._histogram("te_request_inference_duration", "Seconds from first batch to last", SECONDS)
        self._input_length = self._histogram("te_request_input_length", "Tokens of a pair", TOKENS)
        self._batch_pairs = self._histogram("te_batch_next_size", "Pairs of a batch", PAIRS)
        self._batch_tokens = self._histogram("te_batch_next_tokens", "Tokens of a batch", TOKENS)
        self._padding = self._histogram("rr_batch_padding_ratio", "Share of a batch that is padding", RATIOS)
        self._scores = ScoreHistogram(self._registry)
        self._queue_size = self._gauge("te_queue_size", "Requests in the queue")
        self._queued_tokens = self._gauge("rr_queue_tokens", "Tokens queued, admitted or being scored")
        self._speed = self._gauge("rr_tokens_per_second", "Measured tokens a second of this model")
        self._documents = self._counter("rr_documents", "Documents that were scored", "dialect")
        self._cut_documents = self._counter("rr_truncated_documents", "Documents that were cut")
        self._cut_tokens = self._counter("rr_truncated_tokens", "Tokens of documents that were not read")
        self._fanned_out = self._counter("rr_fanned_out_requests", "Requests that were scored by several replicas")
        self._overflowed = self._counter(
            "rr_overflowed_requests", "Requests refused here and scored by another replica"
        )
        self._for_siblings = self._counter("rr_sibling_requests", "Requests and slices of other replicas scored here")
        self._shed = self._counter("rr_shed", "Requests refused with 429", "reason")
        self._expired = self._counter("rr_deadline_expired", "Requests whose deadline passed")
        self._cancelled = self._counter("rr_client_cancelled", "Requests whose client went away")
        self._memory_retries = self._counter("rr_oom_retries", "Batches halved for want of GPU memory")
        self._loaded = Gauge(
            "rr_model_loaded_info", "The model", ["model", "revision", "dtype"], registry=self._registry
        )

    def loaded(self, model: str, revision: str, dtype: str) -> None:
        """Name the model."""
        self._loaded.labels(model, revision, dtype).set(1)

    def arrived(self, method: str) -> None:
        """A request, by the last part of its path."""
        self._requests.labels(method).inc()

    def answered(self, method: str, dialect: str, answer: Answer) -> None:
        """A request that got its scores."""
        self._successes.labels(method).inc()
        self._duration.observe(answer.timing.total_s)
        self._tokenization.observe(answer.timing.tokenization_s)
        self._queueing.observe(answer.timing.queue_s)
        self._inference.observe(answer.timing.inference_s)
        self._scores.observe(answer.logits_C)
        for tokens in answer.tokens_C.tolist():
            self._input_length.observe(tokens)
        self._documents.labels(dialect).inc(len(answer.tokens_C))
        self._cut_documents.inc(int((answer.cut_C > 0).sum()))
        self._cut_tokens.inc(int(answer.cut_C.sum()))

    def failed(self, fault: Fault) -> None:
        """A request that did not."""
        self._failures.labels(ERR_OF_KIND.get(fault.kind, "inference")).inc()
        if isinstance(fault, Overloaded):
            self._shed.labels(fault.reason).inc()
        elif isinstance(fault, Expired):
            self._expired.inc()
        elif isinstance(fault, Abandoned):
            self._cancelled.inc()

    def fanned_out(self) -> None:
        """A request that was answered by several replicas."""
        self._fanned_out.inc()

    def overflowed(self) -> None:
        """A request that was refused here and answered by another replica."""
        self._overflowed.inc()

    def for_sibling(self) -> None:
        """A request, or a slice of one, that was scored here for another replica."""
        self._for_siblings.inc()

    def batch(self, batch: Batch, cost: Cost) -> None:
        """A batch that was scored by a forward of this cost."""
        self._batch_pairs.observe(len(batch.units_B))
        self._batch_tokens.observe(batch.num_tokens)
        slots = len(batch.units_B) * max(map(len, batch.ids_B)) if cost == "padded" else batch.num_tokens
        self._padding.observe(1.0 - batch.num_tokens / slots)

    def memory_retry(self) -> None:
        """A batch that was halved, since the GPU's memory did not hold it."""
        self._memory_retries.inc()

    def text(self, queue_size: int, queued_tokens: float, tokens_per_second: float) -> str:
        """All series in Prometheus' text format, to be shown by `added_up`."""
        self._queue_size.set(queue_size)
        self._queued_tokens.set(queued_tokens)
        self._speed.set(tokens_per_second)
        return generate_latest(self._registry).decode()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: Iterable[float]) -> Histogram:
        return Histogram(name, text, buckets=tuple(buckets), registry=self._registry)


class ScoreHistogram:
    """How the scores lie, as probabilities: when they drift, the model or what it is asked has changed.

    A histogram of prometheus_client takes one value at a time, which is too slow for 10,000 documents.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counts = np.zeros(len(PROBABILITIES), dtype=np.int64)
        self._sum = 0.0
        registry.register(self)

    def observe(self, logits_C: NDArray[np.float32]) -> None:
        """Scores of one request, as logits."""
        probability_C = 1.0 / (1.0 + np.exp(-np.clip(logits_C, -80, 80).astype(np.float64)))
        places_C = np.searchsorted(PROBABILITIES[:-1], probability_C)
        self._counts += np.bincount(places_C, minlength=len(self._counts))
        self._sum += float(probability_C.sum())

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        family = HistogramMetricFamily("rr_score_histogram", "Scores as probabilities")
        totals = np.cumsum(self._counts).tolist()
        bounds = [*map(str, PROBABILITIES[:-1]), "+Inf"]
        family.add_metric([], list(zip(bounds, totals, strict=True)), self._sum)
        yield family


def added_up(texts: Iterable[str]) -> str:
    """The series of one or more replicas as one: equal names and labels are summed; what only informs stays 1.

    Counters of text-embeddings-inference have no ``_total`` at their end, which Prometheus' own library gives them.
    """
    families: dict[str, tuple[Metric, dict[tuple[str, tuple[tuple[str, str], ...]], float]]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            _, values = families.setdefault(family.name, (family, {}))
            for sample in family.samples:
                if sample.name.endswith("_created"):
                    continue
                key = (sample.name, tuple(sorted(sample.labels.items())))
                before = values.get(key, 0.0)
                values[key] = max(before, sample.value) if _only_informs(sample.name) else before + sample.value
    lines: list[str] = []
    for family, values in families.values():
        is_counter = family.type == "counter"
        name = f"{family.name}_total" if is_counter and not family.name.startswith("te_") else family.name
        lines += [f"# HELP {name} {family.documentation}", f"# TYPE {name} {family.type}"]
        lines += [
            f"{name if is_counter else sample}{_labels(labels)} {value!r}" for (sample, labels), value in values.items()
        ]
    return "\n".join(lines) + "\n"


def _only_informs(name: str) -> bool:
    return name.endswith("_info")


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    if not labels:
        return ""
    quoted = (f'{key}="{_escaped(value)}"' for key, value in labels)
    return "{" + ",".join(quoted) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
