"""Loading of a model from a hub id, a folder or ``s3://``, or one sentence that says why it cannot be used."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossrank import storage
from crossrank.errors import InputError, ModelRefused, SettingsError, StorageError, in_short, quoted
from crossrank.storage.content_hash import fingerprint_of
from crossrank.storage.node_cache import build_once

HUB_ID = re.compile(r"[\w][\w.-]*/[\w.-]+")
MODEL_FILES = ["*.json", "*.safetensors", "*.model", "*.spm", "*.txt"]
"""Patterns of the files that are fetched: configuration, weights and tokenizer. Never code, never pickles."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on this machine's disk."""

    name: str
    """Hub id, folder or ``s3://``, as the user wrote it."""
    path: Path
    revision: str
    """Commit of the hub, or a hash of the folder's content."""

    @property
    def is_local(self) -> bool:
        """Whether the model was named by a path of this machine."""
        return os.path.isdir(self.name)


def model_name(model: str | os.PathLike[str]) -> str:
    """A model's name as a string, from a string or a `pathlib.Path`; anything else is refused."""
    name = model if isinstance(model, str) else _path_of(model)
    if re.match("s3:/[^/]", name):
        raise ModelRefused(f"{name} lost a slash, as pathlib does to s3:// addresses; pass it as a string")
    return name


def _path_of(model: Any) -> str:
    try:
        return os.fsdecode(model)
    except TypeError:
        raise ModelRefused(f"model is {quoted(model)}; name a hub id, a folder or s3://bucket/folder") from None


def is_hub_id(name: str) -> bool:
    """Whether a model of this name comes from a hub: no address of a bucket, and nothing that is on this machine."""
    return not storage.is_s3(name) and not os.path.exists(name) and HUB_ID.fullmatch(name) is not None


def find_model(name: str, revision: str | None = None) -> ModelFolder:
    """Bring a model to this machine, if it is not here yet, and say which revision it is.

    Refuses a path that does not exist, a hub that cannot be reached, and a revision that is not there. What is in the
    folder is checked by `check_model`.

    Args:
        revision: branch, tag or commit of a hub id, or the hash of a folder's content; None takes what is there.
    """
    if storage.is_s3(name):
        return _of_revision(_from_s3(name), revision)
    if os.path.isdir(name):
        return _of_revision(ModelFolder(name, Path(name).resolve(), _folder_revision(name)), revision)
    if os.path.exists(name):
        raise ModelRefused(f"{name} is a file, and a model is a folder with config.json; name the folder")
    if is_hub_id(name):
        return _from_hub(name, revision)
    raise ModelRefused(f"{name} is neither a folder, nor s3://, nor a hub id of the form owner/name; check the path")


def _of_revision(folder: ModelFolder, revision: str | None) -> ModelFolder:
    if revision not in (None, folder.revision):
        raise ModelRefused(
            f"{folder.name} is revision {folder.revision}, and {revision} was asked for; a folder has one revision, "
            f"the hash of its content: put the right model there, or leave revision out"
        )
    return folder


def _folder_revision(uri: str) -> str:
    """Hash of what decides scores: configuration, weights and tokenizer; a README may change."""
    return fingerprint_of(uri, _model_files(uri))


def _model_files(uri: str) -> list[str]:
    endings = tuple(pattern.removeprefix("*") for pattern in MODEL_FILES)
    # What a job keeps beside a model it made begins with an underscore.
    names = [file.uri for file in storage.list_files(uri) if not file.uri.rsplit("/", 1)[-1].startswith("_")]
    return [name for name in names if name.endswith(endings)]


def _from_s3(uri: str) -> ModelFolder:
    files = _model_files(uri)
    if not files:
        raise ModelRefused(f"{uri} holds no model files; name the folder that holds config.json")
    revision = _folder_revision(uri)
    target = storage.cache_folder() / "models" / revision
    build_once(target, lambda new: _fetch(files, new))
    return ModelFolder(uri, target, revision)


def _fetch(files: list[str], folder: Path) -> None:
    for file in files:
        with (
            storage.open_input(file, decompress=False) as source,
            open(folder / file.rsplit("/", 1)[1], "wb") as copy,
        ):
            shutil.copyfileobj(source, copy, 1 << 22)


def _from_hub(name: str, revision: str | None = None) -> ModelFolder:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        path = Path(snapshot_download(name, revision=revision, allow_patterns=MODEL_FILES))
    except GatedRepoError as error:
        raise ModelRefused(
            f"{name} asks for its terms to be accepted on the hub; accept them, then set HF_TOKEN"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelRefused(f"{name} has no revision {revision} on the hub; name a branch, tag or commit") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelRefused(f"{name} is neither a folder here nor a model on the hub; check the spelling") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise StorageError(
            f"{name} is no folder here and the model hub cannot be reached; pass a local folder or s3://"
        ) from error
    return ModelFolder(name, path, path.name)


def check_model(folder: ModelFolder) -> dict[str, Any]:
    """The model's configuration, after refusing what crossrank does not score with."""
    config = checked_config(folder)
    if not has_head(config):
        _refuse_headless(folder, config)
    _refuse_labels(folder)
    return config


def check_base(folder: ModelFolder) -> dict[str, Any]:
    """The configuration of a model to train, which may still have no head; a head with other labels is refused."""
    config = checked_config(folder)
    if has_head(config):
        _refuse_labels(folder)
    return config


def has_head(config: dict[str, Any]) -> bool:
    """Whether the model is one for classification already."""
    return any(name.endswith("ForSequenceClassification") for name in config.get("architectures") or [])


def checked_config(folder: ModelFolder) -> dict[str, Any]:
    """The configuration of a model of any kind, after refusing code, pickles and what is no model folder."""
    config = _read_config(folder)
    _refuse_remote_code(folder, config)
    if not any(folder.path.glob("*.safetensors")):
        pickles = sorted(file.name for file in folder.path.glob("*.bin"))
        held = f"only {pickles[0]}, a pickle that may run code when it is loaded" if pickles else "no weights"
        raise ModelRefused(
            f"{folder.name} holds {held}; crossrank reads model.safetensors: load it once with transformers in a "
            f"place you trust and call save_pretrained()"
        )
    return config


def _read_config(folder: ModelFolder) -> dict[str, Any]:
    path = folder.path / "config.json"
    if not path.exists():
        raise ModelRefused(f"{folder.name} has no config.json, so it is no model folder; name the folder that has one")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{folder.name}/config.json is not JSON ({error}); fetch the model again") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ModelRefused(f"{folder.name}/config.json has no model_type, so transformers cannot tell the model")
    return config


def _refuse_remote_code(folder: ModelFolder, config: dict[str, Any]) -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if config["model_type"] in CONFIG_MAPPING:
        return
    if "auto_map" in config:
        raise ModelRefused(
            f"{folder.name} needs code of its own from the hub (model_type {config['model_type']!r} with auto_map), "
            f"and crossrank runs no downloaded code; use a model that transformers knows, such as "
            f"BAAI/bge-reranker-v2-m3 or Alibaba-NLP/gte-reranker-modernbert-base"
        )
    raise ModelRefused(
        f"{folder.name} has model_type {config['model_type']!r}, which transformers does not know; "
        f"check config.json or use another model"
    )


def _refuse_headless(folder: ModelFolder, config: dict[str, Any]) -> None:
    architectures = config.get("architectures") or ["none named"]
    generates = any(name.endswith(("ForCausalLM", "ForConditionalGeneration")) for name in architectures)
    way_out = (
        "use its sequence-classification conversion (one logit, ...ForSequenceClassification)"
        if generates
        else "crossrank train gives it one"
    )
    raise ModelRefused(
        f"{folder.name} has no classification head (architecture {architectures[0]}), so it cannot score; {way_out}"
    )


def _refuse_labels(folder: ModelFolder) -> None:
    labels = _num_labels(folder)
    if labels != 1:
        raise ModelRefused(
            f"{folder.name} has {labels} labels, and a reranker has 1 logit; use a model trained as a reranker"
        )


def _num_labels(folder: ModelFolder) -> int:
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        return int(AutoConfig.from_pretrained(folder.path, trust_remote_code=False).num_labels)
    except (OSError, ValueError, TypeError, KeyError, StrictDataclassError) as error:
        raise ModelRefused(
            f"{folder.name}/config.json cannot be used ({_one_line(error)}); fetch the model again"
        ) from error


def load_tokenizer(folder: ModelFolder) -> Any:
    """The model's own tokenizer; refused where its files are missing, and every text would be unknown tokens."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder.path, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises Exception itself
        raise ModelRefused(
            f"{folder.name} has no tokenizer that can be read ({_one_line(error)}); fetch the model again"
        ) from error
    # Without its files transformers makes a tokenizer that knows the special tokens alone.
    if tokenizer.get_vocab().keys() <= {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}:
        raise ModelRefused(f"{folder.name} has no tokenizer files; put its tokenizer.json beside config.json")
    return tokenizer


def load_weights(folder: ModelFolder, config: dict[str, Any], dtype: Any, device: Any) -> Any:
    """The model on `device`, its backbone in `dtype`, ready to score.

    A weight that the files lack is refused, never made up.
    """
    import torch

    from crossrank.scoring.float32_head import lower_backbone

    model, missing = _read_weights(folder)
    refuse_lacking(folder, config, model, missing)
    if dtype != torch.float32:
        lower_backbone(model, dtype)
    return model.to(device).eval()


def load_base(folder: ModelFolder, config: dict[str, Any], seed: int, **changed: str) -> tuple[Any, list[str]]:
    """The model in float32 on the CPU, ready to train, and the names of its weights that were made afresh.

    Only the weights of a head, its pooler among them, may be made: those drawn are the same for the same seed.

    Args:
        changed: settings that its configuration gets, as of a fresh head.
    """
    import torch

    torch.manual_seed(seed)
    model, missing = _read_weights(folder, **changed)
    refuse_lacking(folder, config, model, missing, trains=True)
    return model.train(), missing


def without_weights(folder: ModelFolder) -> tuple[Any, list[str]]:
    """The model as its files describe it, without a number of its weights, and the names of those that they lack."""
    return _read_weights(folder, device_map="meta")


def refuse_lacking(
    folder: ModelFolder, config: dict[str, Any], model: Any, missing: list[str], *, trains: bool = False
) -> None:
    """Refuse a model whose files lack weights.

    Args:
        trains: whether the model is a base to be trained, whose head and pooler may be made afresh if it has no head.
    """
    prefix = f"{model.base_model_prefix}."
    lacking = [name for name in missing if name.startswith(prefix) and not name.startswith(f"{prefix}pooler.")]
    if lacking or (missing and (not trains or has_head(config))):
        _refuse_missing(folder, config, model, lacking if trains and lacking else missing)


def _read_weights(folder: ModelFolder, **where: Any) -> tuple[Any, list[str]]:
    """A model with one logit in float32, and the names of the weights that the files lack or have in another shape."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        model, loaded = AutoModelForSequenceClassification.from_pretrained(
            folder.path,
            num_labels=1,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused by name
            **where,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelRefused(
            f"the weights of {folder.name} cannot be read ({_one_line(error)}); fetch it again"
        ) from error
    return model, sorted({*loaded["missing_keys"], *(name for name, *_ in loaded["mismatched_keys"])})


def _refuse_missing(folder: ModelFolder, config: dict[str, Any], model: Any, missing: list[str]) -> None:
    custom = ", because it needs code of its own from the hub" if "auto_map" in config else ""
    raise ModelRefused(
        f"{folder.name} lacks {len(missing)} weights of the {type(model).__name__} that its config.json describes "
        f"(first {missing[0]}){custom}; "
        f"its scores would be random, so use a complete reranker"
    )


def check_vocabulary(folder: ModelFolder, tokenizer: Any, model: Any) -> None:
    """Refuse a tokenizer that gives ids which the model has no embedding for."""
    embeddings = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > embeddings:
        raise ModelRefused(
            f"the tokenizer of {folder.name} has {len(tokenizer)} tokens and its model {embeddings}, so they do not "
            f"belong together; fetch both from the same place"
        )


def check_window(folder: ModelFolder, model: Any, max_length: int) -> None:
    """Refuse a window that is over the positions which the model has."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is None:
        return
    embeddings = getattr(model.base_model, "embeddings", None)
    padding_index = getattr(getattr(embeddings, "position_embeddings", None), "padding_idx", None)
    if padding_index is not None:
        positions -= padding_index + 1  # the RoBERTa family counts positions from the padding index on
    if max_length > positions:
        raise SettingsError(
            f"max_length is {max_length}, over the {positions} positions of {folder.name}; lower --max-length"
        )


def _one_line(error: Exception) -> str:
    return in_short(error)
