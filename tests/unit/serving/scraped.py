"""What Prometheus reads out of an answer of `/metrics`."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families


def scraped(text: str) -> dict[str, float]:
    """Values by name and labels, each of which may be there once; Prometheus' own parser has to take the text."""
    list(text_string_to_metric_families(text))
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    found = {name: float(value) for name, value in lines}
    assert len(found) == len(lines), "a series is there twice"
    return found


def named(name: str, **labels: str) -> str:
    """A series as it is written."""
    pairs = [f'{key}="{labels[key]}"' for key in sorted(labels)]
    return name + "{" + ",".join(pairs) + "}"
