"""The curves of a training run: TensorBoard events, and one picture for those who have no TensorBoard open.

Both are made from the whole history each time, so a run that was resumed has each step once.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crossrank import storage
from crossrank.errors import OutputError

EVENTS = "events.out.tfevents.crossrank"
"""Name of the events file; TensorBoard takes any with ``tfevents`` in it."""
PICTURE = "curves.png"
WIDTH_PX, HEIGHT_PX = 1200, 800
DPI = 100
SMOOTHED_FROM = 60
"""Steps of a run from which on a running mean is drawn over the loss: single steps then hide where it goes."""
GUESSING = "train/uniform_loss"
"""Series of the loss of a model that gives all documents of a group one score."""
INK, FAINT, GREY = "#1f4e79", "#a9c4de", "#8a8a8a"

History = Sequence[Mapping[str, Any]]
Series = dict[str, list[tuple[int, float]]]
"""Steps and values by tag, steps rising."""


def write_curves(
    history: History, folder: Path, baselines: Mapping[str, Mapping[str, float]] | None = None
) -> dict[str, Path]:
    """Write `EVENTS` and `PICTURE` into `folder`; write nothing where the history is empty.

    A history that goes on where the last one ended is appended to the events, and a TensorBoard that is open follows.
    Any other history takes the place of the old one, and an open TensorBoard has to be started again.

    Args:
        history: training rows ``{"step": int, "loss": float, ...}`` and validation rows ``{"step": int, "validation":
            {"mrr@10": float, ...}}``, in any mixture. Of two training or two validation rows of a step the later
            counts. The mean ``uniform_loss``, that of a model which cannot tell documents apart, is a line beside the
            loss. A row may have its ``time``, in seconds since 1970.
        baselines: measures of step 0, by the name of what was measured: horizontal lines beside the validation.

    Returns:
        Paths of what was written, by file name.
    """
    rows = list({(row["step"], "validation" in row): row for row in history}.values())
    rows.sort(key=lambda row: row["step"])
    if not rows:
        return {}
    events, picture = folder / EVENTS, folder / PICTURE
    _put(events, _records(rows))
    storage.write_bytes(str(picture), _drawn(_series(rows), baselines or {}))
    return {EVENTS: events, PICTURE: picture}


def _values(row: Mapping[str, Any]) -> dict[str, float]:
    """The values of a row by their tags, as TensorBoard shows them; what was not measured (None) is left out."""
    if "validation" in row:
        kind, values = "validation", row["validation"]
    else:
        kind, values = "train", {name: value for name, value in row.items() if name not in ("step", "time")}
    return {f"{kind}/{name}": float(value) for name, value in values.items() if value is not None}


def _series(rows: History) -> Series:
    series: Series = {}
    for row in rows:
        for tag, value in _values(row).items():
            series.setdefault(tag, []).append((row["step"], value))
    return series


# events


def _records(rows: History) -> bytes:
    """The bytes of the events file. They depend on the rows alone: more rows only add to the end."""
    # tensorboardX's SummaryWriter adds the time of writing, and writes "_" for the "@" of a measure's name.
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    events = [Event(file_version="brain.Event:2")]
    for row in rows:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in _values(row).items()]
        events.append(Event(wall_time=row.get("time", 0), step=row["step"], summary=Summary(value=values)))
    return b"".join(_framed(event.SerializeToString()) for event in events)


def _framed(record: bytes) -> bytes:
    """A record as the file holds it: length and content, each followed by a checksum."""
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(record))
    checksums = [struct.pack("<I", masked_crc32c(content)) for content in (length, record)]
    return length + checksums[0] + record + checksums[1]


def _put(path: Path, content: bytes) -> None:
    """Make the file hold `content`: append where the file is a beginning of it, else replace the file."""
    try:
        held = path.read_bytes() if path.exists() else b""
        if held and content.startswith(held):  # what a kill left half written is a beginning too
            with open(path, "ab") as file:
                file.write(content[len(held) :])
            return
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    storage.write_bytes(str(path), content)


# the picture


def _drawn(series: Series, baselines: Mapping[str, Mapping[str, float]]) -> bytes:
    """The picture as PNG: loss and learning rate above, a panel for each measure of the validation below."""
    from matplotlib.figure import Figure  # not pyplot, whose state is the whole process's

    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, layout="constrained")
    measures = [tag for tag in series if tag.startswith("validation/")]
    rows = figure.subfigures(2 if measures else 1, 1, squeeze=False)[:, 0]
    loss, learning_rate = rows[0].subplots(1, 2)
    _draw_loss(_panel(loss, "training loss"), series.get("train/loss", []), series.get(GUESSING, []))
    _panel(learning_rate, "learning rate").plot(*_columns(series.get("train/learning_rate", [])), color=INK, lw=1.4)
    learning_rate.yaxis.set_major_formatter("{x:.3g}")  # the default formatter puts a power of ten over the title
    if measures:
        for axes, tag in zip(rows[1].subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
            name = tag.removeprefix("validation/")
            _draw_measure(_panel(axes, f"{name}, held out"), series[tag])
            _draw_baselines(axes, {who: values[name] for who, values in baselines.items() if name in values})
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DPI)
    return picture.getvalue()


def _panel(axes: Any, title: str) -> Any:
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("step", color=GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=GREY, labelsize=9)
    axes.xaxis.get_major_locator().set_params(integer=True)
    return axes


def _draw_loss(axes: Any, points: list[tuple[int, float]], guessing: list[tuple[int, float]]) -> None:
    if len(points) < SMOOTHED_FROM:
        axes.plot(*_columns(points), color=INK, lw=1.4, marker="." if len(points) < 2 else None)
    else:
        axes.plot(*_columns(points), color=FAINT, lw=0.6)
        axes.plot(*_columns(_running_mean(points, len(points) // 20)), color=INK, lw=1.6)
    finite = [value for _, value in guessing if math.isfinite(value)]
    if finite:
        _draw_baselines(axes, {"guessing": math.fsum(finite) / len(finite)})


def _running_mean(points: list[tuple[int, float]], window: int) -> list[tuple[int, float]]:
    """Means of `window` values in a row, each at the last of their steps; values that are not finite are left out."""
    finite = [(step, value) for step, value in points if math.isfinite(value)]
    return [
        (finite[end - 1][0], math.fsum(value for _, value in finite[end - window : end]) / window)
        for end in range(window, len(finite) + 1)
    ]


def _draw_measure(axes: Any, points: list[tuple[int, float]]) -> None:
    axes.plot(*_columns(points), color=INK, lw=1.4, marker="o", ms=3)
    finite = [point for point in points if math.isfinite(point[1])]
    if finite:
        step, best = max(finite, key=lambda point: point[1])
        axes.plot([step], [best], color=INK, marker="o", ms=7)
        axes.annotate(
            f"{best:.3f}",
            (step, best),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            color=INK,
            fontsize=9,
            annotation_clip=False,
        )


def _draw_baselines(axes: Any, values: Mapping[str, float]) -> None:
    """Draw dashed lines; the name of the highest stands above it, those of the others below."""
    for place, (who, value) in enumerate(sorted(values.items(), key=lambda each: -each[1])):
        axes.axhline(value, color=GREY, lw=0.9, ls=(0, (4, 3)), zorder=0)
        axes.annotate(
            f"{who} {value:.3f}",
            (1, value),
            xycoords=axes.get_yaxis_transform(),
            xytext=(0, -3 if place else 3),
            textcoords="offset points",
            ha="right",
            va="top" if place else "bottom",
            color=GREY,
            fontsize=9,
        )
    axes.margins(y=0.15)


def _columns(points: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [step for step, _ in points], [value for _, value in points]
