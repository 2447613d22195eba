"""The other replicas of this deployment, as one replica reaches them: by name, through a handle of Ray Serve.

A handle sends to any replica it likes, this one included, and Serve refuses a router of our own behind HAProxy. But a
handle can ask for a replica that has loaded a certain model: so each loads a model of its own name, which is nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from ray import serve
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException

from crossrank.serving.errors import RequestError
from crossrank.serving.fan_out import Lost
from crossrank.serving.request import ScoringRequest, ScoringResponse

KNOWN_S = 1.0
"""Seconds for which the names of the replicas are believed."""
TELL_S = 1.0
"""Seconds that replicas have to tell their names; whoever hangs is not there."""


class SiblingReplicas:
    """The other replicas. Make it in a replica, and `await start()`."""

    def __init__(self) -> None:
        context = serve.get_replica_context()
        self._handle = serve.get_deployment_handle(context.deployment, context.app_name)
        self._names: list[str] = []
        self._asked = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._load_name = serve.multiplexed(_nothing, max_num_models_per_replica=1)

    async def start(self) -> None:
        """Let the others find this replica by its name."""
        await self._load_name(own_name())

    async def names(self) -> Sequence[str]:
        """Those that are there, as of a second ago at most."""
        if time.monotonic() - self._asked > KNOWN_S:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask_names())
            await asyncio.shield(self._asking)  # who goes away leaves the answer to the others that wait for it
        return self._names

    async def num_replicas(self) -> int:
        """All of them, this one included."""
        return len(await self.names()) + 1

    async def score(self, name: str, ask: ScoringRequest) -> ScoringResponse:
        """The scores, by that replica. To cancel it cancels the work there.

        Raises:
            Fault: its own.
            Lost: it died, is gone, or cannot be reached.
        """
        handle = self._handle.options(method_name="score_slice", multiplexed_model_id=name)
        response = handle.remote(name, ask)
        try:
            told: ScoringResponse | RequestError | None = await response
        except asyncio.CancelledError:
            response.cancel()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise Lost(f"{name} cancelled its work") from None
        except RayTaskError:  # a mistake in our own code there
            raise
        except (RayError, RayServeException) as error:
            raise Lost(f"{name} cannot be reached") from error
        if told is None:
            raise Lost(f"{name} is gone")
        if isinstance(told, RequestError):
            raise told
        return told

    async def _ask_names(self) -> None:
        told = await told_by_all(self._handle, "name", timeout_s=TELL_S)
        self._names = sorted(name for name in told if isinstance(name, str) and name != own_name())
        self._asked = time.monotonic()


async def told_by_all(handle: Any, method: str, *arguments: Any, timeout_s: float) -> list[Any]:
    """What the replicas say, of those that say it in time: one that dies or hangs is left out.

    Ray's own `results_async` gives all that was said, or nothing where one hangs.
    """
    try:
        replies = await asyncio.wait_for(handle.broadcast(method, *arguments)._fetch_replica_results_async(), timeout_s)
    except (RayError, RayServeException, TimeoutError):
        return []
    asking = [asyncio.ensure_future(reply.get_async()) for reply in replies]
    if not asking:
        return []
    done, late = await asyncio.wait(asking, timeout=timeout_s)
    for each in late:
        each.cancel()
    return [each.result() for each in done if not each.cancelled() and each.exception() is None]


def own_name() -> str:
    """The name of this replica, by which the others know it."""
    return str(serve.get_replica_context().replica_tag)


async def _nothing(name: str) -> None:
    return None
