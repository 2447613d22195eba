"""What the routes accept, for OpenAPI: the handlers read bodies themselves, so FastAPI cannot find it out."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from crossrank.serving.dialects import REQUEST_MODELS

REFERENCE = "#/components/schemas/{model}"


def describe_bodies(app: FastAPI) -> None:
    """Let the schema of `app` tell the bodies of each path, and the shapes in them."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_bodies(get_openapi(title=app.title, version=app.version, routes=app.routes))
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _with_bodies(schema: dict[str, Any]) -> dict[str, Any]:
    models = list(dict.fromkeys(model for models in REQUEST_MODELS.values() for model in models))
    references, definitions = models_json_schema([(model, "validation") for model in models], ref_template=REFERENCE)
    schema.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
    for path, kinds in REQUEST_MODELS.items():
        shapes = [references[(kind, "validation")] for kind in kinds]
        content = {"application/json": {"schema": {"anyOf": shapes}}}
        schema["paths"][path]["post"]["requestBody"] = {"required": True, "content": content}
    return schema
