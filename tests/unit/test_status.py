"""`crossrank status OUTPUT`."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from crossrank.cli import main
from crossrank.errors import InputError
from crossrank.status import status


def write(folder: Path, name: str, content: dict[str, Any] | str = "", age_s: float = 0.0) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    written = time.time() - age_s
    os.utime(file, (written, written))


CODE = {"version": "0.1.0", "commit": "0123456789ab"}


@pytest.fixture
def running(tmp_path: Path) -> Path:
    """A rerank job of 10 queries in three blocks, of which the first and the last are done."""
    write(tmp_path, "_manifest.json", {"kind": "rerank", "state": "running", "crossrank": CODE, "started": 0.0}, 100)
    write(tmp_path, "_prepared/plan.json", {"rows_of_blocks": [4, 4, 2]}, 90)
    write(tmp_path, "part-00000.parquet", "x", 60)
    write(tmp_path, "part-00002.parquet", "x", 30)
    return tmp_path


def test_a_running_job_tells_what_is_done_and_when_it_last_wrote(running: Path) -> None:
    told = status(str(running))
    assert told["state"] == "running"
    assert told["crossrank"] == "0.1.0, commit 0123456789ab"
    assert told["parts_done"] == "2 of 3"
    assert told["rows_done"] == "6 of 10"
    assert told["last_written"] in ("30 s ago", "31 s ago")
    assert "rows" not in told


def test_a_job_that_is_still_preparing_has_no_rows_yet(tmp_path: Path) -> None:
    write(tmp_path, "_manifest.json", {"kind": "mine", "state": "running", "crossrank": CODE, "started": 0.0}, 2)
    told = status(str(tmp_path))
    assert told["job"] == "mine"
    assert told["parts_done"] == 0
    assert "rows_done" not in told


def test_a_filter_has_its_plan_in_the_manifest(tmp_path: Path) -> None:
    plan = {"rows_of_blocks": [100, 50]}
    write(tmp_path, "_manifest.json", {"kind": "filter", "state": "running", "crossrank": CODE, "plan": plan})
    write(tmp_path, "part-00001.parquet")
    assert status(str(tmp_path))["rows_done"] == "50 of 150"


def test_a_training_tells_its_steps(tmp_path: Path) -> None:
    manifest = {"kind": "train", "state": "running", "crossrank": CODE, "sizes": {"num_steps": 300}}
    write(tmp_path, "_manifest.json", manifest)
    for step in (100, 200):
        write(tmp_path, f"_checkpoint/step-{step:08}/training.pt")
    told = status(str(tmp_path))
    assert (told["steps_saved"], told["steps_in_all"]) == (200, 300)


def test_a_finished_job_tells_its_rows_and_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"in": 1200, "out": 1199, "rejected": {"empty_query": 1}, "resumed": 0}
    manifest = {"kind": "rerank", "state": "finished", "crossrank": CODE, "rows": rows, "seconds": {"score": 1.25}}
    write(tmp_path, "_manifest.json", manifest | {"started": 0.0, "finished": 60.0})
    main(["status", str(tmp_path)])
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["rows"] == "in 1,200, out 1,199, rejected empty_query 1, resumed 0"
    assert lines["seconds"] == "score 1.2"
    assert "last" not in lines
    main(["status", str(tmp_path), "--json"])
    assert json.loads(capsys.readouterr().out)["rows"] == rows


def test_a_folder_of_no_job_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no _manifest\.json; name the --output of a job"):
        status(str(tmp_path))
