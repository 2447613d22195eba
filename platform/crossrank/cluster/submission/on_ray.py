"""The job server of a Ray cluster, by the client that Ray has for it: each trouble is one sentence."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import aiohttp
import ray
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobSubmissionClient

from crossrank.cluster.submission.shipment import Shipment
from crossrank.errors import JobFailed, SettingsError, in_short

__all__ = ["Cluster", "JobDetails"]

TALKING = ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")
"""Loggers of the client that tell its every step."""
LEAST_PYTHON = (3, 11)
ANSWERS_S = 20
"""Of a head that is very busy."""


class Cluster:
    """The jobs of one cluster."""

    def __init__(self, address: str) -> None:
        """Reach the job server.

        Raises:
            SettingsError: nobody answers there, the token is wrong, or another Ray runs there.
        """
        self._address = address
        os.environ["RAY_API_SERVER_ADDRESS"] = address  # Ray lets it, and RAY_ADDRESS, win over what it is given
        for name in TALKING:
            logging.getLogger(name).setLevel(logging.WARNING)
        with self._in_words():
            # Ray's client waits for ever for an answer of whoever listens and says nothing.
            requests.get(f"{address.rstrip('/')}/api/version", timeout=ANSWERS_S)
            self._client = JobSubmissionClient(address)
        there = self._client._server_ray_version  # it has just asked; its public get_version() is that of the API
        if there != ray.__version__:
            raise SettingsError(
                f"the cluster at {address} runs Ray {there}, and here is {ray.__version__}; install the same on both"
            )
        python = self._python()
        # Another Python than here is no harm: the job runs on the cluster's own, and nothing is pickled here.
        if python is not None and tuple(map(int, python.split(".")[:2])) < LEAST_PYTHON:
            least = ".".join(map(str, LEAST_PYTHON))
            raise SettingsError(
                f"the cluster at {address} runs Python {python}, and crossrank needs {least} or later; install it on "
                f"every node"
            )

    def _python(self) -> str | None:
        """The Python that the cluster was started with; None where its job server does not tell."""
        with self._in_words():
            answer = self._client._do_request("GET", "/api/v0/cluster_metadata")
        if answer.status_code != 200:
            return None
        told = (answer.json().get("data") or {}).get("pythonVersion")
        return told if isinstance(told, str) and re.fullmatch(r"\d+\.\d+(\.\S+)?", told) else None

    def submit(self, job: Shipment, job_id: str) -> None:
        """Start a job under this name, which no other has."""
        with self._in_words():
            self._client.submit_job(entrypoint=job.entrypoint, runtime_env=job.runtime_env, submission_id=job_id)

    def details(self, job_id: str) -> JobDetails:
        """What the cluster knows of a job."""
        with self._in_words(job_id):
            return self._client.get_job_info(job_id)

    def stop(self, job_id: str) -> bool:
        """Ask a job to end; False where it had ended."""
        with self._in_words(job_id):
            return self._client.stop_job(job_id)

    def log(self, job_id: str) -> str:
        """All that a job has said."""
        with self._in_words(job_id):
            return self._client.get_job_logs(job_id)

    def follow(self, job_id: str, tell: Callable[[str], None]) -> None:
        """Tell what a job says, from its beginning until it ends or the connection does."""

        async def follow() -> None:
            async for text in self._client.tail_job_logs(job_id):
                tell(text)

        with self._in_words(job_id):
            asyncio.run(follow())

    @contextmanager
    def _in_words(self, job_id: str | None = None) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # of whoever reads what is printed, and a ConnectionError like those below
            raise
        except (AuthenticationError, PermissionError) as error:
            raise SettingsError(
                f"the cluster at {self._address} asks for a token and does not take this one; set RAY_AUTH_MODE=token, "
                f"and RAY_AUTH_TOKEN to the token of the cluster"
            ) from error
        except (ConnectionError, TimeoutError, requests.exceptions.RequestException, aiohttp.ClientError) as error:
            raise SettingsError(
                f"no job server answers at {self._address}; open a tunnel to the head (ray dashboard cluster.yaml), or "
                f"correct --address"
            ) from error
        except (RuntimeError, ValueError) as error:
            told = " ".join(str(error).split())
            if job_id is not None and "404" in told:
                raise SettingsError(f"the cluster at {self._address} knows no job {job_id}; check its name") from error
            raise JobFailed(f"the job server at {self._address} refuses: {in_short(told, 1000)}") from error
