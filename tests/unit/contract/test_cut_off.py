"""A job that is cut off anywhere can be gone on with, also where it was to replace another."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossrank.errors import OutputError
from crossrank.resumable.output import manifest_of, read_json, write_json
from tests.unit.contract.conftest import Finished
from tests.unit.contract.cut import killed_at
from tests.unit.contract.verbs import Verb, at, killed_by, result_of

CHANGES = (*range(12), *range(12, 1000, 9))
"""Of the storage, before which jobs are killed: what a job replaces is among the first."""


def gone_on_with(verb: Verb, settings: Any) -> dict[str, bytes] | None:
    """The result of a job that goes on; None where it is refused as one with other settings."""
    try:
        verb.run(settings)
    except OutputError as error:
        if "holds a job with other settings" not in str(error):
            raise
        return None
    return result_of(verb, settings.output)


@pytest.mark.parametrize("state", ["finished", "half done"])
def test_overwrite_that_is_cut_off_anywhere_leaves_the_old_job_or_the_new_one(
    verb: Verb, finished: Finished, tmp_path: Path, state: str
) -> None:
    old = finished.settings
    new = at(old, tmp_path / "undisturbed", **verb.other)
    verb.run(new)
    results = {"old": result_of(verb, old.output), "new": result_of(verb, new.output)}
    assert results["old"] != results["new"]
    if state == "half done":
        Path(old.output, verb.part).unlink()
        kept = read_json(manifest_of(old.output))
        write_json(manifest_of(old.output), kept | {"state": "running"})
    seen = set()
    for change in CHANGES:
        output = tmp_path / f"cut-{change}"
        shutil.copytree(old.output, output)
        with killed_at(change, str(output)):
            was_killed = killed_by(verb, at(new, output, overwrite=True))
        went_on = []
        for name, settings in {"old": old, "new": new}.items():
            copy = shutil.copytree(output, tmp_path / f"cut-{change}-{name}")
            found = gone_on_with(verb, at(settings, copy))
            if found is not None:
                assert found == results[name], f"the {name} job after {change} changes"
                went_on.append(name)
        assert went_on, f"neither job is gone on with after {change} changes"
        seen.update(went_on)
        if not was_killed:
            break
    assert seen == {"old", "new"}


def test_a_job_that_is_cut_off_anywhere_is_gone_on_with(verb: Verb, finished: Finished, tmp_path: Path) -> None:
    whole = result_of(verb, finished.settings.output)
    for change in CHANGES:
        settings = at(finished.settings, tmp_path / f"cut-{change}")
        with killed_at(change, settings.output):
            was_killed = killed_by(verb, settings)
        verb.run(settings)
        assert result_of(verb, settings.output) == whole, f"after {change} changes"
        if not was_killed:
            break
    assert change > 3, "a job writes more than its manifest"


def test_overwrite_leaves_what_the_job_did_not_write(verb: Verb, finished: Finished) -> None:
    notes = Path(finished.settings.output, "notes.txt")
    notes.write_text("mine")
    verb.run(replace(finished.settings, overwrite=True))
    assert notes.read_text() == "mine"
    assert result_of(verb, finished.settings.output)
