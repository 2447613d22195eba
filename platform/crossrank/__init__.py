"""crossrank: train, run and serve cross-encoder rerankers on Ray.

Importing it loads neither ray nor torch; `Reranker` and `rerank_dataset` load what they need when they are named.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossrank.reranking.on_ray.dataset import rerank_dataset
    from crossrank.scoring.reranker import Reranker

__version__ = "0.1.0"
__all__ = ["Reranker", "__version__", "rerank_dataset"]


def __getattr__(name: str) -> object:
    if name == "Reranker":
        from crossrank.scoring.reranker import Reranker

        return Reranker
    if name == "rerank_dataset":
        from crossrank.reranking.on_ray.dataset import rerank_dataset

        return rerank_dataset
    raise AttributeError(f"module 'crossrank' has no attribute {name!r}")
