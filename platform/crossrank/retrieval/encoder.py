"""Encoders, which turn texts into vectors whose inner product measures how well they match.

The files that sentence-transformers keeps beside a model (``modules.json``, the configuration of its pooling, prompts)
say how the vectors are made; a model without them is read by the mean of its last layer's tokens.

Shape letters: T texts, W dimensions of a vector.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from crossrank import storage
from crossrank.batching import cut
from crossrank.errors import JobFailed, ModelRefused, SettingsError, in_short
from crossrank.scoring.loading import ModelFolder, check_base, find_model, has_head, load_tokenizer
from crossrank.scoring.pooling import modules_of, pooling_of, read_beside

Pooling = Literal["mean", "cls"]

MODULES = ("Transformer", "Pooling", "Normalize")
"""Modules of sentence-transformers over a model that can be read: none with further weights."""
BATCH_TOKENS = {"cpu": 4096, "cuda": 65536}
"""Token slots of a padded batch, by device."""
DEFAULT_LENGTH = 512


class Encoder(Protocol):
    """Makes vectors. `TransformerEncoder` is one; tests bring stand-ins."""

    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of queries, shape (T, W)."""

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of passages, shape (T, W)."""


class EncoderSpec(Protocol):
    """Loads an encoder where it is needed. It pickles, and stand-ins for tests are specs of their own."""

    @property
    def revision(self) -> str:
        """Key that is equal for specs that give equal vectors, of queries and of passages."""

    @property
    def passages_key(self) -> str:
        """Key that is equal for specs that give equal vectors of passages, so that those may be kept under it."""

    @property
    def dimensions(self) -> int:
        """Length of a vector, W."""

    @property
    def process_bytes(self) -> int:
        """Estimate of the memory of a process that encodes on a CPU, in bytes."""

    def on(self, device: str | None) -> EncoderSpec:
        """The same spec on ``cpu`` or ``cuda``; None takes a GPU if there is one."""

    def load(self, threads: int | None) -> Encoder:
        """Load the encoder into this process.

        Args:
            threads: CPU threads it may use; None leaves that as it is.
        """


@dataclass(frozen=True, slots=True)
class TransformerSpec:
    """A model to be loaded, and how it is read. Make one with `find_encoder`."""

    model: str
    model_revision: str
    dimensions: int
    pooling: Pooling
    normalise: bool
    """Whether vectors are scaled to length 1, so that an inner product is a cosine."""
    max_length: int
    query_prompt: str = ""
    """Text before every query, such as ``query: `` for e5."""
    passage_prompt: str = ""
    process_bytes: int = 0
    device: str | None = None

    @property
    def revision(self) -> str:
        return _hash(self.passages_key, self.query_prompt)

    @property
    def passages_key(self) -> str:
        return _hash(self.model_revision, self.pooling, str(self.normalise), str(self.max_length), self.passage_prompt)

    def on(self, device: str | None) -> TransformerSpec:
        return replace(self, device=device)

    def load(self, threads: int | None) -> Encoder:
        import torch

        if threads is not None:
            torch.set_num_threads(threads)  # Ray sets OMP_NUM_THREADS=1 for an actor with a fraction of a CPU
        folder = find_model(self.model)
        if folder.revision != self.model_revision:
            raise JobFailed(
                f"{self.model} is revision {folder.revision} here, and the job began with {self.model_revision}; put "
                f"the first one back, or start afresh with --overwrite"
            )
        return TransformerEncoder(self, folder)


def find_encoder(
    model: str,
    *,
    pooling: Pooling | None = None,
    query_prompt: str | None = None,
    passage_prompt: str | None = None,
    max_length: int | None = None,
) -> TransformerSpec:
    """Fetch an encoder to this machine and find out how it is read.

    Args:
        model: hub id, folder, or ``s3://bucket/folder``.
        pooling: None for what the model's files say, ``mean`` where they say nothing.
        query_prompt: None for what the model's files say, nothing where they do not.
        max_length: tokens of a text, special tokens included; None for what the files say, at most 512 otherwise.

    Raises:
        ModelRefused: no model, a reranker, a model that generates, a pooling or a layer that is not known.
        SettingsError: more tokens than the model has positions.
    """
    folder = find_model(model)
    config = check_base(folder)
    if has_head(config):
        raise ModelRefused(
            f"{model} is no encoder but a reranker ({config['architectures'][0]}), which gives scores and no vectors; "
            f"name an encoder such as BAAI/bge-m3, and give this one as --teacher"
        )
    architectures = config.get("architectures") or [""]
    if config.get("is_encoder_decoder") or architectures[0].endswith(("ForCausalLM", "ForConditionalGeneration")):
        raise ModelRefused(
            f"{model} is no encoder but a model that generates ({architectures[0] or config['model_type']}); name an "
            f"encoder such as BAAI/bge-m3 or intfloat/multilingual-e5-base"
        )
    return read_as_encoder(folder, config, pooling, query_prompt, passage_prompt, max_length)


def read_as_encoder(
    folder: ModelFolder,
    config: dict[str, Any],
    pooling: Pooling | None = None,
    query_prompt: str | None = None,
    passage_prompt: str | None = None,
    max_length: int | None = None,
) -> TransformerSpec:
    """The spec of a model that is read without its head, whatever it was trained for; see `find_encoder`."""
    from crossrank.scoring.footprint import process_bytes

    if not isinstance(config.get("hidden_size"), int):
        raise ModelRefused(f"{folder.name}/config.json has no hidden_size, so it is no encoder that is known here")
    saved = _saved_config(folder)
    positions = _positions(config)
    length = max_length or min(saved.max_length or DEFAULT_LENGTH, positions)
    if length > positions:
        raise SettingsError(f"the encoder is to read {length} tokens, over the {positions} positions of {folder.name}")
    return TransformerSpec(
        storage.absolute(folder.name) if folder.is_local else folder.name,
        folder.revision,
        config["hidden_size"],
        pooling or saved.pooling,
        saved.normalise,
        length,
        saved.query_prompt if query_prompt is None else query_prompt,
        saved.passage_prompt if passage_prompt is None else passage_prompt,
        process_bytes(folder),
    )


@dataclass(frozen=True, slots=True)
class _SavedConfig:
    """The configuration in the files of sentence-transformers beside a model."""

    pooling: Pooling = "mean"
    normalise: bool = True
    max_length: int | None = None
    query_prompt: str = ""
    passage_prompt: str = ""


def _saved_config(folder: ModelFolder) -> _SavedConfig:
    if read_beside(folder, "modules.json") is None:
        return _SavedConfig()
    kinds = modules_of(folder)
    strange = [kind for kind in kinds if kind not in MODULES]
    if strange:
        raise ModelRefused(
            f"{folder.name} has the layer {strange[0]} in modules.json, and here only {', '.join(MODULES)} are known; "
            f"use another encoder"
        )
    more = read_beside(folder, "config_sentence_transformers.json") or {}
    prompts = more.get("prompts") or {}
    length = (read_beside(folder, "sentence_bert_config.json") or {}).get("max_seq_length")
    return _SavedConfig(
        _pooling(folder) if "Pooling" in kinds else "mean",
        "Normalize" in kinds or more.get("similarity_fn_name") != "dot",
        length,
        prompts.get("query") or "",
        prompts.get("passage") or prompts.get("document") or "",
    )


def _pooling(folder: ModelFolder) -> Pooling:
    mode = pooling_of(folder) or "mean"
    if mode == "mean":
        return "mean"
    if mode == "cls":
        return "cls"
    raise ModelRefused(
        f"{folder.name} is read by the pooling {mode}, and here mean and cls are known; use another encoder"
    )


def _positions(config: dict[str, Any]) -> int:
    positions = config.get("max_position_embeddings") or DEFAULT_LENGTH
    if config["model_type"] in ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet"):
        positions -= config.get("pad_token_id", 1) + 1  # these count positions from the padding index on
    return int(positions)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


class TransformerEncoder:
    """A model that makes vectors, on one device."""

    def __init__(self, spec: TransformerSpec, folder: ModelFolder) -> None:
        import torch

        self._spec = spec
        self._device = torch.device(spec.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._tokenizer = load_tokenizer(folder)
        self._model = _load(folder).to(self._device).eval()

    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._encode(texts, self._spec.query_prompt)

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._encode(texts, self._spec.passage_prompt)

    def _encode(self, texts: Sequence[str], prompt: str) -> NDArray[np.float32]:
        """Vectors in the order of the texts, which are encoded by length: the widest batch first."""
        import torch

        vectors_TW = np.empty((len(texts), self._spec.dimensions), dtype=np.float32)
        if not texts:
            return vectors_TW
        encoded = self._tokenizer([prompt + text for text in texts], truncation=True, max_length=self._spec.max_length)
        lengths = [len(ids) for ids in encoded["input_ids"]]
        budget = max(BATCH_TOKENS[self._device.type], self._spec.max_length)
        with torch.inference_mode():
            for places in cut(lengths, budget, unit="text"):
                rows = {name: [values[place] for place in places] for name, values in encoded.items()}
                batch = self._tokenizer.pad(rows, return_tensors="pt").to(self._device)
                vectors_TW[places] = self._pooled(batch).cpu().numpy()
        if not np.isfinite(vectors_TW).all():
            raise JobFailed(f"{self._spec.model} gives vectors that are no finite numbers; use another encoder")
        return vectors_TW

    def _pooled(self, batch: Any) -> Any:
        import torch.nn.functional as F

        hidden = self._model(**batch).last_hidden_state.float()
        if self._spec.pooling == "cls":
            vectors = hidden[:, 0]
        else:
            mask = batch["attention_mask"].unsqueeze(-1)
            vectors = (hidden * mask).sum(1) / mask.sum(1)
        return F.normalize(vectors, dim=1) if self._spec.normalise else vectors


def _load(folder: ModelFolder) -> Any:
    """The model without a head, in float32. A weight that its files lack is refused, never made up."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModel
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        model, loaded = AutoModel.from_pretrained(
            folder.path, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        found = in_short(error)
        raise ModelRefused(f"the weights of {folder.name} cannot be read ({found}); fetch it again") from error
    missing = sorted(name for name in loaded["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise ModelRefused(
            f"{folder.name} lacks {len(missing)} weights of its encoder (first {missing[0]}), so its vectors would be "
            f"random; use a complete model"
        )
    return model
