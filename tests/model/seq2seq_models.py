"""Tiny translation models of every family with random weights, each with its own kind of tokenizer.

They say nothing, and do so as a translation model does: the end of a text is drawn likely, so that outputs end after
some tokens, and others run into a limit or repeat themselves.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    M2M100Tokenizer,
    MarianConfig,
    MarianMTModel,
    MarianTokenizer,
    NllbTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.utils import logging as transformers_logging

from tests.model.tiny_models import TEXTS, _unigram_vocabulary

WINDOW = 64
"""Tokens that the models with positions read and write."""


def build(family: str, folder: Path) -> Path:
    """Save a tiny model of `family`, one of `FAMILIES`, into `folder`."""
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    folder.mkdir(parents=True, exist_ok=True)
    make_model, make_tokenizer = FAMILIES[family]
    tokenizer = make_tokenizer(folder)
    torch.manual_seed(20261125)
    model = make_model(tokenizer).eval()
    _widen(model, tokenizer.eos_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _widen(model: Any, end: int) -> None:
    """Draw every matrix anew, wide beside the embeddings, or every token would be followed by itself."""
    # T5 does not divide what attention compares by its width.
    embeddings, others = (0.15, 0.4) if model.config.model_type == "t5" else (0.3, 0.8)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "embed_positions" not in name:
                is_embedding = any(part in name for part in ("embed", "shared", "lm_head"))
                parameter.normal_(0, embeddings if is_embedding else others)
        model.get_output_embeddings().weight[end] *= 2.0


def _shape(tokenizer: Any, **more: Any) -> dict[str, Any]:
    return {
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": WINDOW,
        "scale_embedding": True,
        "tie_word_embeddings": False,  # tied ones that are random write the token that they read
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        **more,
    }


def _t5(tokenizer: Any) -> Any:
    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=32,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=tokenizer.pad_token_id,
        )
    )


def _m2m(tokenizer: Any) -> Any:
    size = max(len(tokenizer), *getattr(tokenizer, "lang_code_to_id", {"": 0}).values()) + 1
    return M2M100ForConditionalGeneration(
        M2M100Config(**_shape(tokenizer, vocab_size=size, decoder_start_token_id=tokenizer.eos_token_id))
    )


def _marian(tokenizer: Any) -> Any:
    shape = _shape(tokenizer, vocab_size=len(tokenizer.encoder), decoder_start_token_id=tokenizer.pad_token_id)
    return MarianMTModel(MarianConfig(**shape, forced_eos_token_id=tokenizer.eos_token_id))


def _madlad_tokenizer(_folder: Path) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    pieces = _unigram_vocabulary(["<pad>", "</s>", "<unk>"], "<unk>")
    learned = Tokenizer(models.Unigram(pieces, unk_id=2))
    learned.pre_tokenizer = pre_tokenizers.Metaspace()
    learned.decoder = decoders.Metaspace()
    learned.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=learned, eos_token="</s>", pad_token="<pad>", unk_token="<unk>", model_max_length=512
    )
    tokenizer.add_tokens([AddedToken(f"<2{code}>") for code in ("en", "ko", "de")], special_tokens=True)
    return tokenizer


def _nllb_tokenizer(_folder: Path) -> Any:
    codes = ["eng_Latn", "kor_Hang", "deu_Latn", "zho_Hans", "zho_Hant", "arb_Arab"]
    pieces = _unigram_vocabulary(["<s>", "<pad>", "</s>", "<unk>"], "<unk>")
    vocabulary = {piece: place for place, (piece, _) in enumerate(pieces)}
    return NllbTokenizer(vocab=vocabulary, merges=[], extra_special_tokens=codes)


def _pieces(folder: Path, name: str) -> list[str]:
    """Train a sentencepiece model into the folder, and say its pieces."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=model, vocab_size=300, minloglevel=2, hard_vocab_limit=False
    )
    (folder / name).write_bytes(model.getvalue())
    loaded = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [loaded.id_to_piece(place) for place in range(loaded.get_piece_size())]


def _m2m_tokenizer(folder: Path) -> Any:
    pieces = _pieces(folder, "spm.model")
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    words = [*specials, *(piece for piece in pieces if piece not in specials)]
    vocabulary = folder / "words.json"
    vocabulary.write_text(json.dumps({piece: place for place, piece in enumerate(words)}))
    tokenizer = M2M100Tokenizer(vocab_file=str(vocabulary), spm_file=str(folder / "spm.model"))
    vocabulary.rename(folder / "vocab.json")
    return tokenizer


def _marian_tokenizer(folder: Path, targets: tuple[str, ...], target_lang: str) -> Any:
    pieces = _pieces(folder, "source.spm")
    (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
    specials = ["</s>", "<unk>", *(f">>{target}<<" for target in targets)]
    words = [*specials, *(piece for piece in pieces if piece not in (*specials, "<s>")), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({piece: place for place, piece in enumerate(words)}))
    return MarianTokenizer(
        source_spm=str(folder / "source.spm"),
        target_spm=str(folder / "target.spm"),
        vocab=str(folder / "vocab.json"),
        source_lang="en",
        target_lang=target_lang,
    )


FAMILIES: dict[str, tuple[Callable[[Any], Any], Callable[[Path], Any]]] = {
    "madlad": (_t5, _madlad_tokenizer),
    "nllb": (_m2m, _nllb_tokenizer),
    "m2m100": (_m2m, _m2m_tokenizer),
    "marian": (_marian, lambda folder: _marian_tokenizer(folder, (), "ko")),
    "marian-many": (_marian, lambda folder: _marian_tokenizer(folder, ("kor", "deu", "por", "pt_BR"), "mul")),
}
