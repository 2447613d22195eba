"""Client of a Ray cluster's job server, which puts every failure into one sentence."""

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

TALKATIVE = ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")
"""Loggers of Ray's client that log its every step."""
LEAST_PYTHON = (3, 11)
ANSWERS_S = 20
"""Seconds to wait for the first answer, which a very busy head may need."""


class Cluster:
    """Jobs of one cluster."""

    def __init__(self, address: str) -> None:
        """Reach the job server.

        Raises:
            SettingsError: nothing answers there, the token is wrong, or the cluster runs another Ray or a Python that
                is too old.
        """
        self._address = address
        os.environ["RAY_API_SERVER_ADDRESS"] = address  # Ray lets it, and RAY_ADDRESS, win over what it is given
        for name in TALKATIVE:
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
        """Version of the Python that the cluster was started with; None where its job server does not say."""
        with self._in_words():
            answer = self._client._do_request("GET", "/api/v0/cluster_metadata")
        if answer.status_code != 200:
            return None
        version = (answer.json().get("data") or {}).get("pythonVersion")
        return version if isinstance(version, str) and re.fullmatch(r"\d+\.\d+(\.\S+)?", version) else None

    def submit(self, job: Shipment, job_id: str) -> None:
        """Start a job under this name, which no other job may have."""
        with self._in_words():
            self._client.submit_job(entrypoint=job.entrypoint, runtime_env=job.runtime_env, submission_id=job_id)

    def details(self, job_id: str) -> JobDetails:
        """State, times, command and exit code of a job, as the cluster knows them."""
        with self._in_words(job_id):
            return self._client.get_job_info(job_id)

    def stop(self, job_id: str) -> bool:
        """Ask a job to end; False where it had ended."""
        with self._in_words(job_id):
            return self._client.stop_job(job_id)

    def log(self, job_id: str) -> str:
        """Log of a job so far."""
        with self._in_words(job_id):
            return self._client.get_job_logs(job_id)

    def follow(self, job_id: str, write: Callable[[str], None]) -> None:
        """Pass the log of a job to `write`, from its beginning until the job or the connection ends."""

        async def follow() -> None:
            async for text in self._client.tail_job_logs(job_id):
                write(text)

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
            message = " ".join(str(error).split())
            if job_id is not None and "404" in message:
                raise SettingsError(f"the cluster at {self._address} knows no job {job_id}; check its name") from error
            raise JobFailed(f"the job server at {self._address} refuses: {in_short(message, 1000)}") from error
