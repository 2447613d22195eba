"""The rerank job on Ray, and a pool of workers that does blocks of any kind."""

from crossrank.reranking.on_ray.blocks import BlockWorker, Task, patiently, run_blocks, task_of
from crossrank.reranking.on_ray.throughput import probe, probed
from crossrank.resumable.on_ray.attempts import Tries

__all__ = ["BlockWorker", "Task", "Tries", "patiently", "probe", "probed", "run_blocks", "task_of"]
