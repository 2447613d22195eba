"""`crossrank status OUTPUT`: how far a job is, by what lies in its output; the job itself is not asked."""

from __future__ import annotations

import json
import time
from typing import Any

from crossrank import storage
from crossrank.errors import InputError
from crossrank.outputs import Manifest, manifest_of, read_json
from crossrank.reranking.layout import Layout

CHECKPOINT = "/_checkpoint/step-"


def status(output: str, as_json: bool = False) -> dict[str, Any]:
    """Say how far a job is: its state, rows or steps that are done, and when it last wrote something.

    Reads what lies in the output, local or s3://, and asks nobody: a job that was killed is told by the time since it
    wrote. A job that is finished tells its rows and seconds.
    """
    if not storage.exists(manifest_of(output)):
        raise InputError(f"{output} holds no _manifest.json; name the --output of a job, which writes it first")
    manifest = read_json(manifest_of(output))
    told = _told(output, manifest, time.time())
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        for name, value in told.items():
            print(f"{name.replace('_', ' '):14} {_shown(value)}")
    return told


def _told(output: str, manifest: Manifest, now: float) -> dict[str, Any]:
    files = storage.list_files(output, recursive=True)
    code = manifest.get("crossrank") or {}
    ended = manifest.get("finished")
    told: dict[str, Any] = {
        "job": manifest.get("kind", "rerank"),
        "state": manifest.get("state"),
        "crossrank": f"{code.get('version')}, commit {code.get('commit') or 'unknown'}",
        "started": _clock(manifest.get("started")),
        "finished": _clock(ended),
        "last_written": f"{now - max(file.modified for file in files):.0f} s ago" if ended is None else None,
        **_progress(output, manifest, [file.uri for file in files]),
        "rows": manifest.get("rows"),
        "seconds": manifest.get("seconds"),
    }
    return {name: value for name, value in told.items() if value is not None}


def _progress(output: str, manifest: Manifest, files: list[str]) -> dict[str, Any]:
    """Rows or steps that are done, of how many, where the job has worked it out."""
    if manifest.get("state") == "finished":
        return {}
    if manifest.get("kind") == "train":
        saved = [int(uri.partition(CHECKPOINT)[2].split("/")[0]) for uri in files if CHECKPOINT in uri]
        return {"steps_saved": max(saved, default=0), "steps_in_all": (manifest.get("sizes") or {}).get("num_steps")}
    layout = Layout(storage.absolute(output))
    done = layout.finished_parts()
    sizes = _rows_of_blocks(layout, manifest)
    if not sizes:
        return {"parts_done": len(done)}
    rows = sum(size for number, size in enumerate(sizes) if number in done)
    return {"parts_done": f"{len(done):,} of {len(sizes):,}", "rows_done": f"{rows:,} of {sum(sizes):,}"}


def _rows_of_blocks(layout: Layout, manifest: Manifest) -> list[int]:
    plan = manifest.get("plan") or (read_json(layout.plan) if storage.exists(layout.plan) else {})
    found: list[int] = plan.get("rows_of_blocks") or []
    return found


def _clock(at: float | None) -> str | None:
    return None if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items() if each not in ({}, [], None))
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
