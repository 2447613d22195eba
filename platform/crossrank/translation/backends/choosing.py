"""The back-end that the settings name."""

from __future__ import annotations

from crossrank.errors import SettingsError
from crossrank.translation.backend import Backend
from crossrank.translation.backends.amazon import AmazonBackend
from crossrank.translation.service import PaidBackend
from crossrank.translation.settings import TranslateSettings


def backend_of(settings: TranslateSettings) -> PaidBackend | Backend | None:
    """Who translates what the memory does not hold; None where nobody does.

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
