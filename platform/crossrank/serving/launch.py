"""`crossrank serve`, without loading Ray before it is needed."""

from __future__ import annotations

from crossrank.serving.settings import ServeSettings


def serve(settings: ServeSettings) -> None:
    """Serve a reranker over HTTP, in the dialects of TEI, infinity, Cohere, Jina, vLLM and SageMaker.

    Runs until it is interrupted (Ctrl-C, SIGTERM), then finishes what it has begun.
    """
    from crossrank.serving.on_ray import start

    start.serve(settings)
