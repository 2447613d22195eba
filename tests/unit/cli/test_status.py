"""`crossrank status OUTPUT`."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from crossrank.cli import status as status_module
from crossrank.cli.main import main
from crossrank.cli.status import status
from crossrank.errors import InputError
from crossrank.storage.files import StoredFile


def write(folder: Path, name: str, content: dict[str, Any] | str = "", age_s: float = 0.0) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    written = time.time() - age_s
    os.utime(file, (written, written))


CODE = {"version": "0.1.0", "commit": "0123456789ab"}


@pytest.fixture
def running(tmp_path: Path) -> Path:
    """What a rerank job of 10 queries in three blocks has written, of which the first and the last are done."""
    write(tmp_path, "_manifest.json", {"kind": "rerank", "state": "running", "crossrank": CODE, "started": 0.0}, 100)
    write(tmp_path, "_prepared/plan.json", {"rows_of_blocks": [4, 4, 2]}, 90)
    write(tmp_path, "part-00000.parquet", "x", 60)
    write(tmp_path, "part-00002.parquet", "x", 30)
    return tmp_path


def test_an_unfinished_job_tells_what_is_done_and_when_it_last_wrote(running: Path) -> None:
    report = status(str(running))
    assert report["state"] == "unfinished", "nobody is at work, whatever the manifest of a job that was killed says"
    assert report["crossrank"] == "0.1.0, commit 0123456789ab"
    assert report["parts_done"] == "2 of 3"
    assert report["rows_done"] == "6 of 10"
    assert report["last_written"] in ("30 s ago", "31 s ago")
    assert "rows" not in report


def test_a_job_that_is_still_preparing_has_no_rows_yet(tmp_path: Path) -> None:
    write(tmp_path, "_manifest.json", {"kind": "mine", "state": "running", "crossrank": CODE, "started": 0.0}, 2)
    report = status(str(tmp_path))
    assert report["job"] == "mine"
    assert report["parts_done"] == 0
    assert "rows_done" not in report


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
    report = status(str(tmp_path))
    assert (report["steps_saved"], report["steps_in_all"]) == (200, 300)


def test_a_translation_tells_its_texts_what_it_spent_and_its_parts(tmp_path: Path) -> None:
    settings = {"groups_per_part": 1000}
    manifest = {"kind": "translate", "state": "running", "crossrank": CODE, "settings": settings}
    write(tmp_path, "_manifest.json", manifest)
    assert status(str(tmp_path))["parts_done"] == 0
    write(tmp_path, "_prepared/plan.json", {"groups": 2500, "missing": {"texts": 300, "characters": 9000}})
    write(tmp_path, "_spent.json", {"characters": 4000, "usd": 0.06})
    report = status(str(tmp_path))
    assert (report["texts_to_translate"], report["spent"]) == (300, {"characters": 4000, "usd": 0.06})
    assert (report["parts_done"], report["rows_done"]) == ("0 of 3", "0 of 2,500")
    write(tmp_path, "part-00002.parquet")
    assert status(str(tmp_path))["rows_done"] == "500 of 2,500"  # the last one is short


def test_an_evaluation_tells_which_model_is_scored_and_how_far(tmp_path: Path) -> None:
    settings = {"models": ["base=a", "tuned=b", "other=c"]}
    manifest = {"kind": "evaluate", "state": "running", "crossrank": CODE, "settings": settings}
    write(tmp_path, "_manifest.json", manifest)
    assert status(str(tmp_path))["models_scored"] == "0 of 3"
    job = {"kind": "rerank", "crossrank": CODE}
    write(tmp_path, "_rows/base-1/_manifest.json", job | {"state": "finished"})
    write(tmp_path, "_rows/tuned-2/_manifest.json", job | {"state": "running", "settings": {"model": "b"}})
    write(tmp_path, "_rows/tuned-2/_prepared/plan.json", {"rows_of_blocks": [4, 4, 2]})
    write(tmp_path, "_rows/tuned-2/part-00001.parquet")
    report = status(str(tmp_path))
    assert (report["models_scored"], report["model"], report["rows_done"]) == ("1 of 3", "b", "4 of 10")


# whether it is at work


def test_a_job_that_holds_its_lock_is_at_work_and_one_that_died_is_not(running: Path) -> None:
    assert status(str(running))["at_work"] == "no process of this machine"
    holds = (
        "import sys; from crossrank.resumable.output import alone\n"
        "with alone(sys.argv[1]): print(1, flush=True); input()"
    )
    command = [sys.executable, "-c", holds, str(running)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as job:
        assert job.stdout is not None
        job.stdout.readline()
        assert status(str(running))["at_work"] == f"yes, process {job.pid} of this machine"
        assert status(str(running))["at_work"].startswith("yes"), "asking took the lock away"
        assert status(str(running))["state"] == "running"
        job.kill()
        job.wait()
    assert status(str(running))["at_work"] == "no process of this machine"


def test_to_ask_does_not_take_the_lock(running: Path) -> None:
    status(str(running))
    assert not (running / "_lock").exists()


def test_a_lock_says_nothing_of_when_rows_were_written(running: Path) -> None:
    write(running, "_lock")
    assert status(str(running))["last_written"] in ("30 s ago", "31 s ago")


def test_in_an_object_store_the_claim_tells_whether_somebody_is_at_work() -> None:
    output, now = "s3://bucket/out", 1_000.0

    def at_work(*files: StoredFile) -> str:
        return status_module._at_work(output, list(files), now).sentence

    def claim(age: float) -> StoredFile:
        return StoredFile(f"{output}/_lock", 10, now - age)

    assert at_work(StoredFile(f"{output}/part-00000.parquet", 10, now)).startswith("nobody has a claim on it; ")
    assert at_work(claim(4.0)) == "yes, heard of 4 s ago"
    assert at_work(claim(61.0)) == "no, it was last heard of 61 s ago; the same command goes on where it was"
    assert at_work(claim(-2.0)) == "yes, heard of 0 s ago", "the store's clock is ahead"


def test_a_finished_job_tells_its_rows_and_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"in": 1200, "out": 1199, "rejected": {"empty_query": 1}, "resumed": 0}
    manifest = {"kind": "rerank", "state": "finished", "crossrank": CODE, "rows": rows, "seconds": {"score": 1.25}}
    write(tmp_path, "_manifest.json", manifest | {"started": 0.0, "finished": 60.0})
    main(["status", str(tmp_path)])
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["rows"] == "in 1,200, out 1,199, rejected 1 empty_query, resumed 0"
    assert lines["seconds"] == "score 1.25"
    assert "last" not in lines
    main(["status", str(tmp_path), "--json"])
    assert json.loads(capsys.readouterr().out)["rows"] == rows


def test_a_folder_of_no_job_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no _manifest\.json; name the --output of a job"):
        status(str(tmp_path))
