"""What the clients ask and what has to come back, as `run.py` hands it over. Needs nothing that is installed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

URL = "CROSSRANK_URL"
KEY = "CROSSRANK_KEY"
EXPECTED = "CROSSRANK_EXPECTED"
"""The variables of the environment; the last names a file of JSON."""

MODEL = "rerank-v3.5"
WRONG_KEY = "not-a-key-of-this-server"
TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class Asked:
    """A query with its documents, and their scores as `Reranker.score` gives them."""

    query: str
    documents: list[str]
    logits: list[float]
    probabilities: list[float]

    @property
    def best(self) -> list[int]:
        """Indices of the documents, best first."""
        return sorted(range(len(self.documents)), key=lambda c: -self.logits[c])

    def check(self, found: Iterable[tuple[int, float]], top: int | None = None, logits: bool = False) -> None:
        """Assert that pairs of index and score are the `top` best documents, best first, with their scores."""
        indices, scores = zip(*found, strict=True)
        assert list(indices) == self.best[:top]
        right = self.logits if logits else self.probabilities
        assert max(abs(score - right[c]) for c, score in zip(indices, scores, strict=True)) <= TOLERANCE

    def check_texts(self, found: Iterable[tuple[str, float]], top: int | None = None) -> None:
        """The same for clients that give documents back instead of indices."""
        self.check([(self.documents.index(text), score) for text, score in found], top)


def write(asked: dict[str, Asked], file: Path) -> None:
    """Hand over what is expected."""
    file.write_text(json.dumps({name: asdict(each) for name, each in asked.items()}, ensure_ascii=False))


def read() -> dict[str, Asked]:
    """What `write` handed over."""
    found = json.loads(Path(os.environ[EXPECTED]).read_text())
    return {name: Asked(**each) for name, each in found.items()}
