"""Pictures of a report, as coordinates in an SVG or as shares of a width: the template draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from crossrank.evaluation.cells import Json, names_of
from crossrank.evaluation.measures import MAIN
from crossrank.evaluation.verdict import marks_of
from crossrank.evaluation.wording import label_of, mean_text, number_text, with_minus

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 88, 20, 16, 66
"""Margins of a picture, in the units of its view box: room for letters that are twice as large on a phone."""


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: a linear scale from values to coordinates of a picture."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Round values with their labels, three to seven of them."""
        span = self.high - self.low or 1.0
        step = 10 ** math.floor(math.log10(span / 3))
        step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 6.5)
        first = math.ceil(self.low / step - 1e-9)
        values = [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]
        return [(value, with_minus(f"{value:.6g}")) for value in values]


def _frame(x: Axis, y: Axis, x_label: str, y_label: str) -> Json:
    return {
        "x_ticks": [(x(value), label) for value, label in x.ticks()],
        "y_ticks": [(y(value), label) for value, label in y.ticks()],
        "x_label": x_label,
        "y_label": y_label,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "top": TOP,
        "bottom": HEIGHT - BOTTOM,
    }


def _x(low: float, high: float) -> Axis:
    return Axis(low, high, LEFT, WIDTH - RIGHT)


def _y(low: float, high: float) -> Axis:
    return Axis(low, high, HEIGHT - BOTTOM, TOP)


def forest(results: Json) -> Json:
    """Forest plot: the main measure of every row with its interval, on one scale; places in percent of the width."""
    means = results["tables"]["retrieved"]["means"]
    marks = marks_of(results, "retrieved")
    bounds = {name: found[MAIN]["interval"] or [found[MAIN]["mean"]] * 2 for name, found in means.items()}
    low, high = min(low for low, _ in bounds.values()), max(high for _, high in bounds.values())
    pad = max(0.01, (high - low) * 0.08)
    place = Axis(max(0.0, low - pad), min(1.0, high + pad), 0, 100)
    without = next((means[row["name"]][MAIN]["mean"] for row in results["rows"] if row["model"] is None), None)
    return {
        "measure": label_of(MAIN),
        "ticks": [(place(value), label) for value, label in place.ticks()],
        "without": None if without is None else place(without),
        "rows": [
            {
                "name": shown,
                "mark": marks.get((name, MAIN), ""),
                "value": f"{means[name][MAIN]['mean']:.3f}",
                "description": f"{shown}: {label_of(MAIN)} {mean_text(means[name][MAIN])}",
                "at": place(means[name][MAIN]["mean"]),
                "low": place(bounds[name][0]),
                "width": round(place(bounds[name][1]) - place(bounds[name][0]), 1),
                "is_model": next(row["model"] is not None for row in results["rows"] if row["name"] == name),
            }
            for name, shown in names_of(results).items()
        ],
    }


def speed(results: Json) -> Json | None:
    """Scatter plot of quality against speed: a point a model, pairs a second on a logarithmic axis."""
    means = results["tables"]["retrieved"]["means"]
    points = [
        (names_of(results)[row["name"]], row["pairs_per_second"], means[row["name"]][MAIN])
        for row in results["rows"]
        if row["pairs_per_second"]
    ]
    if not points:
        return None
    logs = [math.log10(speed) for _, speed, _ in points]
    bounds = [bound for _, _, mean in points for bound in (mean["interval"] or [mean["mean"]] * 2)]
    without = next((means[row["name"]][MAIN]["mean"] for row in results["rows"] if row["model"] is None), None)
    if without is not None:
        bounds.append(without)
    pad = max(0.02, (max(bounds) - min(bounds)) * 0.1)
    x = _x(min(logs) - 0.3, max(logs) + 0.3)
    y = _y(max(0.0, min(bounds) - pad), min(1.0, max(bounds) + pad))
    frame = _frame(x, y, "pairs a second", label_of(MAIN))
    frame["x_ticks"] = [(x(math.log10(value)), number_text(value)) for value in _decades(10**x.low, 10**x.high)]
    return frame | {
        "without": None if without is None else y(without),
        "points": [
            {
                "number": number,
                "description": f"{name}: {number_text(speed)} pairs a second, {label_of(MAIN)} {mean_text(mean)}",
                "x": x(math.log10(speed)),
                "y": y(mean["mean"]),
                "low": y((mean["interval"] or [mean["mean"]] * 2)[0]),
                "high": y((mean["interval"] or [mean["mean"]] * 2)[1]),
            }
            for number, (name, speed, mean) in enumerate(points, start=1)
        ],
    }


def _decades(low: float, high: float) -> list[float]:
    """The numbers 1, 2, 5, 10, 20, 50 ... between two bounds."""
    start, end = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [
        value for n in range(start, end + 1) for value in (10.0**n, 2 * 10.0**n, 5 * 10.0**n) if low <= value <= high
    ]


def distribution(name: str, found: Json) -> Json:
    """Histogram of the scores of relevant and of other documents; the shares of each add up to one."""
    edges: Sequence[float] = found["edges"]
    shares = {kind: _shares(found[kind]) for kind in ("other", "relevant")}
    x = _x(edges[0], edges[-1])
    y = _y(0.0, max(max(values) for values in shares.values()) * 1.05 or 1.0)
    frame = _frame(x, y, "score", "share")
    return frame | {"name": name, "steps": {kind: _steps(values, edges, x, y) for kind, values in shares.items()}}


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def _steps(values: Sequence[float], edges: Sequence[float], x: Axis, y: Axis) -> str:
    """The outline of a histogram."""
    points = [(x(edges[0]), y(0))]
    for value, low, high in zip(values, edges, edges[1:], strict=False):
        points += [(x(low), y(value)), (x(high), y(value))]
    points.append((x(edges[-1]), y(0)))
    return " ".join(f"{across},{up}" for across, up in points)


def reliability(name: str, found: Json) -> Json:
    """Reliability curve: the share of documents that are relevant, against the sigmoid of their score."""
    x, y = _x(0.0, 1.0), _y(0.0, 1.0)
    most = max(each["documents"] for each in found["reliability"])
    points = [
        {
            "x": x(each["predicted"]),
            "y": y(each["relevant"]),
            "radius": round(3 + 9 * math.sqrt(each["documents"] / most), 1),
            "description": f"{each['documents']:,} documents: the score says {each['predicted']:.2f}, relevant are "
            f"{each['relevant']:.2f}",
        }
        for each in found["reliability"]
    ]
    frame = _frame(x, y, "what the score says", "share relevant")
    return frame | {"name": name, "points": points, "line": " ".join(f"{each['x']},{each['y']}" for each in points)}
