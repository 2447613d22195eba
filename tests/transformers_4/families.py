"""Tiny models of the families that a reranker may come from, beside those of `tests.model.tiny_models`.

Each has a rotary base that is not the default of its family, since a reader that does not find it takes the default.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import transformers
from tokenizers import processors

from tests.model import tiny_models
from tests.model.tiny_models import _byte_level, bert_tokenizer, modernbert_tokenizer, qwen3_tokenizer, shape_of

BASE, SLIDING_BASE = 300_000.0, 300.0
ROTARY = {"rope_type": "default", "rope_theta": BASE}
OF_LAYERS = {
    "full_attention": ROTARY,
    "sliding_attention": {"rope_type": "default", "rope_theta": SLIDING_BASE},
}
YARN = {"rope_type": "yarn", "rope_theta": BASE, "factor": 4.0, "original_max_position_embeddings": 512}
LLAMA_3 = {
    "rope_type": "llama3",
    "rope_theta": BASE,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 256,
}


def cased_bert_tokenizer() -> Any:
    """Keeps capitals and accents apart, which the class does not do by itself."""
    return transformers.BertTokenizer(vocab=bert_tokenizer().get_vocab(), do_lower_case=False, strip_accents=False)


def roberta_tokenizer() -> Any:
    return transformers.RobertaTokenizer(**_vocabulary("<s>", "<pad>", "</s>", "<unk>", "<mask>"))


def llama_tokenizer() -> Any:
    """Ends every text with a token, which the class does not do by itself."""
    vocabulary = _vocabulary("<unk>", "<s>", "</s>", "<pad>")
    return transformers.LlamaTokenizer(**vocabulary, add_eos_token=True, pad_token="<pad>")


def plain_tokenizer() -> Any:
    """No class of a family, as many decoders have it: what surrounds a text stands in tokenizer.json alone."""
    learned = _byte_level(["<unk>", "<s>", "</s>"])
    learned.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B:1", special_tokens=[("<s>", learned.token_to_id("<s>"))]
    )
    inputs = ["input_ids", "attention_mask"]
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=learned, model_input_names=inputs, **special)


def _vocabulary(*specials: str) -> dict[str, Any]:
    learned = json.loads(_byte_level(list(specials)).to_str())["model"]
    return {"vocab": learned["vocab"], "merges": [tuple(pair) for pair in learned["merges"]]}


def _roberta(tokenizer: Any) -> Any:
    shape = shape_of(tokenizer, type_vocab_size=1, max_position_embeddings=tiny_models.WINDOW + 2)
    config = transformers.RobertaConfig(**shape, bos_token_id=0, eos_token_id=2)
    return transformers.RobertaForSequenceClassification(config)


def _modernbert(tokenizer: Any) -> Any:
    ids = {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id}
    layers = {"num_hidden_layers": 4, "global_attn_every_n_layers": 2, "local_attention": 16}
    shape = shape_of(tokenizer, **ids, **layers, bos_token_id=None, eos_token_id=None, rope_parameters=OF_LAYERS)
    return transformers.ModernBertForSequenceClassification(transformers.ModernBertConfig(**shape))


def _decoder(name: str, **more: Any) -> Callable[[Any], Any]:
    """Of the classes ``NAMEConfig`` and ``NAMEForSequenceClassification``."""

    def make(tokenizer: Any) -> Any:
        heads = {"num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 4 * tiny_models.WINDOW}
        ids = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}
        config = getattr(transformers, f"{name}Config")(**shape_of(tokenizer, **heads, **ids, **more))
        return getattr(transformers, f"{name}ForSequenceClassification")(config)

    return make


BOTH_KINDS = ["sliding_attention", "full_attention"]
PARTLY = ROTARY | {"partial_rotary_factor": 0.5}
FAMILIES: dict[str, tuple[Callable[[Any], Any], Callable[[], Any]]] = {
    **{name: tiny_models.FAMILIES[name] for name in ("bert", "xlm-roberta", "deberta-v2", "gte")},
    "bert-cased": (tiny_models.FAMILIES["bert"][0], cased_bert_tokenizer),
    "roberta": (_roberta, roberta_tokenizer),
    "modernbert": (_modernbert, modernbert_tokenizer),
    "qwen2": (_decoder("Qwen2", rope_parameters=ROTARY), qwen3_tokenizer),
    "qwen3": (_decoder("Qwen3", rope_parameters=ROTARY), qwen3_tokenizer),
    "qwen3-yarn": (_decoder("Qwen3", rope_parameters=YARN), qwen3_tokenizer),
    "llama": (_decoder("Llama", rope_parameters=LLAMA_3), llama_tokenizer),
    "mistral": (_decoder("Mistral", rope_parameters=ROTARY), plain_tokenizer),
    "gemma": (_decoder("Gemma", rope_parameters=ROTARY), plain_tokenizer),
    "gemma2": (_decoder("Gemma2", rope_parameters=ROTARY, sliding_window=16), plain_tokenizer),
    "gemma3": (
        _decoder("Gemma3Text", rope_parameters=OF_LAYERS, sliding_window=16, layer_types=BOTH_KINDS),
        plain_tokenizer,
    ),
    "phi3": (_decoder("Phi3", rope_parameters=PARTLY), plain_tokenizer),
    "gpt-neox": (_decoder("GPTNeoX", rope_parameters=PARTLY), plain_tokenizer),
}
