"""Scaling of the replicas by the seconds of work that wait, not by the number of requests."""

from __future__ import annotations

import math
from typing import Any

TARGET_BACKLOG_S = 1.0
"""Seconds of work that may wait at each replica before another is wanted."""


def replicas_for_backlog(context: Any) -> tuple[int, dict[str, Any]]:
    """Number of replicas that are wanted: so many that each has `TARGET_BACKLOG_S` of work waiting.

    Ray Serve calls it with its AutoscalingContext; delays before scaling up and down are Serve's.
    """
    current = max(context.current_num_replicas, 1)
    backlogs_s = [
        series[-1].value if isinstance(series, list) else float(series)
        for series in (context.aggregated_metrics or {}).get("backlog_s", {}).values()
    ]
    busy = context.total_num_requests > 0
    if not context.current_num_replicas:
        wanted = 1 if busy else 0
    elif not busy:
        wanted = 0
    else:
        wanted = max(1, math.ceil(sum(backlogs_s) / TARGET_BACKLOG_S)) if backlogs_s else current
    least, most = context.capacity_adjusted_min_replicas, context.capacity_adjusted_max_replicas
    return max(least, min(most, wanted)), {}
