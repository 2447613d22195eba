"""The plan of a job: its work, cost and time, from the groups, the memory and a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from crossrank.telemetry.progress import Waiting, show_plan
from crossrank.translation.backend import Backend
from crossrank.translation.backends.registry import on_workers
from crossrank.translation.budget import cost_usd
from crossrank.translation.execution import spending_of
from crossrank.translation.lookup import Lookup
from crossrank.translation.memory.store import Memory
from crossrank.translation.plan import TranslationPlan, find_missing
from crossrank.translation.service import PaidBackend
from crossrank.translation.settings import TranslateSettings

SAMPLE_TEXTS = 64
"""Texts on which the speed of a model is measured."""
REQUEST_S = 0.2
"""Seconds of one request, to estimate the time of a job whose rate limit is not known."""


def dry_run(
    settings: TranslateSettings,
    backend: PaidBackend | Backend | None,
    lookup_of: Callable[[Memory], Lookup],
    output: str,
) -> dict[str, Any]:
    """Print and return the plan. Nothing is asked, paid or written."""
    with Waiting("reading the translation memory"):
        memory = Memory.reading(settings.memory_folder)
    plan = TranslationPlan(memory.folder)
    rejected: Counter[str] = Counter()
    sample: list[str] = []
    for texts in find_missing(settings, lookup_of(memory), plan, lambda row: rejected.update([row.reason]), _nothing):
        sample += texts[: SAMPLE_TEXTS - len(sample)]  # texts come in the order of their hashes
    planned: dict[str, Any] = {
        "groups": plan.groups,
        "documents": plan.documents,
        "set_aside": dict(rejected),
        "texts": plan.texts,
        "unique_texts": plan.unique.texts,
        "unique_characters": plan.unique.characters,
        "texts_in_memory": plan.held.texts,
        "characters_in_memory": plan.held.characters,
        "texts_to_translate": plan.missing.texts,
        "characters_to_translate": plan.missing.characters,
    }
    if settings.is_paid:
        rate = settings.requests_per_second or settings.concurrency / REQUEST_S
        seconds = plan.missing.texts / rate
        if settings.bytes_per_second is not None:
            seconds = max(seconds, plan.missing.num_bytes / settings.bytes_per_second)
        planned |= {
            "usd": cost_usd(plan.missing.characters, settings.usd_per_million_characters),
            "usd_spent_before": spending_of(settings, output).usd,
            "hours": round(seconds / 3600, 4),
            "hours_at": f"{rate:g} requests a second"
            + ("" if settings.requests_per_second else ", unless the account allows fewer"),
        }
    elif backend is not None and sample:
        planned |= _hours_of_model(settings, cast(Backend, backend), sample, plan.missing.texts)
    show_plan(planned)
    return planned


def _hours_of_model(settings: TranslateSettings, backend: Backend, sample: list[str], num_texts: int) -> dict[str, Any]:
    """The time of a local model, from its speed on a sample."""
    from crossrank.cluster import on_ray as cluster
    from crossrank.translation.on_ray.models import seconds_of

    backend.check()
    cluster.connect()
    pool = cluster.pool(settings.wanted())
    with Waiting("loading and measuring the model"):
        rate = len(sample) / seconds_of(on_workers(backend, bool(pool.gpus)), pool, sample)
    return {
        "usd": 0.0,
        "workers": pool.max_workers,
        "texts_per_second_of_a_worker": round(rate, 2),
        "hours": round(num_texts / rate / pool.max_workers / 3600, 4),
    }


def _nothing(_text: str) -> None:
    """Try no service: a dry run pays for nothing."""
