"""Join the Ray cluster that `RAY_ADDRESS` names, or say in one sentence why it cannot be joined."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from crossrank.errors import SettingsError, in_short

VERSIONS = re.compile(r"Version mismatch:.*?Ray: (\S+)\s+Python: (\S+).*?Ray: (\S+)\s+Python: (\S+)", re.DOTALL)
"""Ray's refusal of a driver whose versions are not those of the cluster, to the last digit."""
HOST_AND_PORT = re.compile(r"(?P<host>[^/]+):(?P<port>\d+)")
"""Address whose port can be tried beforehand; ``auto`` and addresses of Ray's client are left to Ray."""
STARTS_S = 30.0
"""Seconds that a cluster may take until its port answers: it may be started at the same time as the job."""
CONNECTS_S = 10.0
"""Seconds that one connection may take."""
TOKEN = "export RAY_AUTH_MODE=token and the cluster's own RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH"
"""Way out for a user with a wrong token, or none."""
ATTEMPTS = "RAY_gcs_server_port_wait_time_s"
"""Variable for the number of times that Ray tries to connect: 1 takes some 40 seconds, and Ray's default is 20."""


def join(address: str) -> None:
    """Join the cluster at an address, which Ray reads from the environment.

    Raises:
        SettingsError: nothing answers there, or it is no Ray, or it has another token or other versions of Ray or
            Python. For some of these Ray says only that it cannot connect, so the sentence names them all.
    """
    where = without_secrets(address)
    try:
        _wait_for_port(address)
    except (OSError, OverflowError) as error:
        raise _not_joined(where, str(error)) from error
    try:
        with _trying_once():
            ray.init(log_to_driver=False, logging_level="ERROR")
    except ray.exceptions.AuthenticationError as error:
        raise SettingsError(
            f"the cluster at {where} refuses the token of this process; {TOKEN}, or unset RAY_ADDRESS for a local Ray"
        ) from error
    except ConnectionError as error:
        if HOST_AND_PORT.fullmatch(address) is None:
            raise _not_joined(where, str(error)) from error
        raise SettingsError(
            f"RAY_ADDRESS is {where}, and what listens there lets nobody join ({in_short(error)}): it may ask for "
            f"another token ({TOKEN}), run another Ray than {ray.__version__}, or be no Ray; put that right, or unset "
            f"RAY_ADDRESS for a local Ray"
        ) from error
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise _not_joined(where, str(error) or type(error).__name__) from error


def without_secrets(address: str) -> str:
    """Address as a sentence may show it: what stands before an @ may be a password."""
    return in_short(address).rpartition("@")[2]


@contextmanager
def _trying_once() -> Iterator[None]:
    """Let Ray try once. The setting is taken back, since a local Ray that is started later reads it too."""
    given = os.environ.get(ATTEMPTS)
    os.environ[ATTEMPTS] = given or "1"
    try:
        yield
    finally:
        if given is None:
            del os.environ[ATTEMPTS]


def _wait_for_port(address: str) -> None:
    """Return when something listens at an address; Ray itself would take many minutes to find out."""
    match = HOST_AND_PORT.fullmatch(address)
    if match is None:
        return
    host_and_port = match["host"].strip("[]"), int(match["port"])
    until = time.monotonic() + STARTS_S
    while True:
        try:
            socket.create_connection(host_and_port, timeout=CONNECTS_S).close()
        except OSError:
            if time.monotonic() >= until:
                raise
            time.sleep(1.0)
        else:
            return


def _not_joined(address: str, reason: str) -> SettingsError:
    versions = VERSIONS.search(reason)
    if versions is not None:
        ray_there, python_there, ray_here, python_here = versions.groups()
        return SettingsError(
            f"the cluster at {address} runs Ray {ray_there} on Python {python_there}, and here is Ray {ray_here} on "
            f"Python {python_here}; install the same on both"
        )
    return SettingsError(
        f"RAY_ADDRESS is {address}, and no cluster can be joined there ({in_short(reason)}); start one, or "
        f"unset it for a local Ray"
    )
