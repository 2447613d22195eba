"""What transformers 4 is told: the names it reads, with the values that transformers 5 wrote under its own."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from crossrank.training.portable import make_portable, portable_config, portable_tokenizer_config

DEFAULT = {"rope_type": "default"}


@dataclass
class Loaded:
    """A tokenizer, by what it does not write."""

    padding_side: str = "left"
    truncation_side: str = "right"
    model_input_names: list[str] = field(default_factory=lambda: ["input_ids", "attention_mask"])


@pytest.mark.parametrize(
    ("model_type", "rope_parameters", "told"),
    [
        ("qwen3", DEFAULT | {"rope_theta": 5e5}, {"rope_theta": 5e5}),
        (
            "qwen3",
            {"rope_type": "yarn", "rope_theta": 5e5, "factor": 4.0},
            {"rope_theta": 5e5, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
        ),
        (
            "modernbert",
            {
                "full_attention": DEFAULT | {"rope_theta": 7e4},
                "sliding_attention": DEFAULT | {"rope_theta": 3e3},
            },
            {"global_rope_theta": 7e4, "local_rope_theta": 3e3},
        ),
        (
            "gemma3_text",
            {
                "full_attention": {"rope_type": "linear", "rope_theta": 7e4, "factor": 8.0},
                "sliding_attention": DEFAULT | {"rope_theta": 3e3},
            },
            {
                "rope_theta": 7e4,
                "rope_local_base_freq": 3e3,
                "rope_scaling": {"rope_type": "linear", "factor": 8.0},
            },
        ),
        (
            "phi3",
            DEFAULT | {"rope_theta": 5e5, "partial_rotary_factor": 0.5},
            {"rope_theta": 5e5, "partial_rotary_factor": 0.5},
        ),
        (
            "gpt_neox",
            DEFAULT | {"rope_theta": 5e5, "partial_rotary_factor": 0.25},
            {"rotary_emb_base": 5e5, "rotary_pct": 0.25},
        ),
    ],
)
def test_the_rotary_base_stands_under_the_name_that_transformers_4_reads(
    model_type: str, rope_parameters: dict[str, Any], told: dict[str, Any]
) -> None:
    config = {"model_type": model_type, "rope_parameters": rope_parameters}
    assert portable_config(config) == config | told


def test_a_model_without_rotary_positions_gets_none_and_the_number_format_has_both_names() -> None:
    config = {"model_type": "bert", "dtype": "float32", "num_hidden_layers": 2}
    assert portable_config(config) == config | {"torch_dtype": "float32"}
    written_by_4 = {"model_type": "qwen3", "rope_theta": 5e5, "torch_dtype": "bfloat16"}
    assert portable_config(written_by_4) == written_by_4


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ("fsfs", {"global_attn_every_n_layers": 2}),
        ("fssfss", {"global_attn_every_n_layers": 3}),
        ("fff", {"global_attn_every_n_layers": 1}),
        ("fsss", {"global_attn_every_n_layers": 4}),
        ("sfsf", {}),  # which transformers 4 has no number for
    ],
)
def test_how_often_a_layer_of_modernbert_sees_everything_is_counted_from_its_layers(
    layers: str, told: dict[str, int]
) -> None:
    names = {"f": "full_attention", "s": "sliding_attention"}
    config = {"model_type": "modernbert", "layer_types": [names[each] for each in layers]}
    assert portable_config(config) == config | told


def test_a_tokenizer_loses_what_5_wrote_of_its_loading_and_its_special_tokens_are_a_list_under_the_name_of_4() -> None:
    written = {
        "tokenizer_class": "Qwen2Tokenizer",
        "backend": "tokenizers",
        "is_local": True,
        "local_files_only": False,
        "add_prefix_space": None,
        "extra_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "eos_token": "<|endoftext|>",
        "chat_template": "{{ messages }}",
    }
    assert portable_tokenizer_config(written, Loaded()) == {
        "tokenizer_class": "Qwen2Tokenizer",
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "eos_token": "<|endoftext|>",
        "chat_template": "{{ messages }}",
        "padding_side": "left",
        "truncation_side": "right",
        "model_input_names": ["input_ids", "attention_mask"],
    }


@pytest.mark.parametrize("unknown", ["TokenizersBackend", "LlamaTokenizer", "GemmaTokenizer"])
def test_a_class_that_4_lacks_or_builds_anew_gives_way_to_the_one_that_takes_tokenizer_json_as_it_stands(
    unknown: str,
) -> None:
    written = {"tokenizer_class": unknown, "backend": "tokenizers", "add_prefix_space": False}
    found = portable_tokenizer_config(written, Loaded())
    assert found["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert "add_prefix_space" not in found


def test_named_special_tokens_stay_a_mapping_and_what_4_wrote_stays_as_it_is() -> None:
    named = {"tokenizer_class": "BertTokenizer", "backend": "tokenizers", "extra_special_tokens": {"image": "<img>"}}
    assert portable_tokenizer_config(named, Loaded())["extra_special_tokens"] == {"image": "<img>"}
    of_4 = {"tokenizer_class": "XLMRobertaTokenizer", "additional_special_tokens": ["<x>"], "clean_up": True}
    assert portable_tokenizer_config(of_4, Loaded()) == of_4


def test_a_folder_is_rewritten_and_a_tokenizer_without_tokenizer_json_is_left_alone(tmp_path: Path) -> None:
    written = {"tokenizer_class": "TokenizersBackend", "backend": "tokenizers", "unk_token": "한"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "dtype": "float32"}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(written))
    make_portable(tmp_path, Loaded())
    assert json.loads((tmp_path / "config.json").read_text())["torch_dtype"] == "float32"
    assert json.loads((tmp_path / "tokenizer_config.json").read_text()) == written
    (tmp_path / "tokenizer.json").write_text("{}")
    make_portable(tmp_path, Loaded())
    text = (tmp_path / "tokenizer_config.json").read_text(encoding="utf-8")
    assert json.loads(text)["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert "한" in text
