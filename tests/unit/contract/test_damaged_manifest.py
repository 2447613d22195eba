"""A manifest that was changed by hand ends a job in one sentence, or in nothing to do; never in a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossrank.cli.status import status
from crossrank.errors import CrossrankError, OutputError, UserError
from tests.unit.contract.conftest import Finished
from tests.unit.contract.verbs import Verb, result_of

MISSING = object()
READ = {
    "state": (),
    "identity": ("settings", "inputs"),
    "settings": ("models", "run"),
    "rows": ("out", "ok", "rejected"),
    "candidates": ("queries", "has_order"),
    "plan": ("rows_of_blocks", "block_groups"),
    "sizes": ("budget", "num_steps"),
    "level": ("why_not",),
    **dict.fromkeys(("blocks", "parts", "files", "mined", "groups", "steps", "chosen_step", "chosen"), ()),
}
"""What jobs read again, with what they read inside."""


def paths_of(content: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The places of what jobs read, as far as this manifest has it."""
    for name in READ.keys() & content.keys():
        yield (name,)
        yield from ((name, inner) for inner in READ[name] if inner in (content[name] or ()))


def changed(content: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy with another value in one place, or without it."""
    copy: dict[str, Any] = json.loads(json.dumps(content))
    place = copy
    for name in path[:-1]:
        place = place[name]
    if value is MISSING:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return copy


def test_whatever_is_changed_in_a_manifest_is_a_sentence_and_no_traceback(verb: Verb, finished: Finished) -> None:
    manifest = Path(finished.settings.output, "_manifest.json")
    content = json.loads(manifest.read_text())
    for path in paths_of(content):
        for value in (MISSING, None, "text"):
            manifest.write_text(json.dumps(changed(content, path, value)))
            for call, given in ((verb.run, finished.settings), (status, finished.settings.output)):
                try:
                    call(given)
                except UserError:
                    pass
                except CrossrankError as error:
                    pytest.fail(f"{path} {value!r}: {error}")
                except Exception as error:
                    raise AssertionError(f"{path} {value!r}: {type(error).__name__} {error}") from error


def test_a_finished_job_without_its_rows_names_two_ways_out_and_both_go(
    verb: Verb, finished: Finished, tmp_path: Path
) -> None:
    manifest = Path(finished.settings.output, "_manifest.json")
    content = json.loads(manifest.read_text())
    key = {"train": "files", "evaluate": "candidates"}.get(verb.name, "rows")
    manifest.write_text(json.dumps(changed(content, (key,), MISSING)))
    result = result_of(verb, finished.settings.output)
    with pytest.raises(OutputError) as refused:
        verb.run(finished.settings)
    assert str(refused.value) == (
        f"{manifest} is damaged ({key} is missing); use --overwrite to start afresh, or another --output"
    )
    other = replace(finished.settings, output=str(tmp_path / "other"))
    verb.run(other)
    verb.run(replace(finished.settings, overwrite=True))
    assert result_of(verb, finished.settings.output) == result == result_of(verb, other.output)
    assert json.loads(manifest.read_text())["state"] == "finished"
