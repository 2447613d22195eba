"""What one replica tells Prometheus."""

import numpy as np
import pytest

from crossrank.batching import Cost
from crossrank.serving.errors import Abandoned, Expired, Invalid, Overloaded, RequestError
from crossrank.serving.exposition import exposed
from crossrank.serving.fair_queue import Batch, Ticket
from crossrank.serving.metrics import Metrics
from crossrank.serving.request import ScoringResponse, Timing
from tests.unit.serving.dialects.asked import answer
from tests.unit.serving.scraped import named, scraped


def series(metrics: Metrics) -> dict[str, float]:
    return scraped(exposed(metrics.families(queue_size=0, queued_tokens=0.0, tokens_per_second=0.0)))


def loaded() -> tuple[Metrics, dict[str, str]]:
    """The metrics of a replica, and the labels that each of our own series has."""
    metrics = Metrics()
    metrics.loaded("m", "abc", "float32")
    return metrics, {"model": "m", "revision": "abc", "replica": metrics.replica}


def test_names_of_text_embeddings_inference_have_its_labels_and_no_other() -> None:
    metrics, _ = loaded()
    metrics.arrived("rerank")
    metrics.read(3)
    metrics.scored("tei", 0, answer(0.0, 0.0))
    metrics.answered("rerank")
    metrics.failed(Invalid("no"))
    found = {name: value for name, value in series(metrics).items() if name.startswith("te_") and "_bucket" not in name}
    assert {name.split("{")[0] for name in found} == {
        *("te_request_count", "te_request_success", "te_request_failure", "te_predict_count", "te_predict_success"),
        *(
            f"te_{of}_{part}duration_{end}"
            for of in ("request", "predict")
            for part in ("", "tokenization_", "queue_", "inference_")
            for end in ("sum", "count")
        ),
        *(
            f"te_{name}_{end}"
            for name in ("request_input_length", "batch_next_size", "batch_next_tokens")
            for end in ("sum", "count")
        ),
        "te_queue_size",
    }
    assert [name for name in found if "{" in name] == [
        'te_request_count{method="rerank"}',
        'te_request_success{method="rerank"}',
        'te_request_failure{err="validation"}',
    ]


def test_a_pair_counts_where_text_embeddings_inference_counts_predictions() -> None:
    metrics, _ = loaded()
    metrics.read(3)  # nobody answered these
    metrics.read(2)
    metrics.scored("tei", 0, answer(0.0, 0.0))
    found = series(metrics)
    assert (found["te_predict_count"], found["te_predict_success"]) == (5, 2)
    # 6.5 ms of the request: once for it, and for each of its two pairs.
    assert (found["te_request_duration_count"], found["te_request_duration_sum"]) == (1, 0.0065)
    assert (found["te_predict_duration_count"], found["te_predict_duration_sum"]) == (2, 0.013)
    assert found['te_predict_duration_bucket{le="0.005"}'] == 0
    assert found['te_predict_duration_bucket{le="0.01"}'] == 2
    assert found["te_request_input_length_sum"] == 10


def test_each_of_our_series_names_the_model_its_revision_and_the_replica() -> None:
    metrics, labels = loaded()
    ours = [name for name in series(metrics) if name.startswith("rr_")]
    assert all(f'{key}="{value}"' in name for name in ours for key, value in labels.items())
    assert named("rr_model_loaded_info", dtype="float32", **labels) in ours


def test_what_was_scored_and_cut_is_told_by_dialect_and_priority() -> None:
    metrics, labels = loaded()
    for priority, cut in ((0, [0, 4]), (7, [1, 1]), (9, [0, 0]), (-1, [0, 3])):
        metrics.scored("cohere", priority, answer(0.0, 0.0, cut=cut))
    found = series(metrics)

    def of(name: str) -> list[float]:
        priorities = ("high", "normal", "low")
        return [found[named(name, dialect="cohere", priority=priority, **labels)] for priority in priorities]

    assert of("rr_documents_total") == [2, 2, 4]
    assert of("rr_truncated_documents_total") == [1, 1, 2]
    assert of("rr_truncated_tokens_total") == [3, 4, 2]


@pytest.mark.parametrize(
    ("fault", "name", "more"),
    [
        (Overloaded("m", 1.0), "rr_shed_total", {"reason": "queue"}),
        (Overloaded("m", 1.0, "key"), "rr_shed_total", {"reason": "key"}),
        (Expired("m"), "rr_deadline_expired_total", {}),
        (Abandoned("m"), "rr_client_cancelled_total", {}),
    ],
    ids=repr,
)
def test_what_was_shed_expired_and_given_up_is_told_by_dialect_and_priority(
    fault: RequestError, name: str, more: dict[str, str]
) -> None:
    metrics, labels = loaded()
    metrics.failed(fault, "tei", 3)
    assert series(metrics)[named(name, dialect="tei", priority="low", **labels, **more)] == 1


def test_a_body_that_was_not_read_has_no_dialect() -> None:
    metrics, labels = loaded()
    metrics.failed(Abandoned("m"))
    name = named("rr_client_cancelled_total", dialect="unread", priority="normal", **labels)
    assert series(metrics)[name] == 1


def test_scores_are_counted_as_probabilities() -> None:
    metrics, labels = loaded()
    for logits in ([0.0, -50.0], [50.0, 1.0, float("-inf")]):  # probabilities 0.5, 0, 1, 0.73, 0
        count = np.ones(len(logits), dtype=np.int32)
        timing = Timing(0.0, 0.0, 0.0, 0.0)
        metrics.scored("tei", 0, ScoringResponse(np.array(logits, np.float32), count, count, count, 0, 1, timing))
    found = series(metrics)
    bounds = ("0.1", "0.4", "0.5", "0.7", "0.8", "+Inf")
    assert [found[named("rr_score_histogram_bucket", le=bound, **labels)] for bound in bounds] == [2, 2, 3, 3, 4, 5]
    assert found[named("rr_score_histogram_count", **labels)] == 5
    assert found[named("rr_score_histogram_sum", **labels)] == pytest.approx(0.5 + 1.0 + 0.7310586)


@pytest.mark.parametrize(("cost", "ratio"), [("padded", 0.25), ("packed", 0.0)])
def test_a_batch_tells_its_tokens_and_its_padding(cost: Cost, ratio: float) -> None:
    ticket = Ticket([np.zeros(n, np.int32) for n in (8, 4)], np.zeros(2, np.int32), lambda _: None)
    metrics, labels = loaded()
    metrics.batch(Batch([ticket, ticket], [0, 1]), cost)
    found = series(metrics)
    assert found[named("rr_batch_padding_ratio_sum", **labels)] == ratio
    assert (found[named("rr_batch_tokens_sum", **labels)], found["te_batch_next_tokens_sum"]) == (12, 12)
