"""Systems that may stand behind a row of the table: a reranker, an encoder without a head, or a running server."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from crossrank.evaluation.bi_encoder_system import CosineSpec
from crossrank.evaluation.server_system import ServerSpec, is_url
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.retrieval.encoder import find_encoder
from crossrank.scoring.checked import checked_spec
from crossrank.scoring.loading import checked_config, find_model, has_head
from crossrank.scoring.spec import ScorerSpec
from crossrank.telemetry.progress import say

Scale = Literal["logit", "probability", "cosine"]
"""Kind of the scores of a row."""


def spec_of(name: str, model: str, settings: EvaluateSettings) -> ScorerSpec:
    """The scorer of a row, found and checked.

    A model without a classification head is taken for an encoder: its score is the cosine between the vectors of query
    and document, read as its files say (pooling, prompts, length).

    Raises:
        ModelRefused: there is no such model, or it neither scores nor makes vectors.
        InputError: the server gives no score.
    """
    if is_url(model):
        return ServerSpec.of(name, model, settings.timeout_s).check()
    folder = find_model(model)
    config = checked_config(folder)
    generates = any(
        each.endswith(("ForCausalLM", "ForConditionalGeneration")) for each in config.get("architectures") or []
    )
    if has_head(config) or generates:
        return checked_spec(model, settings)
    encoder = find_encoder(model)
    say(f"{name}={model} has no classification head: scored by the cosine of its vectors")
    return CosineSpec(replace(encoder, max_length=min(encoder.max_length, settings.max_length), normalise=True))


def scale_of(spec: ScorerSpec) -> Scale:
    """The kind of the scores of a row."""
    if isinstance(spec, CosineSpec):
        return "cosine"
    return "probability" if isinstance(spec, ServerSpec) and spec.gives_probabilities else "logit"
