"""Information of a server about itself: `/info` as text-embeddings-inference has it, `/v1/models` as OpenAI has it."""

from __future__ import annotations

from typing import Any

from crossrank.serving.dialects import Limits
from crossrank.serving.service import TOKENIZER_THREADS, ScoringService
from crossrank.serving.tokens import MAX_CHARACTERS
from crossrank.version import __version__


class About:
    """The model, the limits and the load of one replica."""

    def __init__(self, service: ScoringService, name: str, limits: Limits, max_body_bytes: int) -> None:
        """Information about a service.

        Args:
            name: name that the model is served under.
        """
        self._service = service
        self._name = name
        self._limits = limits
        self._max_body_bytes = max_body_bytes

    def info(self, num_replicas: int) -> dict[str, Any]:
        """The model and the limits."""
        model, limits = self._service.model, self._limits
        about = model.describe()
        return {
            "model_id": model.name,
            "model_sha": model.revision,
            "model_dtype": about.get("dtype"),
            "served_model_name": self._name,
            "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
            "max_concurrent_requests": None,
            "max_input_length": model.encoder.max_length,
            "max_batch_tokens": self._service.engine.queue.budget,
            "max_batch_requests": None,
            "max_client_batch_size": limits.max_client_batch_size or limits.max_documents,
            "auto_truncate": True,
            "tokenization_workers": TOKENIZER_THREADS,
            "version": __version__,
            "sha": None,
            "docker_label": None,
            "model": about,
            "limits": self._limits_of_server(),
            "score_type": "probability",
            "replicas": num_replicas,
        }

    def models(self) -> dict[str, Any]:
        """A list of the one model."""
        model = self._service.model
        entry = {
            "id": self._name,
            "object": "model",
            "created": 0,
            "owned_by": "crossrank",
            "root": model.name,
            "parent": None,
            "max_model_len": model.encoder.max_length,
            "capabilities": ["rerank", "score"],
            "limits": self._limits_of_server(),
            "revision": model.revision,
            "stats": self._stats(),
        }
        return {"object": "list", "data": [entry]}

    def _limits_of_server(self) -> dict[str, Any]:
        admission, deadlines = self._service.admission, self._service.deadlines
        return {
            "max_documents_per_request": self._limits.max_documents,
            "max_body_bytes": self._max_body_bytes,
            "max_query_tokens": self._service.query_limit,
            "max_tokenize_characters": MAX_CHARACTERS,
            "max_queued_tokens": admission.max_queued_tokens,
            "tokens_per_second": round(self._service.engine.tokens_per_second),
            "tokens_per_character": round(admission.tokens_per_character, 4),
            "default_timeout_s": deadlines.default_s,
            "max_timeout_s": deadlines.most_s,
        }

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
