"""Series of one or more replicas, in the text format of Prometheus.

Counters of text-embeddings-inference have no ``_total`` at their end, which Prometheus' own library gives them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Set
from typing import TypedDict

from prometheus_client.metrics_core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OURS = "rr_"
"""Prefix of our own series; each of them names its replica in a label."""
MOST_AWAY = 8
"""Replicas that have left, or do not answer, whose figures are kept apart; of more only the sum is."""

Values = dict[str, float]
"""Values by name and labels, as Prometheus writes them."""
Counts = dict[str, Values]
"""Values by the name of their family."""


class Family(TypedDict):
    """Series that have a name in common."""

    name: str
    kind: str
    text: str
    values: Values


class ReplicaSeries(TypedDict):
    """Message of one replica about its series, which replicas send to each other as JSON."""

    replica: str
    families: list[Family]
    memory: str
    """A `SeriesMemory` of all replicas as JSON, from which a new replica learns it."""


class SeriesMemory(TypedDict):
    """Counts of all replicas under the names of text-embeddings-inference."""

    apart: dict[str, Counts]
    """Counts of each replica by its name."""
    folded: Counts
    """Sum over the replicas that are no longer kept apart."""
    num_folded: int
    """Number of replicas in that sum."""


def families_of(metrics: Iterable[Metric], labels: Mapping[str, str]) -> list[Family]:
    """Series of a registry of Prometheus' library; ours get `labels` beside their own."""
    families: list[Family] = []
    for metric in metrics:
        is_ours = metric.name.startswith(OURS)
        own = dict(labels) if is_ours else {}
        is_counter = metric.type == "counter"
        name = f"{metric.name}_total" if is_counter and is_ours else metric.name
        values = {
            (name if is_counter else sample.name) + _shown(sample.labels | own): float(sample.value)
            for sample in metric.samples
            if not sample.name.endswith("_created")
        }
        families.append(Family(name=name, kind=metric.type, text=metric.documentation, values=values))
    return families


def exposed(families: Iterable[Family]) -> str:
    """Series as text."""
    lines: list[str] = []
    for family in families:
        lines += [f"# HELP {family['name']} {family['text']}", f"# TYPE {family['name']} {family['kind']}"]
        lines += [f"{name} {value!r}" for name, value in family["values"].items()]
    return "\n".join(lines) + "\n"


class AllReplicas:
    """Memory of one replica about the series of all.

    A counter that falls looks to Prometheus like one that began again, and all of it like new events. So what a replica
    has counted stays in the sum when it leaves. Whoever was asked may be the next to leave: what it has exposed is to
    be shared (`memory`), and remembered by the others.
    """

    def __init__(self) -> None:
        self._memory = SeriesMemory(apart={}, folded={}, num_folded=0)

    def exposed(self, messages: Iterable[str]) -> str:
        """The series of all replicas as text; a replica that sent nothing counts with what was last known of it.

        Args:
            messages: a `ReplicaSeries` of each replica that answered, as JSON.
        """
        replicas: list[ReplicaSeries] = [json.loads(message) for message in messages]
        for memory in {replica["memory"] for replica in replicas}:  # most are the same
            self.remember(memory)
        apart = self._memory["apart"]
        summed: dict[str, Family] = {}
        for replica in {replica["replica"]: replica for replica in replicas}.values():
            counts: Counts = {}
            for family in replica["families"]:
                known = summed.setdefault(family["name"], Family({**family, "values": {}}))
                if family["kind"] == "gauge" or family["name"].startswith(OURS):
                    _add(known["values"], family["values"])
                else:
                    _add(known["values"], dict.fromkeys(family["values"], 0.0))
                    counts[family["name"]] = {series: value for series, value in family["values"].items() if value}
            apart[replica["replica"]] = _highest(apart.get(replica["replica"], {}), counts)
        self._fold({replica["replica"] for replica in replicas})
        for counts in (self._memory["folded"], *apart.values()):
            for name, values in counts.items():
                if name in summed:  # a replica of another version may have had others
                    _add(summed[name]["values"], values)
        return exposed(summed.values())

    def message(self, replica: str, families: list[Family]) -> str:
        """A `ReplicaSeries` of this replica, as JSON."""
        return json.dumps(ReplicaSeries(replica=replica, families=families, memory=self.memory()))

    def memory(self) -> str:
        """Counts that the other replicas have to `remember`, as JSON."""
        return json.dumps(self._memory)

    def remember(self, memory: str) -> None:
        """Learn what another replica has exposed."""
        theirs: SeriesMemory = json.loads(memory)
        older, newer = sorted((self._memory, theirs), key=lambda memory: memory["num_folded"])
        for replica, counts in older["apart"].items():
            # A replica that the newer memory lacks may be in its sum: counted apart as well, it would count twice.
            if replica in newer["apart"] or older["num_folded"] == newer["num_folded"]:
                newer["apart"][replica] = _highest(newer["apart"].get(replica, {}), counts)
        self._memory = newer

    def _fold(self, alive: Set[str]) -> None:
        apart = self._memory["apart"]
        away = sorted(apart.keys() - alive)
        for replica in away[MOST_AWAY:]:
            for name, values in apart.pop(replica).items():
                _add(self._memory["folded"].setdefault(name, {}), values)
            self._memory["num_folded"] += 1


def _highest(one: Counts, other: Counts) -> Counts:
    """The later of two counts of the same replica, each series by itself."""
    return {
        name: {
            series: max(one.get(name, {}).get(series, 0.0), other.get(name, {}).get(series, 0.0))
            for series in one.get(name, {}) | other.get(name, {})
        }
        for name in one | other
    }


def _add(to: Values, values: Values) -> None:
    for series, value in values.items():
        to[series] = to.get(series, 0.0) + value


def _shown(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in sorted(labels.items())) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
