"""Head of a report: its data, its date and its settings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from crossrank.evaluation.relevance import in_words
from crossrank.evaluation.settings import EvaluateSettings

TITLE_PARTS = 2
"""Last parts of a path that name data in a title."""


def about(settings: EvaluateSettings, finished: float) -> dict[str, Any]:
    """The title, the data, the date and the settings, as `results.json` holds them.

    Args:
        finished: seconds since 1970.
    """
    places = (settings.groups, settings.eval_csv, settings.queries, settings.corpus, settings.qrels)
    inputs = list(dict.fromkeys(place for place in places if place is not None))
    main = settings.groups or settings.eval_csv or settings.queries or ""
    name = "/".join([part for part in main.split("/") if part][-TITLE_PARTS:])
    shown = {
        "candidates of a query": f"{settings.depth:,}",
        "tokens of a pair": f"{settings.max_length:,}",
        "relevant": in_words(settings.relevant_from),
    }
    shown |= {"precision": settings.precision} if settings.precision else {}
    shown |= {"instruction": settings.instruction} if settings.instruction else {}
    shown |= {"queries at most": f"{settings.limit:,}"} if settings.limit else {}
    shown |= {"resamples": f"{settings.resamples:,}, seed {settings.seed}"}
    return {
        "title": f"Rerankers on {name}",
        "data": ", ".join(inputs),
        "date": datetime.fromtimestamp(finished, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "settings": shown,
    }
