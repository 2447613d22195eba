"""The series of all replicas, told by one of them.

How it could fail users: a counter falls when a replica leaves, and a dashboard shows a burst of requests that never
were; a replica is counted twice; one that hangs takes the figures of all with it; memory grows with every replica that
ever was.
"""

from __future__ import annotations

from crossrank.serving.errors import Overloaded
from crossrank.serving.exposition import MOST_AWAY, AllReplicas
from crossrank.serving.metrics import Metrics
from tests.unit.serving.scraped import named, scraped

COUNT = 'te_request_count{method="rerank"}'


class Replica:
    """What one replica counts, and what it knows of all."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.metrics.loaded('m"1', "r", "float32")
        self.all = AllReplicas()

    def arrived(self, num: int) -> Replica:
        for _ in range(num):
            self.metrics.arrived("rerank")
        return self

    def told(self) -> str:
        families = self.metrics.families(queue_size=2, queued_tokens=10.0, tokens_per_second=100.0)
        return self.all.message(self.metrics.replica, families)

    def scrape(self, *others: Replica) -> dict[str, float]:
        """It is asked for the series of all, and the others are there."""
        found = scraped(self.all.exposed([*(each.told() for each in others), self.told()]))
        for each in others:
            each.all.remember(self.all.memory())
        return found


def test_series_of_text_embeddings_inference_are_added_and_ours_stand_side_by_side() -> None:
    one, other = Replica().arrived(2), Replica().arrived(3)
    for each in (one, other):
        each.metrics.failed(Overloaded("later", 1.0), "tei", 0)
    found = one.scrape(other)
    assert found[COUNT] == 5
    assert found['te_request_failure{err="overloaded"}'] == 2
    assert found["te_queue_size"] == 4
    for each in (one, other):
        labels = {"model": 'm\\"1', "replica": each.metrics.replica, "revision": "r"}
        assert found[named("rr_tokens_per_second", **labels)] == 100
        assert found[named("rr_model_loaded_info", dtype="float32", **labels)] == 1
    assert not [name for name in found if "_created" in name]


def test_who_tells_twice_is_counted_once() -> None:
    one = Replica().arrived(2)
    assert scraped(one.all.exposed([one.told(), one.told()]))[COUNT] == 2


def test_what_a_replica_counted_stays_when_it_leaves_and_what_waited_there_does_not() -> None:
    one, leaves = Replica().arrived(2), Replica().arrived(3)
    leaves.metrics.failed(Overloaded("later", 1.0))
    assert one.scrape(leaves)[COUNT] == 5
    found = one.arrived(1).scrape()
    assert found[COUNT] == 6
    assert found['te_request_failure{err="overloaded"}'] == 1  # which the one that is left never counted
    assert found["te_queue_size"] == 2
    assert not [name for name in found if leaves.metrics.replica in name]


def test_whoever_is_asked_next_remembers_too_also_when_the_one_that_was_asked_leaves() -> None:
    stays, asked, leaves = Replica().arrived(1), Replica().arrived(2), Replica().arrived(4)
    assert asked.scrape(stays, leaves)[COUNT] == 7
    assert stays.scrape()[COUNT] == 7


def test_a_replica_that_did_not_answer_once_is_not_counted_twice() -> None:
    one, hangs = Replica().arrived(1), Replica().arrived(2)
    assert [one.scrape(hangs)[COUNT], one.scrape()[COUNT]] == [3, 3]
    hangs.arrived(1)
    assert [one.scrape(hangs)[COUNT], one.scrape()[COUNT]] == [4, 4]


def test_counters_never_fall_however_replicas_come_and_go_and_memory_stays_small() -> None:
    replicas = [Replica() for _ in range(3)]
    total, seen = 0, 0.0
    for turn in range(3 * MOST_AWAY):
        for each in replicas:
            each.arrived(1)
            total += 1
        asked = replicas[turn % 3]
        found = asked.scrape(*[each for each in replicas if each is not asked])
        assert found[COUNT] == total
        assert found[COUNT] > seen
        seen = found[COUNT]
        # Two leave at once, the one that was asked among them in two of three turns.
        replicas = [replicas[2], Replica(), Replica()] if turn % 2 else replicas
    [stays, *_] = replicas
    assert len(stays.all._memory["apart"]) <= MOST_AWAY + 3
    assert stays.all._memory["num_folded"] > MOST_AWAY


def test_a_replica_that_is_new_learns_from_the_others_what_was_before_it() -> None:
    stays, leaves = Replica().arrived(1), Replica().arrived(2)
    stays.scrape(leaves)
    assert Replica().scrape(stays)[COUNT] == 3


def test_two_that_were_asked_at_once_agree_afterwards() -> None:
    one, other = Replica().arrived(1), Replica().arrived(2)
    for each, memory in ((one, _asked_alone(other, one)), (other, _asked_alone(one, other))):
        each.all.remember(memory)
    assert one.scrape(other)[COUNT] == other.scrape(one)[COUNT] == 3


def _asked_alone(asked: Replica, other: Replica) -> str:
    asked.all.exposed([asked.told(), other.told()])
    return asked.all.memory()
