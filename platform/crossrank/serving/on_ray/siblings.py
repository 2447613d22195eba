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
NAMES_S = 1.0
"""Seconds that replicas have to give their names; one that hangs counts as gone."""


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
        """Names of the other replicas, known for `KNOWN_S` at most."""
        if time.monotonic() - self._asked > KNOWN_S:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask_names())
            await asyncio.shield(self._asking)  # a caller that is cancelled leaves the answer to the others
        return self._names

    async def num_replicas(self) -> int:
        """Number of replicas, this one included."""
        return len(await self.names()) + 1

    async def score(self, name: str, request: ScoringRequest) -> ScoringResponse:
        """Score with the replica of this name. Cancelling the call cancels the work there.

        Raises:
            RequestError: the one that the replica raised.
            Lost: the replica died, is gone, or cannot be reached.
        """
        handle = self._handle.options(method_name="score_slice", multiplexed_model_id=name)
        response = handle.remote(name, request)
        try:
            result: ScoringResponse | RequestError | None = await response
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
        if result is None:
            raise Lost(f"{name} is gone")
        if isinstance(result, RequestError):
            raise result
        return result

    async def _ask_names(self) -> None:
        names = await call_all(self._handle, "name", timeout_s=NAMES_S)
        self._names = sorted(name for name in names if isinstance(name, str) and name != own_name())
        self._asked = time.monotonic()


async def call_all(handle: Any, method: str, *arguments: Any, timeout_s: float) -> list[Any]:
    """Call a method of every replica, and return the results that come in time; the others are left out.

    Ray's own `results_async` gives the results of all replicas, or none where one hangs.
    """
    try:
        replies = await asyncio.wait_for(handle.broadcast(method, *arguments)._fetch_replica_results_async(), timeout_s)
    except (RayError, RayServeException, TimeoutError):
        return []
    asking = [asyncio.ensure_future(reply.get_async()) for reply in replies]
    if not asking:
        return []
    done, late = await asyncio.wait(asking, timeout=timeout_s)
    for call in late:
        call.cancel()
    return [call.result() for call in done if not call.cancelled() and call.exception() is None]


def own_name() -> str:
    """The name of this replica, by which the others know it."""
    return str(serve.get_replica_context().replica_tag)


async def _nothing(name: str) -> None:
    return None
