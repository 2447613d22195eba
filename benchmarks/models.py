"""Models that benchmarks score with, made once into a folder."""

from __future__ import annotations

from pathlib import Path

import torch
from texts import korean

from crossrank.demo.encoder import encoder_folder


def minilm(folder: Path) -> Path:
    """all-MiniLM-L6-v2 with a fixed random head of one logit."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    target = folder / "minilm"
    if not target.exists():
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(encoder_folder(), num_labels=1)
        torch.nn.init.normal_(model.classifier.weight, std=0.5)
        model.save_pretrained(target)
        AutoTokenizer.from_pretrained(encoder_folder()).save_pretrained(target)
    return target


def xlmr_base(folder: Path) -> Path:
    """The shape of XLM-RoBERTa base (12 layers, width 768, 250,002 tokens) with random weights.

    Its tokenizer is a Unigram one trained on the Korean texts: the real vocabulary is not at hand, and only the
    number of tokens matters here.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForSequenceClassification

    target = folder / "xlmr-base"
    if target.exists():
        return target
    _, sentences = korean()
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(vocab_size=16_000, special_tokens=special, unk_token="<unk>")
    tokenizer.train_from_iterator(sentences, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        sep_token="</s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=512,
    )
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=250_002, max_position_embeddings=514, type_vocab_size=1, num_labels=1, layer_norm_eps=1e-5
    )
    model = XLMRobertaForSequenceClassification(config)
    torch.nn.init.normal_(model.classifier.out_proj.weight, std=0.5)
    model.save_pretrained(target)
    fast.save_pretrained(target)
    return target
