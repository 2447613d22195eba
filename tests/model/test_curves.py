"""The curves of a run, read back: events record by record, as TensorBoard reads them, and the picture.

Here and not among the unit tests, because tensorboardX loads torch.
"""

from __future__ import annotations

import math
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from crossrank.errors import OutputError
from crossrank.training.curves import EVENTS, HEIGHT_PX, PICTURE, WIDTH_PX, _drawn, _running_mean, write_curves

Row = dict[str, Any]

HISTORY: list[Row] = [
    {"step": 0, "validation": {"mrr@10": 0.5, "ndcg@10": 0.625, "success@3": 0.75}},
    {"step": 1, "loss": 1.5, "learning_rate": 0.25, "grad_norm": 2.0, "groups_per_second": 8.0},
    {"step": 2, "loss": 1.25, "learning_rate": 0.125, "grad_norm": 1.0, "groups_per_second": 16.0, "time": 1700000000},
    {"step": 2, "validation": {"mrr@10": 0.75, "ndcg@10": 0.75, "success@3": 1.0}},
]
BASELINES = {
    "no reranker": {"mrr@10": 0.25, "ndcg@10": 0.5, "success@3": 0.5},
    "base model": {"mrr@10": 0.5, "ndcg@10": 0.625, "success@3": 0.75},
}


def events_of(path: Path) -> list[Any]:
    """The records of an events file, each checked against its checksums."""
    content, events = path.read_bytes(), []
    while content:
        (length,), (of_length,) = struct.unpack("<Q", content[:8]), struct.unpack("<I", content[8:12])
        record, (of_record,) = content[12 : 12 + length], struct.unpack("<I", content[12 + length : 16 + length])
        assert of_length == masked_crc32c(content[:8])
        assert of_record == masked_crc32c(record)
        events.append(Event.FromString(record))
        content = content[16 + length :]
    assert events[0].file_version == "brain.Event:2"
    return events[1:]


def scalars_of(path: Path) -> list[tuple[str, int, float]]:
    return [(value.tag, event.step, value.simple_value) for event in events_of(path) for value in event.summary.value]


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png[12:16] == b"IHDR"
    assert png.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


# events


def test_each_value_of_the_history_is_an_event_under_its_tag(tmp_path: Path) -> None:
    write_curves(HISTORY, tmp_path)
    assert scalars_of(tmp_path / EVENTS) == [
        ("validation/mrr@10", 0, 0.5),
        ("validation/ndcg@10", 0, 0.625),
        ("validation/success@3", 0, 0.75),
        ("train/loss", 1, 1.5),
        ("train/learning_rate", 1, 0.25),
        ("train/grad_norm", 1, 2.0),
        ("train/groups_per_second", 1, 8.0),
        ("train/loss", 2, 1.25),
        ("train/learning_rate", 2, 0.125),
        ("train/grad_norm", 2, 1.0),
        ("train/groups_per_second", 2, 16.0),
        ("validation/mrr@10", 2, 0.75),
        ("validation/ndcg@10", 2, 0.75),
        ("validation/success@3", 2, 1.0),
    ]
    assert [event.wall_time for event in events_of(tmp_path / EVENTS)] == [0, 0, 1700000000, 0]


def test_a_run_that_goes_on_has_each_event_once(tmp_path: Path) -> None:
    write_curves(HISTORY[:2], tmp_path)
    write_curves(HISTORY, tmp_path)
    write_curves(HISTORY, tmp_path)
    again = scalars_of(tmp_path / EVENTS)
    assert len(again) == 14
    assert [path.name for path in tmp_path.glob("*tfevents*")] == [EVENTS]
    write_curves(HISTORY, tmp_path / "at-once")
    assert (tmp_path / EVENTS).read_bytes() == (tmp_path / "at-once" / EVENTS).read_bytes()


def test_new_steps_are_appended_so_that_an_open_tensorboard_sees_them(tmp_path: Path) -> None:
    write_curves(HISTORY[:2], tmp_path)
    with open(tmp_path / EVENTS, "rb") as opened:
        before = opened.read()
        write_curves(HISTORY, tmp_path)
        assert before + opened.read() == (tmp_path / EVENTS).read_bytes()


def test_a_run_that_was_resumed_before_its_last_step_replaces_what_came_after(tmp_path: Path) -> None:
    write_curves(HISTORY, tmp_path)
    resumed = [*HISTORY[:2], {"step": 2, "loss": 1.0}, {"step": 3, "loss": 0.5}]
    write_curves(resumed, tmp_path)
    found = scalars_of(tmp_path / EVENTS)
    assert [(step, value) for tag, step, value in found if tag == "train/loss"] == [(1, 1.5), (2, 1.0), (3, 0.5)]


def test_an_event_that_a_kill_cut_off_is_made_whole(tmp_path: Path) -> None:
    write_curves(HISTORY, tmp_path)
    whole = (tmp_path / EVENTS).read_bytes()
    (tmp_path / EVENTS).write_bytes(whole[:-20])
    write_curves(HISTORY, tmp_path)
    assert (tmp_path / EVENTS).read_bytes() == whole


def test_of_a_step_that_was_done_twice_the_later_row_counts(tmp_path: Path) -> None:
    write_curves([{"step": 2, "loss": 9.0}, {"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}], tmp_path)
    assert scalars_of(tmp_path / EVENTS) == [("train/loss", 1, 3.0), ("train/loss", 2, 2.0)]


def test_a_loss_that_is_not_a_number_is_an_event_too(tmp_path: Path) -> None:
    write_curves([{"step": 1, "loss": math.nan}, {"step": 2, "loss": 1.0}], tmp_path)
    [(_, _, first), second] = scalars_of(tmp_path / EVENTS)
    assert math.isnan(first)
    assert second == ("train/loss", 2, 1.0)


def test_what_was_not_measured_is_no_event(tmp_path: Path) -> None:
    write_curves([{"step": 1, "loss": None, "skipped": 1}, {"step": 2, "loss": 1.0}], tmp_path)
    assert scalars_of(tmp_path / EVENTS) == [("train/skipped", 1, 1.0), ("train/loss", 2, 1.0)]


def test_an_empty_history_writes_nothing(tmp_path: Path) -> None:
    assert write_curves([], tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


# the picture


def test_the_picture_has_the_said_size(tmp_path: Path) -> None:
    written = write_curves(HISTORY, tmp_path, BASELINES)
    assert written == {EVENTS: tmp_path / EVENTS, PICTURE: tmp_path / PICTURE}
    assert size_of((tmp_path / PICTURE).read_bytes()) == (WIDTH_PX, HEIGHT_PX)


@pytest.mark.parametrize(
    "history",
    [
        HISTORY[:1],  # validation at step 0 alone
        HISTORY[1:2],  # one step
        [{"step": step, "loss": 1 / (step + 1)} for step in range(200)],
        [{"step": step, "loss": math.nan} for step in range(200)],
        [{"step": 0, "validation": {"mrr@10": math.nan}}],
    ],
)
def test_a_history_of_any_kind_is_drawn_at_the_said_size(history: list[Row], tmp_path: Path) -> None:
    write_curves(history, tmp_path, BASELINES)
    assert size_of((tmp_path / PICTURE).read_bytes()) == (WIDTH_PX, HEIGHT_PX)


def test_a_baseline_is_a_line_in_the_picture() -> None:
    series = {"validation/mrr@10": [(0, 0.5), (1, 0.6)]}
    assert _drawn(series, {}) == _drawn(series, {"base model": {"ndcg@10": 0.55}}), "of a measure that is not drawn"
    assert _drawn(series, {}) != _drawn(series, {"base model": {"mrr@10": 0.55}})


def test_the_loss_of_guessing_is_a_line_beside_the_loss() -> None:
    loss = {"train/loss": [(1, 2.1), (2, 1.4)]}
    assert _drawn(loss, {}) != _drawn(loss | {"train/uniform_loss": [(1, 2.08), (2, 2.08)]}, {})
    assert _drawn(loss, {}) == _drawn(loss | {"train/uniform_loss": [(1, math.nan)]}, {}), "nothing to learn, no line"


def test_the_loss_is_smoothed_by_the_mean_of_the_last_values() -> None:
    points = [(1, 1.0), (2, 3.0), (3, math.nan), (4, 5.0), (5, math.inf), (6, 7.0)]
    assert _running_mean(points, 2) == [(2, 2.0), (4, 4.0), (6, 6.0)]


def test_drawing_leaves_the_global_state_of_matplotlib_alone() -> None:
    command = """
import sys
import crossrank.training.curves as curves
assert not {"matplotlib", "tensorboardX"} & set(sys.modules), "imported at once"
curves._drawn({"train/loss": [(0, 1.0), (1, 0.5)]}, {})
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match=f"{tmp_path}/file/{EVENTS}"):
        write_curves(HISTORY, tmp_path / "file")
