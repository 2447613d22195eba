"""Translation models with random weights in the shape of real ones, made once into a folder."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch
from texts import english

MARIAN_WORDS = 58_101
"""Of opus-mt-en-de and its like, with 6 and 6 layers of width 512."""
T5_WORDS = 256_000
"""Of MADLAD-400, here over 4 and 4 layers of width 512: the vocabulary is what its small shape is mostly made of."""


def marian(folder: Path) -> Path:
    """The shape of opus-mt's base models, about 75 million weights."""
    import sentencepiece
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    target = folder / "marian"
    if (target / "config.json").exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    learned = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(english()[1]),
        model_writer=learned,
        vocab_size=8_000,
        minloglevel=2,
        hard_vocab_limit=False,
    )
    for name in ("source.spm", "target.spm"):
        (target / name).write_bytes(learned.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=learned.getvalue())
    words = ["</s>", "<unk>", *(pieces.id_to_piece(place) for place in range(3, pieces.get_piece_size()))]
    words += [f"word{number}" for number in range(MARIAN_WORDS - 1 - len(words))] + ["<pad>"]
    (target / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}))
    tokenizer = MarianTokenizer(*(str(target / name) for name in ("source.spm", "target.spm", "vocab.json")))
    config = MarianConfig(
        vocab_size=MARIAN_WORDS,
        d_model=512,
        encoder_layers=6,
        decoder_layers=6,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        encoder_ffn_dim=2048,
        decoder_ffn_dim=2048,
        max_position_embeddings=512,
        scale_embedding=True,
        activation_function="swish",
        pad_token_id=MARIAN_WORDS - 1,
        decoder_start_token_id=MARIAN_WORDS - 1,
        eos_token_id=0,
        forced_eos_token_id=None,
    )
    return _save(MarianMTModel, config, tokenizer, target)


def t5(folder: Path) -> Path:
    """A small T5 with the vocabulary of MADLAD-400, about 310 million weights."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    target = folder / "t5"
    if (target / "config.json").exists():
        return target
    learned = Tokenizer(models.Unigram())
    learned.pre_tokenizer = pre_tokenizers.Metaspace()
    specials = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=8_000, special_tokens=specials, unk_token="<unk>")
    learned.train_from_iterator(english()[1], trainer)
    state = json.loads(learned.to_str())
    vocabulary = state["model"]["vocab"]
    vocabulary += [[f"word{number}", -99.0] for number in range(T5_WORDS - 2 - len(vocabulary))]
    learned = Tokenizer.from_str(json.dumps(state))
    learned.decoder = decoders.Metaspace()
    learned.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=learned, eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    tokenizer.add_tokens([AddedToken("<2en>"), AddedToken("<2ko>")], special_tokens=True)
    config = T5Config(
        vocab_size=T5_WORDS,
        d_model=512,
        d_kv=64,
        d_ff=1024,
        num_layers=4,
        num_heads=8,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        pad_token_id=0,
        decoder_start_token_id=0,
        eos_token_id=1,
    )
    return _save(T5ForConditionalGeneration, config, tokenizer, target)


def _save(kind: Any, config: Any, tokenizer: Any, target: Path) -> Path:
    torch.manual_seed(0)
    model = kind(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Wide, so that the layers matter and what is written differs from text to text.
            if parameter.ndim == 2 and not any(part in name for part in ("embed", "shared", "lm_head")):
                parameter.normal_(0, 0.06)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


MAKERS = {"marian": marian, "t5": t5}
