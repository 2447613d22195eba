"""The metrics that there are: their names, and that docs/metrics.md lists them all and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from crossrank.serving.errors import Abandoned, Expired, Invalid, Overloaded
from crossrank.serving.metrics import Metrics
from crossrank.telemetry.job_metrics import all_series
from tests.unit.serving.dialects.asked import answer

ROOT = Path(__file__).resolve().parents[3]
UNITS = {
    "seconds": "_seconds_total",
    "US dollars": "_usd",
    "ratio": "_ratio",
    "requests/second": "_per_second",
    "tokens": "_total",
}
"""Units, and how a name of a job that has one ends."""
OF_THE_REPLICA = {"model", "revision", "replica"}

Listed = tuple[str, frozenset[str]]
"""Type and labels."""


def documented() -> dict[str, Listed]:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]+) \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    found = {name: (kind, frozenset(labels.split(", ")) - {"-"}) for name, kind, labels in rows}
    assert len(found) == len(rows), "a metric is listed twice"
    return found


def of_the_server() -> dict[str, Listed]:
    """What a replica tells when everything that has labels has happened once."""
    metrics = Metrics()
    metrics.loaded("m", "abc", "float32")
    metrics.arrived("rerank")
    metrics.answered("rerank")
    metrics.scored("tei", 0, answer(0.0, 0.0))
    for fault in (Invalid("m"), Overloaded("m", 1.0), Expired("m"), Abandoned("m")):
        metrics.failed(fault, "tei")
    found = {}
    for family in metrics.families(queue_size=0, queued_tokens=0.0, tokens_per_second=0.0):
        assert family["values"], f"{family['name']} did not happen"
        labels = {label for series in family["values"] for label in re.findall(r'(\w+)="', series)} - {"le"}
        if family["name"].startswith("rr_"):
            assert labels >= OF_THE_REPLICA, family["name"]
        found[family["name"]] = (family["kind"], frozenset(labels - OF_THE_REPLICA))
    return found


def test_the_page_lists_every_metric_with_its_type_and_labels_and_no_other() -> None:
    of_jobs: dict[str, Listed] = {each.name: (each.kind, frozenset(each.labels)) for each in all_series()}
    assert documented() == of_jobs | of_the_server()


def test_the_page_says_of_a_job_s_metric_what_the_code_says() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    for each in all_series():
        assert f"| {each.unit} | {each.meaning} |" in page, each.name


def test_names_of_jobs_keep_the_rule() -> None:
    names = [each.name for each in all_series()]
    assert len(set(names)) == len(names)
    for each in all_series():
        assert re.fullmatch(r"rr_job_[a-z]+(_[a-z]+)*", each.name)
        assert each.name.endswith("_total") == (each.kind == "counter"), each.name
        assert each.name.endswith(UNITS.get(each.unit, "")), each.name
        assert not {"job", "verb"} & set(each.labels)


def test_every_metric_of_a_job_is_counted_somewhere() -> None:
    # One that nobody counts would be a line of a dashboard that is empty for ever.
    counted: set[str] = set()
    for file in (ROOT / "platform" / "crossrank").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("add", "set")
                and isinstance(node.func.value, ast.Name)
            ):
                counted.add(node.func.value.id)
    from crossrank.telemetry import job_metrics

    declared = {name for name, value in vars(job_metrics).items() if value in all_series() and name.isupper()}
    assert len(declared) == len(all_series())
    assert declared - counted == set()
