"""The one adapter between jobs and Ray: workers are started, called and given blocks."""

from crossrank.cluster.on_ray.calls import begin_call, returned
from crossrank.resumable.on_ray.starting import join, start_workers
from crossrank.resumable.on_ray.workers import run_blocks

__all__ = ["begin_call", "join", "returned", "run_blocks", "start_workers"]
