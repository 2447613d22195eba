"""Check of the reranker that a job names, before the job begins: everything that loading it on a worker would refuse,
without reading its weights.
"""

from __future__ import annotations

from typing import Any, Protocol

from crossrank import storage
from crossrank.scoring.footprint import process_bytes
from crossrank.scoring.loading import (
    ModelFolder,
    check_model,
    check_vocabulary,
    check_window,
    find_model,
    load_tokenizer,
    refuse_lacking,
    without_weights,
)
from crossrank.scoring.spec import RerankerSpec


class ScoringFlags(Protocol):
    """Settings that say how a model scores."""

    @property
    def max_length(self) -> int: ...
    @property
    def precision(self) -> str | None: ...
    @property
    def instruction(self) -> str | None: ...


def checked_spec(model: str, flags: ScoringFlags) -> RerankerSpec:
    """Build the spec by which a worker loads a reranker, after refusing one that cannot score.

    Args:
        model: hub id, folder or ``s3://``.
        flags: window, number format and instruction.

    Raises:
        ModelRefused: no folder, no head, more than one label, weights or tokenizer missing, code of its own.
        SettingsError: a window that the model does not have, an instruction for a model without a prompt.
    """
    folder = find_model(model)
    config = check_model(folder)
    refuse_unloadable(folder, config, flags.max_length, flags.instruction)
    return RerankerSpec(
        storage.absolute(model) if folder.is_local else model,
        folder.revision,
        flags.max_length,
        flags.precision,
        flags.instruction,
        process_bytes=process_bytes(folder),
    )


def refuse_unloadable(
    folder: ModelFolder, config: dict[str, Any], max_length: int, instruction: str | None, *, trains: bool = False
) -> None:
    """Refuse a model whose tokenizer, weights, window or prompt would be refused where it is loaded.

    Args:
        trains: whether the model is a base to be trained, whose head may still be missing.
    """
    from crossrank.scoring.encoding import Tokenizer
    from crossrank.scoring.model_families import encoder_of
    from crossrank.scoring.truncation import saved_truncation

    tokenizer = load_tokenizer(folder)
    model, missing = without_weights(folder)
    refuse_lacking(folder, config, model, missing, trains=trains)
    check_vocabulary(folder, tokenizer, model)
    check_window(folder, model, max_length)
    encoder_of(
        folder.name, config, Tokenizer(tokenizer), max_length, instruction, saved_truncation(config, folder.name)
    )
