"""The manifest says at any moment how far a job is: first it says that it runs, last that it is finished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crossrank.cli.status import status
from crossrank.recipe.stage import VerbStage
from tests.unit.contract.conftest import Finished
from tests.unit.contract.cut import each_change
from tests.unit.contract.one_process import Killed
from tests.unit.contract.verbs import Verb, files_of, killed_by


def test_the_manifest_is_written_first_and_that_it_is_finished_last(verb: Verb, settings: Any) -> None:
    changed: list[str] = []
    then: dict[str, bytes] = {}
    manifest = Path(settings.output, "_manifest.json")

    def look(uri: str) -> None:
        if Path(uri).is_relative_to(settings.output):
            changed.append(uri)
        if not then and Path(uri) == manifest and json.loads(manifest.read_text())["state"] == "finished":
            then.update(files_of(settings.output))

    with each_change(after=look):
        verb.run(settings)
    assert changed[0] == str(manifest)
    assert then, "it said that it was finished"
    now = files_of(settings.output)
    assert {name: then.get(name) for name in now} == now, "nothing is written after that"


def test_while_a_lost_part_is_made_again_and_when_that_is_killed_status_does_not_say_finished(
    verb: Verb, finished: Finished
) -> None:
    output = finished.settings.output
    assert status(output)["state"] == "finished"
    Path(output, verb.part).unlink()
    meanwhile: list[dict[str, Any]] = []

    def kill(uri: str) -> None:
        if uri == str(Path(output, verb.part)):
            meanwhile.append(status(output))
            raise Killed

    with each_change(before=kill):
        assert killed_by(verb, finished.settings)
    job = VerbStage(verb.name, finished.settings, verb.run)
    for told, state in ((meanwhile[0], "running"), (status(output), "unfinished")):
        assert told["state"] == state
        assert "finished" not in told, "no time of an end that is no longer true"
        assert "at_work" in told
    assert not job.is_done(), "a recipe does not take it for done"
    verb.run(finished.settings)
    assert status(output)["state"] == "finished"
    assert job.is_done()
