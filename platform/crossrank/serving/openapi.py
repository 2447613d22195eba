"""Bodies that the routes accept and answer, for OpenAPI: the handlers read and write them, so FastAPI cannot find out.

Fuzzing the server from this description holds it true.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from crossrank.serving.dialects import ROUTES, TIMEOUT_HEADER, Dialect
from crossrank.serving.dialects.response_types import FaultObject, TeiFault
from crossrank.serving.exposition import CONTENT_TYPE
from crossrank.serving.headers import OF_TRUNCATION
from crossrank.serving.tokens import ShownTokens, TokenizeRequest

REFERENCE = "#/components/schemas/{model}"
REASONS = {
    400: "The body is not JSON, or there is nothing to score",
    401: "No key, or none that this server knows",
    404: "The body names a model that is not here",
    413: "The body has more bytes than this server reads",
    422: "A field is missing, has the wrong type, or a value beyond its limit",
    424: "The model failed; to clients of text-embeddings-inference",
    429: "Overloaded: come back after retry-after-ms",
    500: "The model failed",
    503: "The server starts, drains, or has lost its model",
    504: "The deadline of the request passed",
}
HEADERS = [
    {
        "name": TIMEOUT_HEADER,
        "in": "header",
        "description": "Seconds that the client waits, where the body has no timeout_ms",
        "schema": {"type": "number", "exclusiveMinimum": 0},
    },
    {
        "name": "x-request-id",
        "in": "header",
        "description": "Comes back as the id of the answer",
        "schema": {"type": "string"},
    },
]
Schema = dict[str, Any]


def describe(app: FastAPI) -> None:
    """Let the schema of `app` describe each path's bodies with the shapes in them, every status and every refusal."""

    def openapi() -> Schema:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            app.openapi_schema = _completed(schema)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(schema: Schema) -> Schema:
    shapes = _Shapes()
    paths = schema["paths"]
    for path, dialects in ROUTES.items():
        paths[path]["post"] |= {
            "parameters": HEADERS,
            "requestBody": _body(shapes.read([dialect.request for dialect in dialects])),
            "responses": _answers(shapes, [dialect.answer for dialect in dialects], _statuses(dialects)),
        }
        paths[path]["post"]["responses"]["200"]["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in OF_TRUNCATION.items()
        }
    paths["/tokenize"]["post"] |= {
        "requestBody": _body(shapes.read([TokenizeRequest])),
        "responses": _answers(shapes, [ShownTokens], [400, 401, 413, 422, 424, 429, 503, 504]),
    }
    for path in ("/info", "/models", "/v1/models"):
        paths[path]["get"]["responses"] = _answers(shapes, [dict[str, Any]], [401])
    for path, methods in (("/health", ["get"]), ("/health/ready", ["get"]), ("/ping", ["get", "post"])):
        for method in methods:
            paths[path][method]["responses"] = _answers(shapes, [], [503])
    paths["/health/live"]["get"]["responses"] = _answers(shapes, [], [])
    text = {"description": "All series", "content": {CONTENT_TYPE: {"schema": {"type": "string"}}}}
    paths["/metrics"]["get"]["responses"] = {"200": text}
    schema.setdefault("components", {}).setdefault("schemas", {}).update(shapes.definitions)
    return schema


def _statuses(dialects: tuple[Dialect, ...]) -> list[int]:
    """Every refusal of a path that is spoken in these dialects."""
    failed = {424 if dialect.speaks_tei else 500 for dialect in dialects}
    # A model that a body names is looked at in all dialects but those of text-embeddings-inference.
    return [
        code for code in REASONS if code not in {404, 424, 500} or code in failed or (code == 404 and 500 in failed)
    ]


class _Shapes:
    """Schemas of types, with what they refer to gathered in one place."""

    def __init__(self) -> None:
        self.definitions: Schema = {}

    def read(self, kinds: list[Any]) -> Schema:
        """Schema of any of these types, as a body is read."""
        return self._any_of(kinds, "validation")

    def written(self, kinds: list[Any]) -> Schema:
        """Schema of any of these types, as a body is written."""
        return self._any_of(kinds, "serialization")

    def _any_of(self, kinds: list[Any], mode: Any) -> Schema:
        adapters = [(number, mode, TypeAdapter(kind)) for number, kind in enumerate(kinds)]
        schemas, extra = TypeAdapter.json_schemas(adapters, ref_template=REFERENCE)
        self.definitions.update(extra.get("$defs", {}))
        distinct: list[Schema] = []
        for schema in schemas.values():
            if schema not in distinct:
                distinct.append(schema)
        return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _answers(shapes: _Shapes, kinds: list[Any], refusals: list[int]) -> Schema:
    """Responses of a path: the 200, whose body is empty where there are no kinds of it, and the refusals."""
    answered = {"description": "The answer", **(_content(shapes.written(kinds)) if kinds else {})}
    refused = _content(shapes.written([TeiFault, FaultObject]))
    return {"200": answered} | {str(code): {"description": REASONS[code], **refused} for code in refusals}


def _body(schema: Schema) -> Schema:
    return {"required": True, **_content(schema)}


def _content(schema: Schema) -> Schema:
    return {"content": {"application/json": {"schema": schema}}}
