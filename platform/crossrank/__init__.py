"""crossrank: train, run and serve cross-encoder rerankers on Ray.

Importing it loads neither ray nor torch; each name loads what it needs when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossrank.reranking.on_ray.dataset import rerank_dataset
    from crossrank.scoring.ranking import RankedDocument
    from crossrank.scoring.reranker import Reranker
    from crossrank.verbs import convert, evaluate, filter, merge, mine, rerank, score, train, translate  # noqa: A004

__version__ = "0.1.0"
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

_VERBS = ("convert", "evaluate", "filter", "merge", "mine", "rerank", "score", "train", "translate")
_PLACES = {
    "RankedDocument": "crossrank.scoring.ranking",
    "Reranker": "crossrank.scoring.reranker",
    "rerank_dataset": "crossrank.reranking.on_ray.dataset",
    **dict.fromkeys(_VERBS, "crossrank.verbs"),
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'crossrank' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
