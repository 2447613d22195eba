"""Start the server: as an application that Ray Serve deploys, or here until it is stopped."""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import threading
import time
from dataclasses import dataclass, fields
from typing import Any

os.environ.setdefault("RAY_SERVE_ENABLE_HA_PROXY", "1")  # read when ray.serve is imported

import ray
from ray import serve as ray_serve
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, BackpressureConfig, HTTPOptions

from crossrank import storage
from crossrank.cluster.on_ray import connect, without_native_output
from crossrank.cluster.on_ray.answers import answer_of
from crossrank.config.settings import from_mapping, option
from crossrank.errors import JobFailed, SettingsError, in_short
from crossrank.provenance import provenance
from crossrank.scoring.loading import check_model, find_model
from crossrank.scoring.spec import RerankerSpec, ScorerSpec
from crossrank.serving.dialects import Limits
from crossrank.serving.keys import VARIABLE, ApiKeys, read_keys
from crossrank.serving.on_ray.replica import ReplicaTask, RerankReplica
from crossrank.serving.on_ray.scaling import replicas_for_backlog
from crossrank.serving.service import Deadlines
from crossrank.serving.settings import ReplicaSettings, ServeSettings, check_host, refuse_open_door
from crossrank.telemetry import log_format
from crossrank.telemetry.job_context import environment
from crossrank.telemetry.progress import Waiting, say
from crossrank.telemetry.verb_scope import verb_scope

APPLICATION = "rerank"
MAX_ONGOING_REQUESTS = 50_000
"""Requests inside one replica. What they may cost together is the business of admission, which refuses in their dialect
and knows when to come back; Ray Serve does neither, so its own limit is one that nobody reaches."""
USUAL_CONNECTIONS, MOST_CONNECTIONS = 4_096, 30_000
"""Connections of HAProxy, its default and ours. Beyond them clients wait where admission does not see them."""
FILES_PER_CONNECTION = 2.5
"""Files that HAProxy opens for a connection: two ends, and a pipe for each fourth connection."""
OTHER_FILES = 500
"""Files that HAProxy opens beside them. It does not start where it may not open as many as its connections need."""
LEAVES_S = "3"
"""Seconds for which a replica that is to stop still takes requests. Ray's default is 30, for load balancers that are
far away; HAProxy on the same machine knows at once."""
MOST_LEAVES_S = 30.0
"""Seconds of the same where Ray Serve has its default."""
OURS_FIRST_S = 5.0
"""Seconds after the longest deadline at which Ray Serve ends a request, as plain text."""
CONTROLLER_ANSWERS_S = 30.0
"""Seconds in which the controller of a running Ray Serve answers where it listens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileSettings(ReplicaSettings):
    """The args of a Serve file. Where to listen is not among them: ``http_options`` of the same file say it."""

    without_keys: bool = option(False, help="Let everybody in, also on an address that others reach.")


def build(args: dict[str, Any]) -> Any:
    """The application that a Serve file names: ``import_path: crossrank.serving.on_ray.start:build``.

    Refused before anything is changed: args that are none, a model that cannot be served, an address at which nobody
    would be answered, and one that others reach without a key to ask them for.
    """
    settings = from_mapping(FileSettings, args, "args")
    host = _host_of_running_serve()
    if host is not None:
        check_host("http_options.host", host)
        _refuse_open_file(settings, host)
    return application(settings)


def _host_of_running_serve() -> str | None:
    """Host on which Ray Serve listens, by this file or the first one before it; None where it is not running yet.

    `serve deploy` and `serve run FILE` start Serve first, and have the application built by a task of that cluster.
    """
    if not ray.is_initialized():
        return None
    try:
        controller = ray.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve")
    except ValueError:
        return None
    asked = controller.get_http_config.remote()
    host: str | None = answer_of(asked, "Ray Serve", "nothing was begun", timeout_s=CONTROLLER_ANSWERS_S).host
    return host


def _refuse_open_file(settings: FileSettings, host: str) -> None:
    replicas = {field.name: getattr(settings, field.name) for field in fields(FileSettings)}
    try:
        refuse_open_door(ServeSettings(**replicas, host=host), bool(_keys(settings)))
    except SettingsError:
        raise SettingsError(
            f"http_options.host is {host}, which others reach, and there are no API keys; give {VARIABLE} to the "
            f"cluster (ray start) or api_keys: FILE in args, or say without_keys: true to let everybody in"
        ) from None


def application(settings: ReplicaSettings, spec: ScorerSpec | None = None) -> Any:
    """The deployment of one model, bound to its settings. Refuses a model that cannot be served, before it is.

    Args:
        spec: what each replica loads; None is the model of the settings itself, and tests have stand-ins for it.
    """
    keys = _keys(settings)
    if settings.tokens_per_key and not keys:
        raise SettingsError(
            f"tokens_per_key is {settings.tokens_per_key:g}, and there are no API keys to count them for; "
            f"give --api-keys FILE or {VARIABLE}"
        )
    folder = find_model(settings.model)
    check_model(folder)
    model = storage.absolute(settings.model) if folder.is_local else settings.model
    device = None if settings.gpus_per_replica else "cpu"
    task = ReplicaTask(
        spec=spec
        or RerankerSpec(model, folder.revision, settings.max_length, settings.precision, settings.instruction, device),
        threads=settings.threads or max(1, (os.cpu_count() or 1) // settings.max_replicas),
        model_names=tuple(dict.fromkeys(name for name in (settings.model_name, settings.model, model) if name)),
        limits=Limits(
            max_documents=settings.max_documents,
            max_client_batch_size=settings.max_client_batch_size,
            max_timeout_s=settings.max_timeout_s,
        ),
        deadlines=Deadlines(settings.default_timeout_s, settings.max_timeout_s, settings.max_queue_s),
        max_body_bytes=int(settings.max_body_mb * 1e6),
        keys=keys,
        tokens_per_key=settings.tokens_per_key,
        environment=environment(),
        max_replicas=settings.max_replicas,
    )
    fixed = settings.min_replicas == settings.max_replicas
    scaling = AutoscalingConfig(
        min_replicas=settings.min_replicas,
        max_replicas=settings.max_replicas,
        initial_replicas=max(settings.min_replicas, 1),
        upscale_delay_s=1.0,  # the backlog that decides is a mean over the seconds below already
        downscale_delay_s=settings.scale_down_after_s,
        look_back_period_s=5.0,
        metrics_interval_s=1.0,
        policy=AutoscalingPolicy(policy_function=replicas_for_backlog),
    )
    return ray_serve.deployment(
        RerankReplica,
        name="reranker",
        num_replicas=settings.max_replicas if fixed else None,
        autoscaling_config=None if fixed else scaling,
        ray_actor_options={"num_cpus": 1, "num_gpus": settings.gpus_per_replica},
        max_ongoing_requests=MAX_ONGOING_REQUESTS,
        max_queued_requests=MAX_ONGOING_REQUESTS,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=1),
        max_surge_percent=100,  # an update starts new replicas first
        graceful_shutdown_timeout_s=MOST_LEAVES_S + settings.max_timeout_s,  # what came last may take all its time
        health_check_period_s=5,
        health_check_timeout_s=30,
    ).bind(task)


@verb_scope("serve")
def serve(settings: ServeSettings) -> None:
    """Start Ray and the server on it, and wait until it is stopped."""
    say(str(provenance()))
    refuse_open_door(settings, bool(_keys(settings)))
    replicas = {field.name: getattr(settings, field.name) for field in fields(ReplicaSettings)}
    app = application(ReplicaSettings(**replicas))
    _refuse_taken_port(settings)
    _find_free_ports()
    _raise_limit_of_haproxy()
    os.environ.setdefault("RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S", LEAVES_S)
    # Ray lets workers give way to everything else on the machine (nice 15); a server has somebody waiting.
    os.environ.setdefault("RAY_worker_niceness", "0")
    connect()
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    with Waiting("loading and warming up the model"):
        try:
            # Given outright, the host also keeps the replicas' own ports off the network; Ray's default opens them all.
            # The timeout is for those that come while no replica is there: no deadline of ours ends their waiting.
            timeout_s = settings.max_timeout_s + OURS_FIRST_S
            http = HTTPOptions(host=settings.host, port=settings.port, request_timeout_s=timeout_s)
            ray_serve.start(http_options=http, proxy_location="HeadOnly")
            log = {"enable_access_log": False, "encoding": "JSON" if log_format.is_json() else "TEXT"}
            ray_serve.run(app, name=APPLICATION, route_prefix="/", logging_config=log)
        except (RuntimeError, ray.exceptions.RayError) as error:
            last = [line.strip() for line in str(error).splitlines() if line.strip()][-1:]
            reason = in_short(" ".join(last), 1000)
            raise JobFailed(f"the server did not start: {reason}; Ray's logs have the rest") from error
    say(f"ready: http://{settings.host}:{settings.port}/rerank, docs under /docs; Ctrl-C stops it")
    stopped = _signals()
    stopped.wait()
    stopped.clear()
    say("finishing what was begun; Ctrl-C again stops at once")
    _drain(settings.max_timeout_s, stopped)
    say("stopping")
    with without_native_output():
        ray_serve.shutdown()
        ray.shutdown()


def _refuse_taken_port(settings: ServeSettings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as HAProxy does: one that was just left is free
        try:
            probe.bind((settings.host, settings.port))
        except (OSError, OverflowError) as error:
            raise SettingsError(
                f"--host {settings.host} --port {settings.port} cannot be listened on ({error}); name another port"
            ) from error


def _find_free_ports() -> None:
    """Ports that are no setting of ours, and that a second server on this machine finds taken.

    Two of them are HAProxy's. The third is that of Ray's own proxy, which has the requests while no replica is there.
    Two servers would share it without a word, and each answer for the other.
    """
    for variable, usual in (
        ("RAY_SERVE_HAPROXY_STATS_PORT", 8404),
        ("RAY_SERVE_HAPROXY_METRICS_PORT", 9101),
        ("RAY_SERVE_FALLBACK_PROXY_HTTP_PORT", 8500),
    ):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", usual))
            except OSError:
                probe.bind(("", 0))
            os.environ.setdefault(variable, str(probe.getsockname()[1]))


def _raise_limit_of_haproxy() -> None:
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = MOST_CONNECTIONS
    if most_files != resource.RLIM_INFINITY:
        room = min(room, int((most_files - OTHER_FILES) / FILES_PER_CONNECTION))
    if room > USUAL_CONNECTIONS:
        os.environ.setdefault("RAY_SERVE_HAPROXY_MAXCONN", str(room))


def _keys(settings: ReplicaSettings) -> ApiKeys:
    return ApiKeys(read_keys(settings.api_keys, os.environ.get(VARIABLE)))


def _signals() -> threading.Event:
    """Event that each Ctrl-C and SIGTERM sets from now on."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    return stopped


def _drain(most_s: float, stopped: threading.Event) -> None:
    """Take the replicas away while the proxy is still there: `ray.serve.shutdown` would end both at the same moment.

    Args:
        most_s: seconds that a request may take.
        stopped: event that ends the waiting early.
    """
    until = time.monotonic() + most_s + float(LEAVES_S)
    ray_serve.delete(APPLICATION, _blocking=False)
    while APPLICATION in ray_serve.status().applications and time.monotonic() < until:
        if stopped.wait(0.2):
            return
