"""What Prometheus is told."""

from crossrank.serving.faults import Invalid, Overloaded
from crossrank.serving.metrics import Metrics, added_up


def series(text: str) -> dict[str, float]:
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_the_series_of_two_replicas_are_added_and_the_model_is_named_once() -> None:
    texts = []
    for arrived in (2, 3):
        metrics = Metrics()
        metrics.loaded('m"1', "r", "float32")
        for _ in range(arrived):
            metrics.arrived("rerank")
        metrics.failed(Invalid("no"))
        metrics.failed(Overloaded("later", 1.0))
        texts.append(metrics.text(queue_size=arrived, queued_tokens=10.0, tokens_per_second=100.0))
    found = series(added_up(texts))
    assert found['te_request_count{method="rerank"}'] == 5
    assert found['te_request_failure{err="validation"}'] == 2
    assert found['te_request_failure{err="overloaded"}'] == 2
    assert found["te_queue_size"] == 5
    assert found["rr_tokens_per_second"] == 200
    assert found['rr_model_loaded_info{dtype="float32",model="m\\"1",revision="r"}'] == 1
    assert not [name for name in found if "_created" in name]


def test_one_replica_is_told_in_the_same_names() -> None:
    metrics = Metrics()
    metrics.arrived("rerank")
    found = series(added_up([metrics.text(0, 0.0, 0.0)]))
    assert found['te_request_count{method="rerank"}'] == 1
    assert 'te_request_duration_bucket{le="+Inf"}' in found
