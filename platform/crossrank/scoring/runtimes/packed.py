"""A forward for the BERT family on a CPU that computes no padding and nothing that the logit does not need.

Three things make it faster than the padded forward, and none changes the result:

* Sequences lie end to end, so linear layers and norms see real tokens alone. Attention runs per run of equal lengths.
* Of the last layer only the first token's output is read, so only its query, its output projection and its
  feed-forward are computed: of a layer's 12 d^2 multiplications a token, 2 d^2 (keys and values) remain.
* Query, key and value are one matrix product.

It serves BERT, RoBERTa and XLM-RoBERTa (bge-reranker, ko-reranker, MiniLM), which share one architecture. Training
computes through it too: what it does not compute, it need not differentiate either.

Shape letters: B sequences, N tokens of all of them, H heads, E width of a head, D = H * E.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from crossrank.batching import Cost

FAMILIES = {"bert", "roberta", "xlm-roberta"}


def packable(model: Any) -> bool:
    """Whether `PackedForward` computes this model: its family, on a CPU, in float32, a plain encoder."""
    config = model.config
    return (
        config.model_type in FAMILIES
        and model.device.type == "cpu"
        and model.dtype == torch.float32
        and not getattr(config, "is_decoder", False)
        and getattr(config, "position_embedding_type", "absolute") == "absolute"
    )


class _Layer:
    """One encoder layer: its own modules, called on tokens that lie end to end."""

    def __init__(self, layer: Any) -> None:
        attention = layer.attention.self
        self._parts = [attention.query, attention.key, attention.value]
        self._attention_dropout = attention.dropout
        self._attention_output = layer.attention.output
        self._intermediate = layer.intermediate
        self._output = layer.output

    @property
    def dropout(self) -> float:
        """Probability with which attention drops a weight; 0 when it does not train."""
        return float(self._attention_dropout.p) if self._attention_dropout.training else 0.0

    def query(self, hidden_ND: Tensor) -> Tensor:
        projected: Tensor = self._parts[0](hidden_ND)
        return projected

    def key_value(self, hidden_ND: Tensor) -> Tensor:
        """Keys and values side by side, shape (N, 2 D)."""
        return torch.cat([part(hidden_ND) for part in self._parts[1:]], dim=1)

    def query_key_value(self, hidden_ND: Tensor) -> Tensor:
        """Queries, keys and values side by side, shape (N, 3 D)."""
        return torch.cat([part(hidden_ND) for part in self._parts], dim=1)

    def after_attention(self, context_ND: Tensor, residual_ND: Tensor) -> Tensor:
        hidden_ND = self._attention_output(context_ND, residual_ND)
        result: Tensor = self._output(self._intermediate(hidden_ND), hidden_ND)
        return result


class _FusedLayer(_Layer):
    """A layer whose weights no longer change: query, key and value are one matrix product."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self._weight = torch.cat([part.weight.detach() for part in self._parts])
        self._bias = torch.cat([part.bias.detach() for part in self._parts])
        self._width = len(self._bias) // 3

    def query(self, hidden_ND: Tensor) -> Tensor:
        return F.linear(hidden_ND, self._weight[: self._width], self._bias[: self._width])

    def key_value(self, hidden_ND: Tensor) -> Tensor:
        return F.linear(hidden_ND, self._weight[self._width :], self._bias[self._width :])

    def query_key_value(self, hidden_ND: Tensor) -> Tensor:
        return F.linear(hidden_ND, self._weight, self._bias)


class PackedForward:
    """Logits of sequences laid end to end.

    Args:
        trains: the weights change, so their own modules are called.
        recompute: layers are computed again for their gradients, instead of being kept: slower, in less memory.
    """

    cost: Cost = "packed"
    name = "packed"

    def __init__(self, model: Any, *, trains: bool = False, recompute: bool = False) -> None:
        backbone = model.base_model
        config = model.config
        self._embeddings = backbone.embeddings
        self._layers = [(_Layer if trains else _FusedLayer)(layer) for layer in backbone.encoder.layer]
        self._recompute = recompute
        self._num_heads = config.num_attention_heads
        self._width = config.hidden_size // config.num_attention_heads
        self._types_used = config.type_vocab_size > 1
        # RoBERTa counts positions from the padding index on, and skips tokens that are themselves padding.
        self._padding_index = None if config.model_type == "bert" else backbone.embeddings.padding_idx
        self._pooler = backbone.pooler
        self._dropout = getattr(model, "dropout", nn.Identity())  # BERT's head has it outside
        self._classifier = model.classifier

    @torch.inference_mode()
    def __call__(self, ids_B: Sequence[NDArray[np.int32]], first_B: NDArray[np.int32]) -> Tensor:
        return self.logits(ids_B, first_B)

    def logits(self, ids_B: Sequence[NDArray[np.int32]], first_B: NDArray[np.int32]) -> Tensor:
        """Logits as a call gives them, with gradients where they are wanted."""
        lengths_B = np.array([len(ids) for ids in ids_B])
        hidden_ND = self._embed(ids_B, first_B, lengths_B)
        runs = _equal_runs(lengths_B)
        for layer in self._layers[:-1]:
            if self._recompute:
                hidden_ND = checkpoint(self._whole, layer, hidden_ND, runs, use_reentrant=False)
            else:
                hidden_ND = self._whole(layer, hidden_ND, runs)
        starts_B = torch.from_numpy(np.cumsum(lengths_B) - lengths_B)
        last = self._layers[-1]
        first_BD = hidden_ND[starts_B]
        first_BD = last.after_attention(self._attend_first(last, hidden_ND, first_BD, runs), first_BD)
        return self._logits(first_BD)

    def _whole(self, layer: _Layer, hidden_ND: Tensor, runs: list[_Run]) -> Tensor:
        return layer.after_attention(self._attend(layer, hidden_ND, runs), hidden_ND)

    def _embed(
        self, ids_B: Sequence[NDArray[np.int32]], first_B: NDArray[np.int32], lengths_B: NDArray[np.int64]
    ) -> Tensor:
        ids_N = torch.from_numpy(np.concatenate(ids_B).astype(np.int64))
        starts_N = np.repeat(np.cumsum(lengths_B) - lengths_B, lengths_B)
        within_N = np.arange(len(starts_N)) - starts_N
        positions_N = within_N if self._padding_index is None else self._roberta_positions(ids_B)
        types_N = within_N >= np.repeat(first_B, lengths_B) if self._types_used else np.zeros_like(within_N)
        embeddings = self._embeddings
        summed_ND = (
            embeddings.word_embeddings(ids_N)
            + embeddings.token_type_embeddings(torch.from_numpy(types_N.astype(np.int64)))
            + embeddings.position_embeddings(torch.from_numpy(positions_N.astype(np.int64)))
        )
        normed: Tensor = embeddings.dropout(embeddings.LayerNorm(summed_ND))
        return normed

    def _roberta_positions(self, ids_B: Sequence[NDArray[np.int32]]) -> NDArray[np.int64]:
        positions = []
        for ids in ids_B:
            real = ids != self._padding_index
            positions.append(np.cumsum(real) * real + self._padding_index)
        return np.concatenate(positions)

    def _attend(self, layer: _Layer, hidden_ND: Tensor, runs: list[_Run]) -> Tensor:
        """Every token attends to the tokens of its own sequence. Shape (N, D)."""
        qkv_N3D = layer.query_key_value(hidden_ND)
        contexts = []
        for run in runs:
            query, key, value = (
                qkv_N3D[run.tokens].view(run.num, run.length, 3, self._num_heads, self._width).permute(2, 0, 3, 1, 4)
            )
            mixed_BHTE = F.scaled_dot_product_attention(query, key, value, dropout_p=layer.dropout)
            contexts.append(mixed_BHTE.transpose(1, 2).reshape(run.num * run.length, -1))
        return torch.cat(contexts)

    def _attend_first(self, layer: _Layer, hidden_ND: Tensor, first_BD: Tensor, runs: list[_Run]) -> Tensor:
        """Attention of the first token of each sequence alone. Shape (B, D)."""
        key_value_N2D = layer.key_value(hidden_ND)
        query_BD = layer.query(first_BD)
        contexts = []
        for run in runs:
            key, value = (
                key_value_N2D[run.tokens]
                .view(run.num, run.length, 2, self._num_heads, self._width)
                .permute(2, 0, 3, 1, 4)
            )
            query = query_BD[run.sequences].view(run.num, 1, self._num_heads, self._width).transpose(1, 2)
            mixed_BH1E = F.scaled_dot_product_attention(query, key, value, dropout_p=layer.dropout)
            contexts.append(mixed_BH1E.reshape(run.num, -1))
        return torch.cat(contexts)

    def _logits(self, first_BD: Tensor) -> Tensor:
        # The head computes in float32 whatever the layers did: logits of 8 bits would tie.
        with torch.autocast(first_BD.device.type, enabled=False):
            first_BD = first_BD.float()
            if self._pooler is not None:
                first_BD = self._dropout(self._pooler(first_BD[:, None]))
                logits_B1: Tensor = self._classifier(first_BD)
            else:
                logits_B1 = self._classifier(first_BD[:, None])
        return logits_B1[:, 0]


class _Run:
    """Neighbouring sequences of one length."""

    __slots__ = ("length", "num", "sequences", "tokens")

    def __init__(self, first: int, num: int, token: int, length: int) -> None:
        self.sequences = slice(first, first + num)
        self.tokens = slice(token, token + num * length)
        self.num = num
        self.length = length


def _equal_runs(lengths_B: NDArray[np.int64]) -> list[_Run]:
    """Runs of equal length, in order. Sequences sorted by length give the fewest."""
    runs = []
    first = token = 0
    while first < len(lengths_B):
        length = int(lengths_B[first])
        num = 1
        while first + num < len(lengths_B) and lengths_B[first + num] == length:
            num += 1
        runs.append(_Run(first, num, token, length))
        first += num
        token += num * length
    return runs
