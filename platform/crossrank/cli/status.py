"""`crossrank status OUTPUT`: how far a job is, by what lies in its output; the job itself is not asked."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from crossrank import storage
from crossrank.errors import InputError
from crossrank.resumable.layout import Layout
from crossrank.resumable.manifest_shape import MayLack, OrNull, Shape, is_count, is_dict, list_of, misfit
from crossrank.resumable.output import Manifest, manifest_of, read_json
from crossrank.storage.files import StoredFile
from crossrank.storage.lease import LOCK
from crossrank.telemetry.figures import in_words
from crossrank.translation.parts import sizes_of
from crossrank.verbs import VERBS

CHECKPOINT = "/_checkpoint/step-"
LOCKS = Path("/proc/locks")
"""The kernel's list of locks and holders. Reading it is harmless; trying a lock could refuse a job that starts."""
SILENT_S = 60.0
"""Seconds after which a claim that was not renewed is that of a killed job; a job renews its claim every 5 s."""

SHOWN: Mapping[str, Shape] = {
    "settings": MayLack(OrNull(is_dict)),
    "crossrank": MayLack(OrNull(is_dict)),
    "plan": MayLack(OrNull({"rows_of_blocks": MayLack(OrNull(list_of(is_count)))})),
    "sizes": MayLack(OrNull(is_dict)),
}
"""What is read of a manifest, beside what is shown as it stands."""


def status(output: str, as_json: bool = False) -> dict[str, Any]:
    """Show how far a job is: its state, the rows or steps that are done, and when it last wrote something.

    Reads only what lies in the output, local or s3://; the job itself is not asked. Whether it is at work shows in its
    lock, on a disk of this machine, or in its claim, in an object store; else in the time since it last wrote. The
    state is running where this machine can see that, unfinished where it cannot (another machine may be at work on a
    disk that both mount), or finished, then with rows and seconds.
    """
    if not storage.exists(manifest_of(output)):
        raise InputError(f"{output} holds no _manifest.json; name the --output of a job, which writes it first")
    manifest = read_json(manifest_of(output))
    broken = misfit(manifest, SHOWN)
    if broken is not None:
        raise InputError(f"{manifest_of(output)} is damaged ({broken}); the job that wrote it has to start afresh")
    report = _report(output, manifest, time.time())
    if as_json:
        print(json.dumps(report, ensure_ascii=False))
    else:
        for name, value in report.items():
            print(f"{name.replace('_', ' '):14} {in_words(value)}")
    return report


def _report(output: str, manifest: Manifest, now: float) -> dict[str, Any]:
    files = storage.list_files(output, recursive=True)
    written = [file.modified for file in files if not file.uri.endswith(f"/{LOCK}")]
    code = manifest.get("crossrank") or {}
    is_finished = manifest.get("state") == "finished"
    ended = manifest.get("finished") if is_finished else None  # lost parts may be made again since
    at_work = None if is_finished else _at_work(output, files, now)
    report: dict[str, Any] = {
        "job": manifest.get("kind", "rerank"),
        # The manifest of a job that was stopped still says running.
        "state": "unfinished" if at_work is not None and not at_work.is_seen else manifest.get("state"),
        "at_work": None if at_work is None else at_work.sentence,
        "crossrank": f"{code.get('version')}, commit {code.get('commit') or 'unknown'}",
        "started": _clock(manifest.get("started")),
        "finished": _clock(ended),
        "last_written": None if is_finished or not written else f"{now - max(written):.0f} s ago",
        **_progress(output, manifest, [file.uri for file in files]),
        "rows": manifest.get("rows") if is_finished else None,
        "seconds": manifest.get("seconds") if is_finished else None,
    }
    return {name: value for name, value in report.items() if value is not None}


class _AtWork(NamedTuple):
    """Whether a job is at work on an output, as far as this machine can see."""

    is_seen: bool
    sentence: str


def _at_work(output: str, files: list[StoredFile], now: float) -> _AtWork:
    if not storage.is_s3(output):
        holder = _holder(Path(storage.absolute(output)) / LOCK)
        # A job of another machine, on a disk that both mount, holds its lock there.
        return _AtWork(
            holder is not None,
            "no process of this machine" if holder is None else f"yes, process {holder} of this machine",
        )
    claims = [file.modified for file in files if file.uri == storage.join(output, LOCK)]
    if not claims:  # a job has none where the store knows no conditions
        return _AtWork(False, "nobody has a claim on it; where no job runs, the same command goes on where it was")
    age = now - claims[0]
    if age > SILENT_S:
        return _AtWork(False, f"no, it was last heard of {age:.0f} s ago; the same command goes on where it was")
    return _AtWork(True, f"yes, heard of {max(age, 0):.0f} s ago")


def _holder(lock: Path) -> int | None:
    """The process of this machine that holds a lock."""
    try:
        status, lines = lock.stat(), LOCKS.read_text().splitlines()
    except OSError:
        return None
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in lines:
        words = line.split()
        if "->" not in words and place in words:  # an arrow is before those that wait for it
            return int(words[words.index(place) - 1])
    return None


def _progress(output: str, manifest: Manifest, files: list[str]) -> dict[str, Any]:
    """The rows or steps that are done, and of how many, where the job has worked that out."""
    if manifest.get("state") == "finished":
        return {}
    verb = VERBS.get(manifest.get("kind", "rerank"))
    if verb is not None and verb.progress == "checkpoints":
        return _of_checkpoints(manifest, files)
    if verb is not None and verb.progress == "models":
        return _of_models(output, manifest, files)
    of_texts = _of_texts(output) if manifest.get("kind") == "translate" else {}
    return _of_parts(storage.absolute(output), manifest) | of_texts


def _of_checkpoints(manifest: Manifest, files: list[str]) -> dict[str, Any]:
    saved = [int(uri.partition(CHECKPOINT)[2].split("/")[0]) for uri in files if CHECKPOINT in uri]
    return {"steps_saved": max(saved, default=0), "steps_in_all": (manifest.get("sizes") or {}).get("num_steps")}


def _of_parts(output: str, manifest: Manifest) -> dict[str, Any]:
    layout = Layout(output)
    done = layout.finished_parts()
    sizes = _rows_of_blocks(layout, manifest)
    if not sizes:
        return {"parts_done": len(done)}
    rows = sum(size for number, size in enumerate(sizes) if number in done)
    return {"parts_done": f"{len(done):,} of {len(sizes):,}", "rows_done": f"{rows:,} of {sum(sizes):,}"}


def _of_texts(output: str) -> dict[str, Any]:
    """Progress of a translation before its first part: the texts that its memory lacked, and what it has paid."""
    plan, spent = (storage.join(output, name) for name in ("_prepared/plan.json", "_spent.json"))
    missing = read_json(plan)["missing"]["texts"] if storage.exists(plan) else None
    return {"texts_to_translate": missing, **({"spent": read_json(spent)} if storage.exists(spent) else {})}


def _of_models(output: str, manifest: Manifest, files: list[str]) -> dict[str, Any]:
    """Each model is a rerank job of its own, in a folder of the output."""
    rows = storage.join(storage.absolute(output), "_rows/")
    jobs = [uri for uri in files if uri.startswith(rows) and uri.endswith("/_manifest.json")]
    manifests = {uri.rpartition("/")[0]: read_json(uri) for uri in jobs}
    running = [folder for folder, each in manifests.items() if each.get("state") != "finished"]
    models = len((manifest.get("settings") or {}).get("models") or ())
    report: dict[str, Any] = {"models_scored": f"{len(manifests) - len(running):,} of {models:,}"}
    for folder in running:
        model = (manifests[folder].get("settings") or {}).get("model")
        report |= {"model": model} | _of_parts(folder, manifests[folder])
    return report


def _rows_of_blocks(layout: Layout, manifest: Manifest) -> list[int]:
    plan = manifest.get("plan") or (read_json(layout.plan) if storage.exists(layout.plan) else {})
    if manifest.get("kind") == "translate" and plan:
        return sizes_of(plan["groups"], manifest["settings"]["groups_per_part"])
    found: list[int] = plan.get("rows_of_blocks") or []
    return found


def _clock(at: Any) -> str | None:
    return None if not isinstance(at, int | float) else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
