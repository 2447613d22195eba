"""Figures of jobs given to Ray: every node's agent exports them on the port that Prometheus finds by Ray's own file.

They cost no port of ours. Ray puts ``ray_`` in front of the names, adds labels of its own (the node's among them), and
sends them every ten seconds and when a process ends. A process that is killed loses its last ten seconds of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import ray
from ray.util.metrics import Counter, Gauge

from crossrank.telemetry import job_context, log_format
from crossrank.telemetry.job_metrics import RESTARTS
from crossrank.telemetry.metrics import Series, send_to


class RaySink:
    """The metrics of one job, as Ray has them."""

    def __init__(self, job: str) -> None:
        """Label every metric with ``job``."""
        self._job = job
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}

    def add(self, series: Series, labels: Mapping[str, str], number: float) -> None:
        """Count `number` more."""
        if series.name not in self._counters:
            self._counters[series.name] = Counter(series.name, series.meaning, ("job", *labels))
        self._counters[series.name].inc(number, {"job": self._job, **labels})

    def set(self, series: Series, labels: Mapping[str, str], value: float) -> None:
        """Set a gauge to its present value."""
        if series.name not in self._gauges:
            self._gauges[series.name] = Gauge(series.name, series.meaning, ("job", *labels))
        self._gauges[series.name].set(value, {"job": self._job, **labels})


def export() -> None:
    """Give all figures of this process to the Ray that it has joined."""
    job_context.set_job(ray.get_runtime_context().get_job_id())
    send_to(RaySink(job_context.job() or ""))
    log_format.set_up()  # Ray has brought loggers of its own


def work_for(environment: Mapping[str, str]) -> bool:
    """Make this process a worker of the driver with that environment, for its lines, metrics and cache.

    Returns:
        Whether this is an actor whose process before died.
    """
    job_context.work_for(environment)
    log_format.set_up(is_driver=False)
    send_to(RaySink(job_context.job() or ""))
    restarted = _is_restarted()
    RESTARTS.add(int(restarted))
    return restarted


def _is_restarted() -> bool:
    context = ray.get_runtime_context()
    if context.get_actor_id() is None:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray uses there what it calls deprecated
        return bool(context.was_current_actor_reconstructed)
