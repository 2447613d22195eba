"""What `run.py` hands to the environments: folders of models, and what has to come out. Needs nothing installed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = "CROSSRANK_PORTABLE"
"""The variable of the environment that names it."""
EXPECTED = "expected.json"
MAX_LENGTH = 256
TOLERANCE = 1e-4
"""The project's promise for other libraries, in logits that lie units apart. Never widened."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder, pairs, and their logits as crossrank computes them."""

    folder: str
    family: str
    pairs: list[tuple[str, str]]
    logits: list[float]
    prompt: tuple[str, list[str], str] | None
    """What stands before all, before each document, and after all, in a family that is prompted."""
    base_logits: list[float] | None = None
    """Of the model that it was merged with, or tuned from, which have to be others."""


def write(models: list[Model], folder: Path) -> None:
    """Hand over what is expected."""
    (folder / EXPECTED).write_text(json.dumps([asdict(each) for each in models], ensure_ascii=False))


def read() -> list[Model]:
    """What `write` handed over."""
    found = json.loads((Path(os.environ[FOLDER]) / EXPECTED).read_text())
    return [Model(**each) for each in found]
