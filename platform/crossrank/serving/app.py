"""HTTP around a service: routes, keys, limits, headers. What a body looks like is the business of the dialects."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Message

from crossrank.errors import kind_of, quoted
from crossrank.formats.lines import json_fault, without_repeated_keys
from crossrank.serving import dialects
from crossrank.serving.deduplication import score_once
from crossrank.serving.dialects import Limits, ParsedRequest, Served
from crossrank.serving.errors import (
    Abandoned,
    Broken,
    Invalid,
    NotReady,
    Overloaded,
    RequestError,
    TooLarge,
    Unauthorized,
    UnknownModel,
    Unparsable,
)
from crossrank.serving.exposition import CONTENT_TYPE, AllReplicas
from crossrank.serving.headers import answer_headers, fault_headers
from crossrank.serving.info import About
from crossrank.serving.keys import ApiKeys
from crossrank.serving.metrics import UNREAD, Metrics
from crossrank.serving.openapi import describe
from crossrank.serving.quotas import Quotas
from crossrank.serving.request import ScoringRequest, ScoringResponse
from crossrank.serving.service import ScoringService
from crossrank.serving.tokens import read_texts
from crossrank.telemetry.log_format import REQUEST_ID
from crossrank.version import __version__

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 32_000_000
UNNAMED = {None, "", "default/not-specified"}
"""Values of the model that clients send when they name none."""
KEY_HEADERS = ("authorization", "x-api-key", "x-amzn-sagemaker-custom-attributes")
"""Headers that may hold a key. The SDK of AWS has its signature in the first, and lets its caller set the last."""

Result = TypeVar("Result")


async def _alone() -> int:
    return 1


@dataclass(frozen=True, slots=True)
class AppContext:
    """Everything that the routes need: the service, and what is around it."""

    service: ScoringService
    model_names: tuple[str, ...]
    """Names that the model answers to; responses give the first."""
    limits: Limits = field(default_factory=Limits)
    keys: ApiKeys = field(default_factory=lambda: ApiKeys([]))
    max_body_bytes: int = MAX_BODY_BYTES
    metrics: Metrics = field(default_factory=Metrics)
    metrics_of_all: Callable[[], Awaitable[list[str]]] | None = None
    """Gives the `metrics_text` of every replica that answers in time; None where there is one replica."""
    all_replicas: AllReplicas = field(default_factory=AllReplicas)
    share: Callable[[str], Coroutine[Any, Any, None]] | None = None
    """Lets the other replicas remember what this one exposed, since it may leave next; None where there is one."""
    num_replicas: Callable[[], Awaitable[int]] = _alone
    quotas: Quotas | None = None
    """Tokens that each key may use; None has no limit."""
    score: Callable[[ScoringRequest], Awaitable[ScoringResponse]] | None = None
    """Scores with all replicas; None scores with the service alone."""


def metrics_text(context: AppContext) -> str:
    """Series of one replica, as replicas send them to each other."""
    engine, admission = context.service.engine, context.service.admission
    families = context.metrics.families(engine.queue.num_tickets, admission.waiting_tokens, engine.tokens_per_second)
    return context.all_replicas.message(context.metrics.replica, families)


def build_app(context: AppContext) -> FastAPI:
    """The whole HTTP surface over one service."""
    app = FastAPI(
        title="crossrank",
        version=__version__,
        description="A reranker that speaks the dialects of text-embeddings-inference, infinity, Cohere, Jina, Voyage, "
        "vLLM and SageMaker.",
    )
    app.state.service = context.service
    routes = _Routes(context)
    for path in dialects.ROUTES:
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


@dataclass(slots=True)
class _RequestRecord:
    """Facts about a request so far, for the log and the metrics if it fails."""

    path: str
    method: str
    request_id: str
    began: float = field(default_factory=time.monotonic)
    body: Any = None
    dialect: str = UNREAD
    priority: int = 0


@dataclass(slots=True)
class _Bill:
    """Tokens that a request costs its key."""

    tokens: int


class _Routes:
    """The handlers. Public: health, ping, metrics and docs; the rest asks for a key where there are keys."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._service = context.service
        self._metrics = context.metrics
        self._score = context.score or context.service.score
        self._about = About(context.service, context.model_names[0], context.limits, context.max_body_bytes)
        self._sharing: asyncio.Task[None] | None = None  # kept, or it would be collected before it has run

    async def scores(self, request: Request) -> Response:
        """Scores in the dialect of the body."""
        path = _path(request)
        method = path.strip("/").rsplit("/", 1)[-1] or "predict"
        return await self._answering(_RequestRecord(path, method, _request_id(request)), partial(self._scores, request))

    async def _scores(self, request: Request, record: _RequestRecord) -> Response:
        key = self._key(request)
        record.body = _parsed(await self._read(request))
        parsed = dialects.read(record.path, record.body, request.headers, self._context.limits)
        record.dialect, record.priority = parsed.dialect, parsed.score_request.priority
        self._metrics.read(len(parsed.score_request.documents))
        self._check_model(parsed)
        answer = await _unless_gone(request, self._paid(key, parsed.score_request))
        model = self._service.model
        served = Served(self._context.model_names[0], model.revision, record.request_id, int(time.time()))
        body = parsed.render(answer, served)
        self._metrics.scored(parsed.dialect, parsed.score_request.priority, answer)
        return _json(200, body, answer_headers(answer, model.describe().get("device", "cpu"), model.revision))

    async def _paid(self, key: int, score_request: ScoringRequest) -> ScoringResponse:
        """Score, and take the tokens out of what the key may use."""
        async with self._paying(key, partial(self._service.estimated_tokens, score_request)) as bill:
            answer = await score_once(self._score, score_request)
            bill.tokens = answer.num_tokens
            return answer

    async def tokenize(self, request: Request) -> Response:
        """Tokens as text-embeddings-inference shows them."""
        record = _RequestRecord("/predict", "tokenize", _request_id(request))  # whose refusals are TEI's, too
        return await self._answering(record, partial(self._tokenize, request))

    async def _tokenize(self, request: Request, record: _RequestRecord) -> Response:
        key = self._key(request)
        record.body = _parsed(await self._read(request))
        texts, special = read_texts(record.body, self._context.limits.max_documents)
        async with self._paying(key, partial(self._service.admission.estimate, sum(map(len, texts)))) as bill:
            shown = await _unless_gone(request, self._service.show_tokens(texts, special))
            bill.tokens = sum(map(len, shown))
        return _json(200, shown)

    @asynccontextmanager
    async def _paying(self, key: int, estimated_tokens: Callable[[], int]) -> AsyncIterator[_Bill]:
        """Take the estimated tokens out of the key's quota, and settle afterwards; a refused request costs none."""
        quotas = self._context.quotas
        if quotas is None:
            yield _Bill(0)
            return
        tokens, num_replicas = estimated_tokens(), await self._context.num_replicas()
        bill = _Bill(tokens)
        quotas.pay(key, tokens, num_replicas)
        try:
            yield bill
        except (Overloaded, Invalid):  # refused before any work
            bill.tokens = 0
            raise
        finally:
            quotas.settle(key, bill.tokens - tokens, num_replicas)

    async def _answering(
        self, record: _RequestRecord, answer: Callable[[_RequestRecord], Awaitable[Response]]
    ) -> Response:
        """Answer a request, or refuse it in its own dialect, and count it either way."""
        self._metrics.arrived(record.method)
        REQUEST_ID.set(record.request_id)  # of this request alone, since each is answered in a context of its own
        try:
            response = await answer(record)
        except RequestError as fault:
            return self._refusal(record, fault)
        except ClientDisconnect:
            return self._refusal(record, Abandoned("the client went away"))
        except asyncio.CancelledError:  # Ray Serve saw the client go before we did
            self._refusal(record, Abandoned("the client went away"))
            raise
        except Exception as error:
            sentence = f"the server failed on this request ({kind_of(error)}); send it again"
            return self._refusal(record, Broken(sentence), error)
        self._metrics.answered(record.method)
        return response

    def _refusal(self, record: _RequestRecord, fault: RequestError, bug: Exception | None = None) -> Response:
        """Response to a request that failed, after logging it under its id."""
        self._metrics.failed(fault, record.dialect, record.priority)
        response = _refused(record.path, record.body, fault, record.request_id)
        seconds = time.monotonic() - record.began
        # What the client sent is repeated to the client alone.
        why = str(fault) if fault.parameter is None else f"{fault.parameter} is refused"
        fields = {
            "request_id": record.request_id,
            "status": response.status_code,
            "error_type": fault.kind,
            "method": record.method,
            "dialect": record.dialect,
            "seconds": round(seconds, 4),
        }
        logger.log(
            logging.ERROR if isinstance(fault, Broken) else logging.WARNING,
            "%d /%s: request %s failed after %.2f s: %s",
            response.status_code,
            record.method,
            record.request_id,
            seconds,
            why,
            exc_info=bug,
            extra={"fields": fields},
        )
        return response

    async def health(self) -> Response:
        """Status 200 with an empty body when a forward succeeded lately, otherwise 503."""
        try:
            await self._service.check()
        except NotReady as fault:
            return _json(503, {"error": f"unhealthy: {fault}", "error_type": "Unhealthy"}, {"retry-after": "1"})
        return Response(status_code=200)

    async def live(self) -> Response:
        """Status 200 as long as the process answers."""
        return Response(status_code=200)

    async def info(self, request: Request) -> Response:
        """The model as text-embeddings-inference describes it under /info, and our limits."""
        return await self._answer_about(request, lambda num_replicas: self._about.info(num_replicas))

    async def models(self, request: Request) -> Response:
        """The model as OpenAI's list has it."""
        return await self._answer_about(request, lambda _: self._about.models())

    async def show_metrics(self) -> Response:
        """Series of all replicas, added up."""
        context, messages = self._context, [metrics_text(self._context)]
        if context.metrics_of_all is not None:
            try:
                messages = await context.metrics_of_all() + messages
            except Exception:
                logger.warning("the other replicas did not tell their metrics", exc_info=True)
        text = context.all_replicas.exposed(messages)
        if context.share is not None:
            self._sharing = asyncio.create_task(context.share(context.all_replicas.memory()))
        return Response(text, media_type=CONTENT_TYPE)

    async def _answer_about(self, request: Request, body_of: Callable[[int], Any]) -> Response:
        path, request_id = _path(request), _request_id(request)
        REQUEST_ID.set(request_id)
        try:
            self._key(request)
            return _json(200, body_of(await self._context.num_replicas()))
        except RequestError as fault:
            response = _refused(path, None, fault, "")
            fields = {"request_id": request_id, "status": response.status_code, "error_type": fault.kind}
            logger.warning("%d %s: %s", response.status_code, path, fault, extra={"fields": fields})
            return response
        except Exception as error:
            logger.exception("500 %s", path)
            return _refused(path, None, Broken(f"the server failed ({kind_of(error)}); send it again"), "")

    def _key(self, request: Request) -> int:
        keys = [self._context.keys.which(request.headers.get(name)) for name in KEY_HEADERS]
        for key in keys:
            if key is not None:
                return key
        raise Unauthorized("the Authorization header holds no key of this server; send Authorization: Bearer KEY")

    def _check_model(self, parsed: ParsedRequest) -> None:
        if parsed.model not in UNNAMED and parsed.model not in self._context.model_names:
            raise UnknownModel(
                f"the model {quoted(parsed.model)} is not here; "
                f"leave model out, or name {self._context.model_names[0]}",
                "model",
            )

    async def _read(self, request: Request) -> bytes:
        limit = self._context.max_body_bytes
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


def _path(request: Request) -> str:
    """The path below the prefix that the application was deployed under; any SageMaker endpoint is /invocations."""
    prefix = str(request.scope.get("root_path", ""))
    path = request.url.path.removeprefix(prefix) or "/"
    return "/invocations" if path.startswith("/endpoints/") else path


def _request_id(request: Request) -> str:
    # Ray Serve gives every request an id, or takes the client's, and sends it back as a header.
    return request.headers.get("x-request-id", "")[:128] or f"rr-{uuid.uuid4().hex}"


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
        return json.loads(body, object_pairs_hook=without_repeated_keys)
    except (ValueError, RecursionError) as error:
        raise Unparsable(f"the body is not JSON: {json_fault(error)}") from error


def _refused(path: str, body: Any, fault: RequestError, request_id: str) -> Response:
    return _json(*dialects.fault_body(path, body, fault, request_id), fault_headers(fault))


def _json(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(content, ensure_ascii=False), status, headers, media_type="application/json")
