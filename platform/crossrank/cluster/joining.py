"""For a job that needs no Ray itself: on a cluster it joins it all the same, so that what it counts is seen there."""

from __future__ import annotations

import os


def join_if_named() -> None:
    """Join the cluster that the environment names (`RAY_ADDRESS`, as in every submitted job), if it names one."""
    if os.environ.get("RAY_ADDRESS"):
        from crossrank.cluster import on_ray

        on_ray.connect()
