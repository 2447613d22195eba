"""Tiny rerankers of every family, each with random weights and its own kind of tokenizer, made on the spot.

They are as wrong as random weights are and as right as any model for what the tests ask: that crossrank computes
what transformers computes. Weights are drawn wide, so that the logits of different pairs lie units apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DebertaV2Tokenizer,
    GteConfig,
    GteForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaTokenizer,
)
from transformers.utils import logging as transformers_logging

TEXTS = [
    "How long does it take to charge the battery?",
    "Charging takes about 4.5 hours; the light turns green when the battery is full.",
    "The vacuum cleaner returns to its dock on its own and empties the dust box.",
    "Hold the power button for ten seconds to reset the device to its factory settings.",
    "Clean the filter once a week and replace the brush every six months.",
    "The warranty covers two years from the date on the receipt, batteries excepted.",
    "Press the map icon in the app to draw a no-go zone around the pet bowls.",
    "Why does the robot stop in the middle of the room and beep three times?",
    "배터리를 완전히 충전하는 데 얼마나 걸리나요?",
    "충전은 약 4시간 30분이 걸리며, 완료되면 표시등이 초록색으로 바뀝니다.",
    "청소기는 스스로 충전대로 돌아가 먼지통을 비웁니다.",
    "전원 버튼을 10초 동안 누르면 공장 초기화가 됩니다.",
    "필터는 일주일에 한 번 청소하고 브러시는 여섯 달마다 교체하세요.",
    "보증 기간은 영수증 날짜로부터 2년이며 배터리는 제외됩니다.",
    "로봇이 방 한가운데에서 멈추고 세 번 울리는 이유는 무엇인가요?",
    "앱에서 지도 아이콘을 눌러 금지 구역을 그리세요.",
    # The words of the Qwen3 prompt, so that its tokenizer does not spell the prompt out byte by byte.
    "system Judge whether the Document meets the requirements based on the Query and the Instruct provided.",
    'Note that the answer can only be "yes" or "no". user assistant <think> </think> <Instruct>: <Query>: <Document>:',
    "Given a web search query, retrieve relevant passages that answer the query",
]

WINDOW = 512
"""Tokens that each tiny model has positions for; Qwen3 has more, because its prompt takes many."""


def build(family: str, folder: Path) -> Path:
    """Save a tiny reranker of `family`, one of `FAMILIES`, into `folder`."""
    transformers_logging.disable_progress_bar()
    make_model, make_tokenizer = FAMILIES[family]
    tokenizer = make_tokenizer()
    torch.manual_seed(20260701)
    model = make_model(tokenizer)
    _widen(model)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _widen(model: Any) -> None:
    """Draw every matrix anew, wide enough that the layers matter and the logits spread over several units.

    Not wider: at 0.3 a plain forward in float32 is itself 2.4e-5 off the one in float64, at 0.2 it is 4e-6.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.5 if "embedding" in name else 0.2)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.1)
        linears = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
        [head] = [module for module in linears if module.out_features == 1]
        head.weight.normal_(0, 1.5)


def shape_of(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """What all tiny configurations share."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": WINDOW,
        "pad_token_id": tokenizer.pad_token_id,
        "num_labels": 1,
        **more,
    }


def bert_tokenizer() -> Any:
    """Words, their beginnings and single characters. Not trained, as in `_unigram_vocabulary`."""
    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words = sorted({word for text in TEXTS for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))})
    characters = {character for word in words for character in word}
    pieces = characters | {f"##{character}" for character in characters}
    pieces |= {f"{word[:length]}" for word in words for length in (2, 3, len(word))}
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return BertTokenizer(vocab={piece: place for place, piece in enumerate([*specials, *sorted(pieces)])})


def xlm_roberta_tokenizer() -> Any:
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    return XLMRobertaTokenizer(vocab=[*_unigram_vocabulary(specials, "<unk>"), ("<mask>", 0.0)])


def deberta_tokenizer() -> Any:
    specials = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    return DebertaV2Tokenizer(vocab=[*_unigram_vocabulary(specials, "[UNK]"), ("[MASK]", 0.0)])


def _unigram_vocabulary(specials: list[str], unknown: str) -> list[tuple[str, float]]:
    """The characters of `TEXTS`, the beginnings of their words and the words, likelier the longer.

    Not trained: the trainer of the library gives another vocabulary on every run, and with it other logits.
    """
    words = sorted({word for text in TEXTS for word in text.split()})
    pieces = {"\u2581", *(character for word in words for character in word)}
    pieces |= {f"\u2581{word[:length]}" for word in words for length in (1, 2, 3, len(word))}
    assert unknown in specials
    return [(special, 0.0) for special in specials] + [(piece, -8.0 / len(piece)) for piece in sorted(pieces)]


def modernbert_tokenizer() -> Any:
    specials = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    learned = _byte_level(specials)
    learned.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, learned.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=learned,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
    )


def qwen3_tokenizer() -> Any:
    learned = json.loads(_byte_level(["<|endoftext|>"]).to_str())["model"]
    tokenizer = Qwen2Tokenizer(vocab=learned["vocab"], merges=[tuple(pair) for pair in learned["merges"]])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    return tokenizer


def _byte_level(specials: list[str]) -> Tokenizer:
    learned = Tokenizer(models.BPE())
    learned.normalizer = normalizers.NFC()
    learned.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learned.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learned.train_from_iterator(TEXTS, trainer)
    return learned


def _bert(tokenizer: Any) -> Any:
    return BertForSequenceClassification(BertConfig(**shape_of(tokenizer, type_vocab_size=2)))


def _xlm_roberta(tokenizer: Any) -> Any:
    # Positions begin after the padding index, so a window of 512 takes 514 of them.
    shape = shape_of(tokenizer, type_vocab_size=1, max_position_embeddings=WINDOW + 2)
    return XLMRobertaForSequenceClassification(XLMRobertaConfig(**shape, bos_token_id=0, eos_token_id=2))


def _modernbert(tokenizer: Any) -> Any:
    ids = {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id}
    # One global and one sliding layer, with a window narrow enough that documents of the tests reach over it.
    attention = {"global_attn_every_n_layers": 2, "local_attention": 16}
    config = ModernBertConfig(
        **shape_of(tokenizer, **ids, **attention, bos_token_id=None, eos_token_id=None, classifier_pooling="mean")
    )
    return ModernBertForSequenceClassification(config)


def _deberta(tokenizer: Any) -> Any:
    # What DeBERTa-v3 has: relative positions alone, with shared keys and log buckets; no type embeddings.
    config = DebertaV2Config(
        **shape_of(tokenizer, type_vocab_size=0),
        relative_attention=True,
        position_buckets=16,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
    )
    return DebertaV2ForSequenceClassification(config)


def _gte(tokenizer: Any) -> Any:
    return GteForSequenceClassification(GteConfig(**shape_of(tokenizer)))


def _qwen3(tokenizer: Any) -> Any:
    shape = shape_of(tokenizer, num_key_value_heads=2, head_dim=8, max_position_embeddings=4 * WINDOW)
    return Qwen3ForSequenceClassification(Qwen3Config(**shape, bos_token_id=None, eos_token_id=tokenizer.eos_token_id))


FAMILIES: dict[str, tuple[Callable[[Any], Any], Callable[[], Any]]] = {
    "bert": (_bert, bert_tokenizer),
    "xlm-roberta": (_xlm_roberta, xlm_roberta_tokenizer),
    "modernbert": (_modernbert, modernbert_tokenizer),
    "deberta-v2": (_deberta, deberta_tokenizer),
    "gte": (_gte, xlm_roberta_tokenizer),
    "qwen3": (_qwen3, qwen3_tokenizer),
}
