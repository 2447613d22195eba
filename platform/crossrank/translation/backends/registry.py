"""The back-end that the settings name."""

from __future__ import annotations

from dataclasses import replace

from crossrank.errors import SettingsError
from crossrank.translation.backend import Backend
from crossrank.translation.backends.amazon import AmazonBackend
from crossrank.translation.service import PaidBackend
from crossrank.translation.settings import TranslateSettings


def on_workers(backend: Backend, with_gpu: bool) -> Backend:
    """The back-end with its device: Ray hides no GPU from a worker that asked for none, and torch would take it."""
    from crossrank.translation.backends.seq2seq import Seq2SeqBackend

    assert isinstance(backend, Seq2SeqBackend), "the only one that computes"
    return replace(backend, device=None if with_gpu else "cpu")


def backend_of(settings: TranslateSettings) -> PaidBackend | Backend | None:
    """The back-end that translates what the memory does not hold; None for `--backend memory`.

    Raises:
        UserError: it cannot work, as far as is known without asking.
    """
    if settings.backend == "memory":
        return None
    if settings.backend == "amazon":
        return AmazonBackend(settings.source, settings.target, settings.formality, settings.terminology)
    if settings.model is None:
        raise SettingsError("--backend seq2seq wants a --model; name a hub id or a folder")
    from crossrank.translation.backends.seq2seq import Seq2SeqBackend

    return Seq2SeqBackend(settings.model, settings.source, settings.target, settings)
