"""Joining a cluster for a job that needs no Ray itself, so that its metrics are seen there."""

from __future__ import annotations

import os
from collections.abc import Mapping


def join_if_named(places: Mapping[str, str | None] | None = None) -> None:
    """Join the cluster that the environment names (`RAY_ADDRESS`, as in every submitted job), if it names one.

    Args:
        places: files that the nodes have to share, by the flag that names them; see `refuse_private_disks`.
    """
    if os.environ.get("RAY_ADDRESS"):
        from crossrank.resumable import on_ray

        on_ray.join(places or {})
