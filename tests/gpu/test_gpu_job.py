"""The rerank job with a worker on a GPU. Skips itself without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ray.inputs import Inputs, read_output, settings_of

torch = pytest.importorskip("torch")
ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


@pytest.fixture(scope="module", autouse=True)
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSSRANK_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("RAY_ADDRESS", raising=False)
        yield
        ray.shutdown()


def test_a_job_with_a_worker_on_a_gpu_scores_as_this_process_does_on_the_cpu(tmp_path: Path) -> None:
    from crossrank import Reranker
    from crossrank.reranking.job import rerank
    from crossrank.reranking.settings import RerankSettings
    from tests.model.tiny_models import build

    model = str(build("xlm-roberta", tmp_path / "model"))
    inputs = Inputs.made(num_queries=12, depth=10)
    given = settings_of(inputs.write(str(tmp_path)), tmp_path / "out", max_length=128, top_n=0)
    given |= {"model": model, "gpus_per_worker": 1.0, "precision": "fp32"}
    manifest = rerank(RerankSettings(**given))

    assert manifest["scorer"]["device"].startswith("cuda")
    assert (manifest["chosen"]["gpus_per_worker"], manifest["chosen"]["precision"]) == (1.0, "fp32")
    reranker = Reranker.load(model, device="cpu", max_length=128)
    for row in read_output(str(tmp_path / "out")).to_pylist():
        scores = reranker.score([(row["query"], inputs.documents[doc["doc_id"]]) for doc in row["docs"]])
        assert [doc["score"] for doc in row["docs"]] == pytest.approx(scores.tolist(), rel=1e-4, abs=1e-4)
