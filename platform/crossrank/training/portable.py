"""Portable model folders: transformers 5 writes them, and transformers 4 reads them with the same result.

FlagEmbedding, infinity and older sentence-transformers pin transformers 4. Version 5 renamed what 4 looks for: the base
of the rotary positions (4 takes its default in silence), the number format, and the class and the additional special
tokens of the tokenizer (4 stops). A portable folder has the names of 4 beside those of 5, with the same values; 5 reads
either.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

CONFIG, TOKENIZER_CONFIG, TOKENIZER = "config.json", "tokenizer_config.json", "tokenizer.json"
FULL, SLIDING = "full_attention", "sliding_attention"
BASE_OF_LAYERS = {
    "modernbert": {FULL: "global_rope_theta", SLIDING: "local_rope_theta"},
    "modernbert-decoder": {FULL: "global_rope_theta", SLIDING: "local_rope_theta"},
    "gemma3_text": {FULL: "rope_theta", SLIDING: "rope_local_base_freq"},
}
"""Names that transformers 4 has for the rotary base of each kind of layer, by `model_type`. It has none for other
families with several kinds, and nothing is written for them: 5 may read an old name there in another way."""
RENAMED = {"gpt_neox": {"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"}}
"""Names of transformers 4 that differ from those within ``rope_parameters``, by `model_type`."""
PLAIN_TOKENIZER = "PreTrainedTokenizerFast"
"""Tokenizer class that takes a tokenizer.json as it stands, in 4 and in 5."""
MADE_ANEW = {
    "TokenizersBackend",
    "LlamaTokenizer",
    "CodeLlamaTokenizer",
    "GemmaTokenizer",
    "CohereTokenizer",
    "GPTNeoXTokenizer",
}
"""Tokenizer classes that `PLAIN_TOKENIZER` stands in for: 4 lacks the first, and the others build in 4 what surrounds a
text from arguments that 5 no longer writes. All others keep their names: FlagEmbedding joins pairs by the class."""
OF_LOADING = {"backend", "is_local", "local_files_only"}
"""Keys of 5 that say how a tokenizer was loaded."""


class LoadedTokenizer(Protocol):
    """Attributes of a tokenizer that transformers 5 does not write, and that 4 takes from the default of its class."""

    padding_side: str
    truncation_side: str
    model_input_names: list[str]


def make_portable(folder: Path, tokenizer: LoadedTokenizer) -> None:
    """Rewrite the configurations that transformers 5 saved in `folder` so that 4 computes the same scores."""
    _rewrite(folder / CONFIG, portable_config(_read(folder / CONFIG)))
    if (folder / TOKENIZER).exists():
        config = _read(folder / TOKENIZER_CONFIG)
        _rewrite(folder / TOKENIZER_CONFIG, portable_tokenizer_config(config, tokenizer))


def portable_config(config: dict[str, Any]) -> dict[str, Any]:
    """The content of a config.json with the names of transformers 4 beside those of 5."""
    dtype = config.get("dtype")
    named = {} if dtype is None else {"torch_dtype": dtype}
    return config | named | _rotary(config) | _global_layers(config)


def _rotary(config: dict[str, Any]) -> dict[str, Any]:
    """Keys of transformers 4 for ``rope_parameters``, which is one mapping, or one for each kind of layer."""
    parameters = config.get("rope_parameters") or {}
    kind = config.get("model_type", "")
    of_layers = {name: each for name, each in parameters.items() if isinstance(each, dict)}
    if not of_layers:
        return _of_one_kind(parameters, RENAMED.get(kind, {}))
    bases = BASE_OF_LAYERS.get(kind)
    if bases is None:
        return {}
    keys = {name: of_layers[layer]["rope_theta"] for layer, name in bases.items() if layer in of_layers}
    # 4 scales the positions of full attention alone, where a family has both kinds.
    scaling = _of_one_kind(of_layers.get(FULL, {}), {}).get("rope_scaling")
    return keys if scaling is None else keys | {"rope_scaling": scaling}


def _of_one_kind(parameters: dict[str, Any], renamed: dict[str, str]) -> dict[str, Any]:
    scaling = dict(parameters)
    keys = {
        renamed.get(name, name): scaling.pop(name)
        for name in ("rope_theta", "partial_rotary_factor")
        if name in scaling
    }
    return keys if scaling.get("rope_type", "default") == "default" else keys | {"rope_scaling": scaling}


def _global_layers(config: dict[str, Any]) -> dict[str, Any]:
    """Key of transformers 4 for how often a layer of ModernBERT attends to everything; 5 lists the layers instead."""
    layers = config.get("layer_types")
    if config.get("model_type") != "modernbert" or not layers:
        return {}
    for every in range(1, len(layers) + 1):
        if layers == [SLIDING if place % every else FULL for place in range(len(layers))]:
            return {"global_attn_every_n_layers": every}
    return {}


def portable_tokenizer_config(config: dict[str, Any], tokenizer: LoadedTokenizer) -> dict[str, Any]:
    """The content of a tokenizer_config.json beside a tokenizer.json; unchanged where 5 did not write it.

    Args:
        tokenizer: tokenizer that transformers 5 loads from it.
    """
    if "backend" not in config and config.get("tokenizer_class") != "TokenizersBackend":
        return config
    kept = {name: value for name, value in config.items() if name not in OF_LOADING}
    if isinstance(kept.get("extra_special_tokens"), list):
        kept["additional_special_tokens"] = kept.pop("extra_special_tokens")
    made_anew = kept["tokenizer_class"] in MADE_ANEW
    if made_anew or kept.get("add_prefix_space", False) is None:
        kept.pop("add_prefix_space", None)
    return kept | {
        "tokenizer_class": PLAIN_TOKENIZER if made_anew else kept["tokenizer_class"],
        "padding_side": tokenizer.padding_side,
        "truncation_side": tokenizer.truncation_side,
        "model_input_names": list(tokenizer.model_input_names),
    }


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _rewrite(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
