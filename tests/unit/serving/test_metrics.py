"""What Prometheus is told."""

import numpy as np
import pytest

from crossrank.batching import Cost
from crossrank.serving.ask import Answer, Timing
from crossrank.serving.fair_queue import Batch, Ticket
from crossrank.serving.faults import Abandoned, Expired, Invalid, Overloaded
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


def test_what_was_shed_expired_and_given_up_is_told_by_its_reason() -> None:
    metrics = Metrics()
    for fault in (Overloaded("m", 1.0), Overloaded("m", 1.0, "key"), Expired("m"), Abandoned("m"), Abandoned("m")):
        metrics.failed(fault)
    metrics.memory_retry()
    found = series(added_up([metrics.text(0, 0.0, 0.0)]))
    assert found['rr_shed_total{reason="queue"}'] == 1
    assert found['rr_shed_total{reason="key"}'] == 1
    assert found["rr_deadline_expired_total"] == 1
    assert found["rr_client_cancelled_total"] == 2
    assert found["rr_oom_retries_total"] == 1


def test_scores_are_counted_as_probabilities() -> None:
    texts = []
    for logits in ([0.0, -50.0], [50.0, 1.0, float("-inf")]):  # probabilities 0.5, 0, 1, 0.73, 0
        metrics = Metrics()
        timing = Timing(0.0, 0.0, 0.0, 0.0)
        count = np.ones(len(logits), dtype=np.int32)
        metrics.answered("rerank", "tei", Answer(np.array(logits, np.float32), count, count, count, 0, 1, timing))
        texts.append(metrics.text(0, 0.0, 0.0))
    found = series(added_up(texts))
    assert [found[f'rr_score_histogram_bucket{{le="{bound}"}}'] for bound in ("0.1", "0.4", "0.5", "0.7", "0.8")] == [
        2,
        2,
        3,
        3,
        4,
    ]
    assert found['rr_score_histogram_bucket{le="+Inf"}'] == found["rr_score_histogram_count"] == 5
    assert found["rr_score_histogram_sum"] == pytest.approx(0.5 + 1.0 + 0.7310586)


@pytest.mark.parametrize(("cost", "ratio"), [("padded", 0.25), ("packed", 0.0)])
def test_padding_is_told_where_there_is_any(cost: Cost, ratio: float) -> None:
    ticket = Ticket([np.zeros(n, np.int32) for n in (8, 4)], np.zeros(2, np.int32), lambda _: None)
    metrics = Metrics()
    metrics.batch(Batch([ticket, ticket], [0, 1]), cost)
    assert series(added_up([metrics.text(0, 0.0, 0.0)]))["rr_batch_padding_ratio_sum"] == ratio
