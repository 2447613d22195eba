"""What only a GPU shows. Skips itself without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]

PAIRS = [(f"question number {n}", "an answer of some words " * (1 + n % 40)) for n in range(200)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.model.tiny_models import build

    return build("xlm-roberta", tmp_path_factory.mktemp("xlm-roberta"))


def test_float32_on_a_gpu_scores_as_on_a_cpu(folder: Path) -> None:
    from crossrank import Reranker

    on_cpu = Reranker.load(str(folder), device="cpu", max_length=128).score(PAIRS)
    on_gpu = Reranker.load(str(folder), device="cuda", dtype="fp32", max_length=128).score(PAIRS)
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=0, atol=1e-4 * np.abs(on_cpu).max())


def test_the_default_on_a_gpu_is_bfloat16_with_the_head_in_float32(folder: Path) -> None:
    from crossrank import Reranker

    reranker = Reranker.load(str(folder), max_length=128)
    assert (reranker.device.type, reranker.describe()["dtype"]) == ("cuda", "bfloat16")
    logits = reranker.score(PAIRS)
    assert logits.dtype == np.float32
    assert len(np.unique(logits)) > len(np.unique(torch.tensor(logits).bfloat16().float().numpy()))


def test_a_batch_that_runs_out_of_memory_is_halved_and_loses_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossrank import Reranker

    reranker = Reranker.load(str(folder), dtype="fp32", max_length=128, budget=8192)
    expected = reranker.score(PAIRS)
    forward = reranker._scorer._forward

    class Small:
        cost, name = forward.cost, forward.name

        def __call__(self, ids_B, first_B):  # type: ignore[no-untyped-def]
            if len(ids_B) > 8:
                raise torch.cuda.OutOfMemoryError
            return forward(ids_B, first_B)

    monkeypatch.setattr(reranker._scorer, "_forward", Small())
    np.testing.assert_allclose(reranker.score(PAIRS), expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert reranker._scorer.budget.value < 8192


def test_a_reranker_on_a_gpu_is_pickled_and_loaded_on_a_gpu_again(folder: Path) -> None:
    import pickle

    from crossrank import Reranker

    reranker = Reranker.load(folder, device="cuda:0", dtype="fp32", max_length=128)
    again = pickle.loads(pickle.dumps(reranker))
    assert again.describe() == reranker.describe()
    assert again.score(PAIRS).tolist() == reranker.score(PAIRS).tolist()


def test_a_gpu_that_is_not_there_is_refused(folder: Path) -> None:
    from crossrank import Reranker
    from crossrank.errors import SettingsError

    with pytest.raises(SettingsError, match="device is 'cuda:99', and torch sees"):
        Reranker.load(folder, device="cuda:99")
