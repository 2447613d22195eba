"""crossrank: train, run and serve cross-encoder rerankers on Ray.

Importing it loads neither ray nor torch; each name loads what it needs when it is first used.
"""

from typing import TYPE_CHECKING

from crossrank.version import __version__

if TYPE_CHECKING:
    from crossrank.reranking.on_ray.dataset import rerank_dataset
    from crossrank.scoring.ranking import RankedDocument
    from crossrank.scoring.reranker import Reranker
    from crossrank.verbs import convert, evaluate, filter, merge, mine, rerank, score, train, translate  # noqa: A004

__all__ = [
    "RankedDocument",
    "Reranker",
    "__version__",
    "convert",
    "evaluate",
    "filter",
    "merge",
    "mine",
    "rerank",
    "rerank_dataset",
    "score",
    "train",
    "translate",
]


def __getattr__(name: str) -> object:
    if name == "Reranker":
        from crossrank.scoring.reranker import Reranker

        return Reranker
    if name == "RankedDocument":
        from crossrank.scoring.ranking import RankedDocument

        return RankedDocument
    if name == "rerank_dataset":
        from crossrank.reranking.on_ray.dataset import rerank_dataset

        return rerank_dataset
    if name in __all__:
        from crossrank import verbs

        return getattr(verbs, name)
    raise AttributeError(f"module 'crossrank' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
