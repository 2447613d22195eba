"""One place decides what computes a model on a device and in a number format; what is behind it may be another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from crossrank import Reranker
from crossrank.batching import Cost
from crossrank.derived import Derived
from crossrank.errors import SettingsError
from crossrank.scoring.loading import ModelFolder
from crossrank.scoring.precision import choose_dtype
from crossrank.scoring.runtimes import registry
from crossrank.scoring.runtimes.in_torch import TorchRuntime
from crossrank.scoring.runtimes.runtime import Loaded

Tiny = Callable[[str], Path]
CPU = torch.device("cpu")
PAIRS = [("reset", "hold the button"), ("reset", "hold the button for ten seconds"), ("charge", "two hours")]


class CountsTokens:
    """The forward of `InWholeNumbers`: the logit of a pair is its number of tokens, whatever its batch."""

    cost: Cost = "packed"
    name = "counts tokens"

    def __call__(self, ids_B: Sequence[NDArray[np.int32]], first_B: NDArray[np.int32]) -> torch.Tensor:
        return torch.tensor([float(len(ids)) for ids in ids_B])


class InWholeNumbers:
    """A stand-in for a runtime of another library, which serves int8 on a CPU and nothing else."""

    def __init__(self) -> None:
        self.loaded: list[ModelFolder] = []

    def computes(self, device: torch.device, dtype: torch.dtype) -> bool:
        return device.type == "cpu" and dtype == torch.int8

    def load(self, folder: ModelFolder, config: dict[str, Any], hf_tokenizer: Any, **_: Any) -> Loaded:
        self.loaded.append(folder)
        return Loaded(CountsTokens(), Derived(256, "as it likes"))


@pytest.mark.parametrize("precision", [None, "fp32", "bf16", "fp16", torch.float64])
@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_torch_serves_every_precision_on_every_device(device: str, precision: str | torch.dtype | None) -> None:
    dtype = choose_dtype(precision, CPU)
    assert isinstance(registry.runtime_of(torch.device(device), dtype), TorchRuntime)


def test_a_number_format_that_nothing_computes_is_refused_before_the_weights_are_read(tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match="dtype is int8, in which no model is computed on cpu; use float32, or le"):
        Reranker.load(str(tiny("bert")), "cpu", torch.int8, 96)


def test_a_runtime_before_torch_serves_what_it_computes_and_nothing_else(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = InWholeNumbers()
    in_torch = Reranker.load(str(tiny("bert")), "cpu", "fp32", 96).score(PAIRS)
    monkeypatch.setattr(registry, "RUNTIMES", (other, *registry.RUNTIMES))

    reranker = Reranker.load(str(tiny("bert")), "cpu", torch.int8, 96)
    scores = reranker.score(PAIRS)
    assert scores.dtype == np.float32
    assert scores[0] < scores[1], "the longer document has more tokens"
    assert scores.tolist() == [round(score) for score in scores.tolist()]
    about = reranker.describe()
    assert (about["forward"], about["dtype"], about["token_budget"]) == ("counts tokens", "int8", "256 (as it likes)")
    assert [folder.path for folder in other.loaded] == [tiny("bert")]

    np.testing.assert_array_equal(Reranker.load(str(tiny("bert")), "cpu", "fp32", 96).score(PAIRS), in_torch)
    assert len(other.loaded) == 1, "float32 is torch's"


def test_the_number_of_slots_that_a_user_gives_stands_over_what_a_runtime_likes(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "RUNTIMES", (InWholeNumbers(),))
    reranker = Reranker.load(str(tiny("bert")), "cpu", torch.int8, 96, budget=96)
    assert reranker.describe()["token_budget"] == "96 (as given)"
