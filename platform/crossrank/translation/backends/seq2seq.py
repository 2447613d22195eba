"""A translation model on this machine: any of the families that `seq2seq_families` names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from crossrank.errors import JobFailed
from crossrank.scoring.loading import ModelFolder, find_model
from crossrank.translation.backend import Translator
from crossrank.translation.backends.seq2seq_decoding import DecodingSearch, Greedy

RULES = 1
"""Version of how sentences are cut and outputs limited. Raise it when that changes, since translations then differ."""


@dataclass(frozen=True, slots=True)
class Seq2SeqBackend:
    """A back-end that translates with a sequence-to-sequence model.

    Raises:
        ModelRefused: a model that is not there.
        StorageError: a hub or a bucket that cannot be reached.
    """

    model: str
    """Hub id, folder or ``s3://``."""
    source: str
    target: str
    search: DecodingSearch = field(default_factory=Greedy)
    device: str | None = None
    """``cpu`` or ``cuda``; None takes a GPU where there is one."""
    revision: str = ""
    """Commit or content hash of the model when the back-end was made; every worker has to find the same."""

    def __post_init__(self) -> None:
        given = self.search
        own = Greedy(given.num_beams, given.max_new_tokens, given.precision)
        object.__setattr__(self, "search", own)  # a worker needs no more of the settings
        if not self.revision:
            object.__setattr__(self, "revision", find_model(self.model).revision)

    @property
    def identity(self) -> dict[str, Any]:
        """The model by its content, not by where it lies; not the batch or the device."""
        return {
            "backend": "seq2seq",
            "model": self.model.rstrip("/").rsplit("/", 1)[-1],
            "revision": self.revision,
            "source": self.source,
            "target": self.target,
            "num_beams": self.search.num_beams,
            "max_new_tokens": self.search.max_new_tokens,
            "precision": self.search.precision,
            "rules": RULES,
        }

    def check(self) -> None:
        """Read all of the model but its weights.

        Raises:
            UserError: it is no translation model, or does not have one of the languages.
        """
        from crossrank.translation.backends.seq2seq_loading import read_model

        read_model(self._folder(), self.source, self.target)

    def load(self) -> Translator:
        """The model in this process, with as many CPU threads as torch is set to use."""
        from crossrank.translation.backends.seq2seq_translator import load_translator

        return load_translator(self._folder(), self.source, self.target, self.search, self.device)

    def _folder(self) -> ModelFolder:
        folder = find_model(self.model)
        if folder.revision != self.revision:
            raise JobFailed(
                f"{self.model} is revision {folder.revision} here, and the job began with {self.revision}; "
                f"put the first one back, or start afresh with --overwrite"
            )
        return folder
