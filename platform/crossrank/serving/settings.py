"""The settings of `crossrank serve`, and of the files in `serve/`."""

from __future__ import annotations

from dataclasses import dataclass

from crossrank.config.settings import CheckedSettings, option
from crossrank.errors import SettingsError
from crossrank.scoring.flags import instruction_flag, max_length_flag, precision_flag
from crossrank.scoring.precision import Precision

EVERYWHERE = "0.0.0.0"
HOSTS = ("127.0.0.1", "localhost", EVERYWHERE)
"""Hosts on which a server can listen. Its replicas listen there too, each on a port of its own, and HAProxy reaches
those of its own machine at 127.0.0.1 alone: at any other address, of this machine or of IPv6, every request would get
a 500."""

PORT_MOST = 2**16 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaSettings(CheckedSettings):
    """A model behind HTTP, wherever its replicas run; the args of a Serve file have these names."""

    model: str = option(help="Reranker: hub id, folder or s3://.")
    model_name: str | None = option(None, help="Name that requests give as model; default --model itself.")
    min_replicas: int = option(1, help="Replicas at rest; 0 stops all when nobody asks.", least=0)
    max_replicas: int = option(1, help="Replicas at most.", least=1)
    scale_down_after_s: float = option(60.0, help="Seconds with fewer replicas wanted before one is stopped.", above=0)
    gpus_per_replica: float = option(0.0, help="GPUs of a replica, a fraction to share one.", least=0)
    threads: int | None = option(None, help="CPU threads of a replica; default the cores over --max-replicas.", least=1)
    api_keys: str | None = option(None, help="File of API keys, one a line; CROSSRANK_API_KEYS holds more.")
    tokens_per_key: float | None = option(
        None,
        help="Tokens a second that one API key may use; default no limit.",
        above=0,
        refusal="; use a number above 0, or leave it out",
    )
    max_length: int = max_length_flag()
    precision: Precision | None = precision_flag()
    instruction: str | None = instruction_flag()
    max_documents: int = option(10_000, help="Documents of one request.", least=1)
    max_client_batch_size: int | None = option(
        None, help="Texts of one request in TEI's dialect, as TEI caps them.", least=1
    )
    max_body_mb: float = option(32.0, help="Megabytes of one request.", above=0)
    default_timeout_s: float = option(30.0, help="Seconds that a request may take when it does not say.", above=0)
    max_timeout_s: float = option(60.0, help="Seconds that a request may ask for.", above=0)
    max_queue_s: float = option(20.0, help="Seconds of work that may wait before requests get 429.", above=0)

    def check(self) -> None:
        if self.max_replicas < self.min_replicas:
            raise SettingsError(
                f"--max-replicas is {self.max_replicas}, under --min-replicas ({self.min_replicas}); raise it"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeSettings(ReplicaSettings):
    """`ReplicaSettings`, and where to listen."""

    host: str = option(
        "127.0.0.1", help="Address to listen on: 127.0.0.1 for this machine alone, 0.0.0.0 for all that reach it."
    )
    port: int = option(
        8000, help="Port to listen on.", least=1, most=PORT_MOST, refusal=f"; use a number from 1 to {PORT_MOST}"
    )
    without_keys: bool = option(False, help="Let everybody in, also on an address that others reach.")

    def check(self) -> None:
        check_host("--host", self.host)


def check_host(name: str, host: str) -> None:
    """Refuse an address at which the server would say that it is ready, and fail.

    Args:
        name: name of the setting that holds it, for the sentence.
    """
    if host not in HOSTS:
        raise SettingsError(
            f"{name} is {host}, and HAProxy reaches the replicas at 127.0.0.1 alone; use 127.0.0.1 for this machine "
            f"alone, or {EVERYWHERE} for all of its IPv4 addresses"
        )


def refuse_open_door(settings: ServeSettings, has_keys: bool) -> None:
    """Refuse to listen where others reach the server without asking them for a key."""
    if not has_keys and not settings.without_keys and settings.host == EVERYWHERE:
        raise SettingsError(
            f"--host is {settings.host}, which others reach, and there are no API keys; "
            f"give --api-keys FILE, or say --without-keys to let everybody in"
        )
