"""HTTP around a service: routes, keys, limits, headers. What a body looks like is the business of the dialects."""

from __future__ import annotations

import asyncio
import json
import math
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from starlette.types import Message

import crossrank
from crossrank.serving import dialects
from crossrank.serving.ask import Answer, Ask
from crossrank.serving.dialects import Limits, Served, Wanted
from crossrank.serving.faults import (
    Abandoned,
    Fault,
    Invalid,
    NotReady,
    Overloaded,
    TooLarge,
    Unauthorized,
    UnknownModel,
    Unparsable,
)
from crossrank.serving.keys import Keys
from crossrank.serving.metrics import CONTENT_TYPE, Metrics, added_up
from crossrank.serving.openapi import describe
from crossrank.serving.quotas import Quotas
from crossrank.serving.repeats import score_once
from crossrank.serving.service import Service
from crossrank.serving.tokens import read_texts, shown_tokens

MAX_BODY_BYTES = 32_000_000
UNNAMED = {None, "", "default/not-specified"}
"""What clients send as a model when they name none."""
KEY_HEADERS = ("authorization", "x-api-key", "x-amzn-sagemaker-custom-attributes")
"""Where a key may be. The SDK of AWS has its signature in the first, and lets its caller set the last."""

Result = TypeVar("Result")


async def _alone() -> int:
    return 1


@dataclass(frozen=True, slots=True)
class Site:
    """What the routes need beside the service."""

    service: Service
    model_names: tuple[str, ...]
    """Names that the model answers to; the first is told."""
    limits: Limits = field(default_factory=Limits)
    keys: Keys = field(default_factory=lambda: Keys([]))
    max_body_bytes: int = MAX_BODY_BYTES
    metrics: Metrics = field(default_factory=Metrics)
    metrics_of_all: Callable[[], Awaitable[list[str]]] | None = None
    """The series of every replica; None where there is one."""
    num_replicas: Callable[[], Awaitable[int]] = _alone
    quotas: Quotas | None = None
    """What each key may use; None lets each use what there is."""
    score: Callable[[Ask], Awaitable[Answer]] | None = None
    """Scores with all replicas; None scores with the service alone."""


def metrics_text(site: Site) -> str:
    """The series of one replica."""
    engine, admission = site.service.engine, site.service.admission
    return site.metrics.text(engine.queue.num_tickets, admission.waiting_tokens, engine.tokens_per_second)


def build_app(site: Site) -> FastAPI:
    """The whole HTTP surface over one service."""
    app = FastAPI(
        title="crossrank",
        version=crossrank.__version__,
        description="A reranker that speaks the dialects of text-embeddings-inference, infinity, Cohere, Jina, Voyage, "
        "vLLM and SageMaker.",
    )
    app.state.service = site.service
    routes = _Routes(site)
    for path in dialects.SPOKEN:
        app.add_api_route(path, routes.scores, methods=["POST"], summary=f"Scores, {path}")
    # Where the SDK of AWS posts; /invocations is what SageMaker makes of it.
    app.add_api_route("/endpoints/{endpoint}/invocations", routes.scores, methods=["POST"], include_in_schema=False)
    app.add_api_route("/tokenize", routes.tokenize, methods=["POST"], summary="Token ids of texts")
    for path in ("/health", "/health/ready"):
        app.add_api_route(path, routes.health, methods=["GET"], summary="Ready, and a forward really ran")
    for method in ("GET", "POST"):
        app.add_api_route("/ping", routes.health, methods=[method], summary="As /health, for SageMaker")
    app.add_api_route("/health/live", routes.live, methods=["GET"], summary="The process answers")
    app.add_api_route("/info", routes.info, methods=["GET"], summary="The model and the limits")
    for path in ("/v1/models", "/models"):
        app.add_api_route(path, routes.models, methods=["GET"], summary="The models, as OpenAI lists them")
    app.add_api_route("/metrics", routes.show_metrics, methods=["GET"], summary="Prometheus, all replicas added up")
    describe(app)
    return app


class _Routes:
    """The handlers. Public: health, ping, metrics and docs; the rest asks for a key where there are keys."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._service = site.service
        self._score = site.score or site.service.score

    async def scores(self, request: Request) -> Response:
        """Scores in the dialect of the body."""
        path = _path(request)
        method = path.strip("/").rsplit("/", 1)[-1] or "predict"
        # Ray Serve gives every request an id, or takes the client's, and sends it back as a header.
        request_id = request.headers.get("x-request-id", "")[:128] or f"rr-{uuid.uuid4().hex}"
        self._site.metrics.arrived(method)
        body: Any = None
        try:
            key = self._key(request)
            body = _parsed(await self._read(request))
            wanted = dialects.read(path, body, request.headers, self._site.limits)
            self._check_model(wanted)
            answer = await _unless_gone(request, self._paid(key, wanted.ask))
        except Fault as fault:
            self._site.metrics.failed(fault)
            return _refusal(path, body, fault, request_id)
        except asyncio.CancelledError:  # Ray Serve saw the client go before we did
            self._site.metrics.failed(Abandoned("the client went away"))
            raise
        self._site.metrics.answered(method, wanted.dialect, answer)
        served = Served(self._site.model_names[0], self._service.model.revision, request_id, int(time.time()))
        return _json(200, wanted.render(answer, served), self._headers(answer))

    async def _paid(self, key: int, ask: Ask) -> Answer:
        """The scores, out of what the key may use."""
        quotas = self._site.quotas
        if quotas is None:
            return await score_once(self._score, ask)
        tokens, num_replicas = self._service.estimated_tokens(ask), await self._site.num_replicas()
        quotas.pay(key, tokens, num_replicas)
        spent = tokens
        try:
            answer = await score_once(self._score, ask)
            spent = answer.num_tokens
            return answer
        except (Overloaded, Invalid):  # refused before any work
            spent = 0
            raise
        finally:
            quotas.settle(key, spent - tokens, num_replicas)

    async def tokenize(self, request: Request) -> Response:
        """Tokens as text-embeddings-inference shows them."""
        body: Any = None
        try:
            self._key(request)
            body = _parsed(await self._read(request))
            texts, special = read_texts(body, self._site.limits.max_documents)
            return _json(200, shown_tokens(self._service.model.encoder.tokenizer.hf, texts, special))
        except Fault as fault:
            return _refusal("/predict", body, fault, "")

    async def health(self) -> Response:
        """200 with an empty body when a forward succeeded lately, 503 otherwise."""
        try:
            await self._service.check()
        except NotReady as fault:
            return _json(503, {"error": f"unhealthy: {fault}", "error_type": "Unhealthy"}, {"retry-after": "1"})
        return Response(status_code=200)

    async def live(self) -> Response:
        """200 as long as anything answers."""
        return Response(status_code=200)

    async def info(self, request: Request) -> Response:
        """What text-embeddings-inference tells under /info, and our limits."""
        return await self._told(request, self._info)

    async def models(self, request: Request) -> Response:
        """The model as OpenAI's list has it."""
        return await self._told(request, self._models)

    async def show_metrics(self) -> Response:
        """All series, those of other replicas added."""
        of_all = self._site.metrics_of_all
        texts = await of_all() if of_all is not None else [metrics_text(self._site)]
        return Response(added_up(texts), media_type=CONTENT_TYPE)

    async def _told(self, request: Request, tell: Callable[[], Awaitable[Any]]) -> Response:
        try:
            self._key(request)
        except Fault as fault:
            return _refusal(_path(request), None, fault, "")
        return _json(200, await tell())

    async def _info(self) -> dict[str, Any]:
        model, limits = self._service.model, self._site.limits
        about = model.describe()
        return {
            "model_id": model.name,
            "model_sha": model.revision,
            "model_dtype": about.get("dtype"),
            "served_model_name": self._site.model_names[0],
            "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
            "max_concurrent_requests": None,
            "max_input_length": model.encoder.max_length,
            "max_batch_tokens": self._service.engine.queue.budget,
            "max_batch_requests": None,
            "max_client_batch_size": limits.max_client_batch_size or limits.max_documents,
            "auto_truncate": limits.auto_truncate,
            "tokenization_workers": 1,
            "version": crossrank.__version__,
            "sha": None,
            "docker_label": None,
            "model": about,
            "limits": self._limits(),
            "score_type": "probability",
            "replicas": await self._site.num_replicas(),
        }

    def _limits(self) -> dict[str, Any]:
        admission, deadlines = self._service.admission, self._service.deadlines
        return {
            "max_documents_per_request": self._site.limits.max_documents,
            "max_body_bytes": self._site.max_body_bytes,
            "max_query_tokens": self._service.query_limit,
            "max_queued_tokens": admission.max_queued_tokens,
            "tokens_per_second": round(self._service.engine.tokens_per_second),
            "tokens_per_character": round(admission.tokens_per_character, 4),
            "default_timeout_s": deadlines.default_s,
            "max_timeout_s": deadlines.most_s,
        }

    async def _models(self) -> dict[str, Any]:
        name, model = self._site.model_names[0], self._service.model
        entry = {
            "id": name,
            "object": "model",
            "created": 0,
            "owned_by": "crossrank",
            "root": model.name,
            "parent": None,
            "max_model_len": model.encoder.max_length,
            "capabilities": ["rerank", "score"],
            "limits": self._limits(),
            "revision": model.revision,
            "stats": self._stats(),
        }
        return {"object": "list", "data": [entry]}

    def _stats(self) -> dict[str, Any]:
        """The load, under the names of infinity, which counts texts where this server counts tokens."""
        admission, queue = self._service.admission, self._service.engine.queue
        most = admission.max_queued_tokens
        return {
            "queue_fraction": round(admission.waiting_tokens / most, 4) if most else 0.0,
            "queue_absolute": queue.num_tokens,
            "results_pending": queue.num_tickets,
            "batch_size": queue.budget,
        }

    def _key(self, request: Request) -> int:
        found = [self._site.keys.which(request.headers.get(name)) for name in KEY_HEADERS]
        for key in found:
            if key is not None:
                return key
        raise Unauthorized("the Authorization header holds no key of this server; send Authorization: Bearer KEY")

    def _check_model(self, wanted: Wanted) -> None:
        if wanted.model not in UNNAMED and wanted.model not in self._site.model_names:
            raise UnknownModel(
                f"the model {wanted.model!r:.80} is not here; leave model out, or name {self._site.model_names[0]}",
                "model",
            )

    async def _read(self, request: Request) -> bytes:
        limit = self._site.max_body_bytes
        declared = request.headers.get("content-length", "0")
        size = int(declared) if declared.isdecimal() else 0
        chunks: list[bytes] = []
        if size <= limit:
            size = 0
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    break
                chunks.append(chunk)
        if size > limit:
            raise TooLarge(
                f"the body has {size:,} bytes or more, over the limit of {limit:,}; send fewer documents at once"
            )
        return b"".join(chunks)

    def _headers(self, answer: Answer) -> dict[str, str]:
        timing = answer.timing
        return {
            "x-compute-type": self._service.model.describe().get("device", "cpu"),
            "x-compute-time": _ms(timing.total_s),
            "x-compute-characters": str(answer.num_characters),
            "x-compute-tokens": str(answer.num_tokens),
            "x-total-time": _ms(timing.total_s),
            "x-tokenization-time": _ms(timing.tokenization_s),
            "x-queue-time": _ms(timing.queue_s),
            "x-inference-time": _ms(timing.inference_s),
            "x-truncated-documents": str(int((answer.cut_C > 0).sum())),
            "x-model-revision": self._service.model.revision,
        }


def _path(request: Request) -> str:
    """The path below the prefix that the application was deployed under; any SageMaker endpoint is /invocations."""
    prefix = str(request.scope.get("root_path", ""))
    path = request.url.path.removeprefix(prefix) or "/"
    return "/invocations" if path.startswith("/endpoints/") else path


async def _unless_gone(request: Request, work: Awaitable[Result]) -> Result:
    """The result of `work`, which is cancelled when the client closes its connection."""
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request.receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Abandoned("the client went away")
        return working.result()
    finally:
        gone.cancel()
        working.cancel()


async def _gone(receive: Callable[[], Awaitable[Message]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unparsable(f"the body is not JSON: {' '.join(str(error).split())[:160]}") from error


def _refusal(path: str, body: Any, fault: Fault, request_id: str) -> Response:
    status, content = dialects.fault_body(path, body, fault, request_id)
    headers: dict[str, str] = {}
    if isinstance(fault, Overloaded):
        headers["retry-after"] = str(math.ceil(fault.retry_after_s))
        headers["retry-after-ms"] = str(math.ceil(fault.retry_after_s * 1000))
    if isinstance(fault, NotReady):
        headers["retry-after"] = "1"
    if isinstance(fault, Unauthorized):
        headers["www-authenticate"] = "Bearer"
    return _json(status, content, headers)


def _json(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(content, ensure_ascii=False), status, headers, media_type="application/json")


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
