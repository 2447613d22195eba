"""Loads a translation model from a hub id, a folder or ``s3://``, or refuses it with a sentence that says why."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from crossrank.errors import ModelRefused, in_short
from crossrank.scoring.loading import ModelFolder, checked_config, load_tokenizer
from crossrank.translation.backends.seq2seq_families import FAMILIES, Direction, direction_of
from crossrank.translation.backends.seq2seq_writing import Script

LONGEST_SOURCE = 512
"""Tokens of the longest sentence that is translated whole: these models were not trained on longer ones, even where
they have more positions."""


@dataclass(frozen=True, slots=True)
class SourceTokenizer:
    """A model's tokenizer, set to the languages of the job."""

    config: dict[str, Any]
    tokenizer: Any
    direction: Direction

    @property
    def longest(self) -> int:
        """Tokens of the longest source, and of the longest output."""
        return min(LONGEST_SOURCE, self.config.get("max_position_embeddings") or LONGEST_SOURCE)


def read_model(folder: ModelFolder, source: str, target: str) -> SourceTokenizer:
    """Read all of a model but its weights, which need not fit the memory of the caller.

    Raises:
        UserError: a folder that is no translation model, code or pickles instead of data, a language that it lacks.
    """
    config = checked_config(folder)
    with warnings.catch_warnings():
        # Marian's tokenizer asks for a package whose function it never calls.
        warnings.filterwarnings("ignore", "Recommended: pip install sacremoses")
        tokenizer = load_tokenizer(folder)
    direction = direction_of(folder.name, config, tokenizer, source, target)
    if direction.source_code is not None:
        tokenizer.src_lang = direction.source_code
    return SourceTokenizer(config, tokenizer, direction)


def load_model(folder: ModelFolder, dtype: Any, device: Any) -> Any:
    """The model on `device`, ready to write. A weight that the files lack is refused, never made up."""
    from safetensors import SafetensorError
    from transformers import AutoModelForSeq2SeqLM, GenerationConfig
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        model, loaded = AutoModelForSeq2SeqLM.from_pretrained(
            folder.path,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused by name
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = in_short(error)
        raise ModelRefused(f"the weights of {folder.name} cannot be read ({reason}); fetch it again") from error
    missing = sorted({*loaded["missing_keys"], *(name for name, *_ in loaded["mismatched_keys"])})
    if missing:
        raise ModelRefused(
            f"{folder.name} lacks {len(missing)} weights of the {type(model).__name__} that its config.json describes "
            f"(first {missing[0]}); its translations would be random, so use a complete one of {FAMILIES}"
        )
    # Beams, lengths and forced ends are set by the job: the model's defaults would hide a translation cut off.
    model.generation_config = GenerationConfig()
    return model.to(device).eval()


def script_of(name: str, model: Any, reading: SourceTokenizer) -> Script:
    """The tokens that every output of the model begins and ends with.

    Raises:
        ModelRefused: a tokenizer that does not belong to the model.
    """
    config, tokenizer, direction = model.config, reading.tokenizer, reading.direction
    start, pad, end = config.decoder_start_token_id, config.pad_token_id, config.eos_token_id
    pad = tokenizer.pad_token_id if pad is None else pad
    end = tokenizer.eos_token_id if end is None else end
    start = pad if start is None else start
    ends = tuple(end) if isinstance(end, list) else (end,)
    begin = (start,) if direction.begins_with is None else (start, direction.begins_with)
    embeddings = model.get_input_embeddings().num_embeddings
    if any(token is None or token >= embeddings for token in (*begin, *ends, pad)):
        raise ModelRefused(
            f"the tokenizer of {name} has tokens that its model of {embeddings} does not know, so they do not belong "
            f"together; fetch both from the same place"
        )
    return Script(begin, ends, pad, never=(pad,) if pad not in ends else ())


def checked_ids(name: str, ids: list[list[int]], model: Any) -> list[list[int]]:
    """Token ids of sources, of which none is beyond the model's embeddings."""
    embeddings = model.get_input_embeddings().num_embeddings
    highest = max((max(each) for each in ids), default=0)
    if highest >= embeddings:
        raise ModelRefused(
            f"the tokenizer of {name} gives token {highest}, and its model has {embeddings}, so they do not belong "
            f"together; fetch both from the same place"
        )
    return ids
