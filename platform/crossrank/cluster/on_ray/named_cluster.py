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
"""How Ray refuses a driver: its versions and those of the cluster have to be the same to the last digit."""
HOST_AND_PORT = re.compile(r"(?P<host>[^/]+):(?P<port>\d+)")
"""An address that Ray connects to by itself; ``auto`` and those of Ray's client are left to it."""
STARTS_S = 30.0
"""Seconds that a cluster may take until its port answers: it may be started beside the job."""
CONNECTS_S = 10.0
"""Seconds that one connection may take."""
TOKEN = "export RAY_AUTH_MODE=token and the cluster's own RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH"
"""The way out for who has the wrong token, or none."""
TRIES = "RAY_gcs_server_port_wait_time_s"
"""How Ray is told to try once, for some 40 seconds. By itself it tries 20 times."""


def join(address: str) -> None:
    """Join the cluster at an address, which Ray reads from the environment.

    Raises:
        SettingsError: nobody answers there, or it is no Ray; another token; other versions of Ray or Python. Of some
            of these Ray says no more than that it cannot connect, so the sentence names them all.
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
    """An address for a sentence: what stands before an @ may be a password."""
    return in_short(address).rpartition("@")[2]


@contextmanager
def _trying_once() -> Iterator[None]:
    """Ray tries once; a local Ray that is started later reads the same setting, so it does not stay."""
    given = os.environ.get(TRIES)
    os.environ[TRIES] = given or "1"
    try:
        yield
    finally:
        if given is None:
            del os.environ[TRIES]


def _wait_for_port(address: str) -> None:
    """Return when somebody listens at an address, which Ray itself would find out in many minutes."""
    found = HOST_AND_PORT.fullmatch(address)
    if found is None:
        return
    place = found["host"].strip("[]"), int(found["port"])
    until = time.monotonic() + STARTS_S
    while True:
        try:
            socket.create_connection(place, timeout=CONNECTS_S).close()
        except OSError:
            if time.monotonic() >= until:
                raise
            time.sleep(1.0)
        else:
            return


def _not_joined(address: str, told: str) -> SettingsError:
    versions = VERSIONS.search(told)
    if versions is not None:
        ray_there, python_there, ray_here, python_here = versions.groups()
        return SettingsError(
            f"the cluster at {address} runs Ray {ray_there} on Python {python_there}, and here is Ray {ray_here} on "
            f"Python {python_here}; install the same on both"
        )
    return SettingsError(
        f"RAY_ADDRESS is {address}, and no cluster can be joined there ({in_short(told)}); start one, or "
        f"unset it for a local Ray"
    )
