"""Decoding of a sequence-to-sequence model: a batch token by token, from which rows leave as they end.

Plain `generate` goes on until the last row of a batch has ended, and computes the ended ones all the while. These
functions take them out, caches and all, so that a batch is as wide as the sentences that are still being written.

Shape letters: B rows of a batch, S source tokens, T written tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import Any

import torch
from torch import Tensor

LOOP_TOKENS = 24
"""Repeating tokens from which an output is a loop, if they are at least three rounds of what they repeat: models that
lost the thread write ", , , ," up to any limit."""
LOOP_PERIOD = 16
"""Tokens of the longest repeated part that is looked for."""
LOOP_EVERY = 8
"""Steps between two looks for a loop."""
LEAVING_SHARE = 0.125
"""Share of a batch from which its ended rows are taken out: that copies the caches of the others, about as much as a
step reads."""


class StopReason(StrEnum):
    """Why the model stopped writing."""

    END = "end"
    """The model wrote its end token."""
    LIMIT = "limit"
    LOOP = "loop"


@dataclass(frozen=True, slots=True)
class WrittenTokens:
    """The output of a model for one source."""

    tokens: list[int]
    """Ids of the output's tokens, without those that every output begins and ends with."""
    stop: StopReason


@dataclass(frozen=True, slots=True)
class Script:
    """The special tokens that are the same for every output of a model."""

    begin: tuple[int, ...]
    """The token that starts the decoder, and that of the language where the model has one."""
    ends: tuple[int, ...]
    pad: int
    never: tuple[int, ...] = ()
    """Tokens that are not to be written: padding has no meaning in a text."""


def padded(ids_B: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids of shape (B, S), padded at the end, and the mask that is 1 where they are real."""
    width = max(map(len, ids_B))
    ids_BS = torch.tensor([[*ids, *[pad] * (width - len(ids))] for ids in ids_B], device=device)
    lengths_B = torch.tensor([len(ids) for ids in ids_B], device=device)
    return ids_BS, (torch.arange(width, device=device)[None] < lengths_B[:, None]).long()


@torch.inference_mode()
def write_greedily(
    model: Any, script: Script, ids_B: Sequence[Sequence[int]], least_B: Sequence[int], most_B: Sequence[int]
) -> list[WrittenTokens]:
    """The likeliest token at every step, for each row until it ends, repeats itself or has `most` tokens.

    What a row gets depends on no other row, save for the rounding of sums: two tokens that are equally likely to
    the last digit can change places. A loop is looked for at the same steps in every batch.

    Args:
        ids_B: token ids of the sources.
        least_B: tokens before which a row may not end; 0 but in measurements.
        most_B: tokens at which a row is stopped.
    """
    from transformers.modeling_outputs import BaseModelOutput

    device = model.device
    ids_BS, mask_BS = padded(ids_B, script.pad, device)
    states_BSD = model.get_encoder()(input_ids=ids_BS, attention_mask=mask_BS).last_hidden_state
    cache = _cache(model)
    step_BT = torch.tensor([script.begin] * len(ids_B), device=device)
    rows = list(range(len(ids_B)))  # row of the batch now -> row of the batch at the start
    tokens_B: list[list[int]] = [[] for _ in rows]
    stops: dict[int, StopReason] = {}
    for written in count():  # tokens of every row that has not ended
        logits_BV = model(
            encoder_outputs=BaseModelOutput(last_hidden_state=states_BSD),
            attention_mask=mask_BS,
            decoder_input_ids=step_BT,
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]
        logits_BV[:, list(script.never)] = -torch.inf
        held = [place for place, row in enumerate(rows) if written < least_B[row]]
        if held:
            logits_BV[torch.tensor(held, device=device)[:, None], list(script.ends)] = -torch.inf
        next_B = logits_BV.argmax(dim=-1)
        for row, token in zip(rows, next_B.tolist(), strict=True):
            if row in stops:
                continue
            if token in script.ends:
                stops[row] = StopReason.END
                continue
            tokens_B[row].append(token)
            if written + 1 >= most_B[row]:
                stops[row] = StopReason.LIMIT
            elif (written + 1) % LOOP_EVERY == 0 and loops(tokens_B[row]):
                stops[row] = StopReason.LOOP
        staying = [place for place, row in enumerate(rows) if row not in stops]
        if not staying:
            break
        step_BT = next_B[:, None]
        if len(staying) <= len(rows) * (1 - LEAVING_SHARE):
            kept = torch.tensor(staying, device=device)
            cache.batch_select_indices(kept)
            states_BSD, mask_BS, step_BT = states_BSD[kept], mask_BS[kept], step_BT[kept]
            rows = [rows[place] for place in staying]
    return [WrittenTokens(tokens, stops[row]) for row, tokens in enumerate(tokens_B)]


def write_by_beams(
    model: Any, script: Script, ids_B: Sequence[Sequence[int]], most: int, beams: int
) -> list[WrittenTokens]:
    """The likeliest of several outputs that are followed side by side, by the beam search of transformers.

    Args:
        most: tokens at which every row is stopped: equal for all, since it decides which beams are compared.
    """
    from transformers import GenerationConfig

    ids_BS, mask_BS = padded(ids_B, script.pad, model.device)
    with torch.inference_mode():
        outputs_BT = model.generate(
            input_ids=ids_BS,
            attention_mask=mask_BS,
            decoder_input_ids=torch.tensor([script.begin] * len(ids_B), device=model.device),
            generation_config=GenerationConfig(
                num_beams=beams,
                do_sample=False,
                max_new_tokens=most,
                decoder_start_token_id=script.begin[0],
                eos_token_id=list(script.ends),
                pad_token_id=script.pad,
                suppress_tokens=list(script.never) or None,
            ),
        )
    return [_of_output(tokens[len(script.begin) :], script.ends) for tokens in outputs_BT.tolist()]


def _cache(model: Any) -> Any:
    """Keys and values of the decoder's attention to itself and to the source, which is computed once."""
    from transformers import DynamicCache, EncoderDecoderCache

    return EncoderDecoderCache(DynamicCache(), DynamicCache())


def loops(tokens: Sequence[int]) -> bool:
    """Whether the last tokens are one part over and over."""
    for period in range(1, LOOP_PERIOD + 1):
        length = max(LOOP_TOKENS, 3 * period)
        if len(tokens) >= length and all(
            tokens[place] == tokens[place - period] for place in range(-1, period - length - 1, -1)
        ):
            return True
    return False


def _of_output(tokens: list[int], ends: Sequence[int]) -> WrittenTokens:
    for place, token in enumerate(tokens):
        if token in ends:
            return WrittenTokens(tokens[:place], StopReason.END)
    return WrittenTokens(tokens, StopReason.LOOP if loops(tokens) else StopReason.LIMIT)
