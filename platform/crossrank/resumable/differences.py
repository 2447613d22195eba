"""How the settings and inputs of a job differ from those of an earlier one in its output, in a user's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass
from typing import Any

from crossrank.config.settings import as_written

AFRESH = "use --overwrite to start afresh, or another --output"
"""The way out where an output holds something else."""
REVISION = "_revision"
"""Ends the key of a model by its content, such as ``teacher_revision``."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a job was given, by the names of its settings."""

    values: Mapping[str, Any]
    declared: Mapping[str, Field[Any]]
    """The settings by name; of one that is not declared neither flag nor default is known."""

    def flag(self, name: str) -> str:
        """How a user writes a setting: as a flag, or as a key of ``--set``."""
        return as_written(self.declared[name]) if name in self.declared else name

    def default(self, name: str) -> Any:
        """What a setting is where nobody says anything."""
        found = self.declared[name].default if name in self.declared else None
        return None if found is MISSING else found


def in_words(before: Mapping[str, Any], identity: Mapping[str, Any], given: Named) -> list[str]:
    """What differs between a job and an earlier one: flags with both values, inputs and models by their names.

    A setting that the earlier one did not have yet counts as its default.

    Args:
        before: the manifest of the earlier one.
        identity: what has to be the same.
        given: the settings of the job.
    """
    old, new = dict(before["identity"]), dict(identity)
    were = before.get("settings") or {}
    found = []
    if old.pop("format", None) != new.pop("format", None):
        found.append("it was begun by a version of crossrank that kept it otherwise")
    found += _of_settings(old.pop("settings", {}), new.pop("settings", {}), given)
    inputs = old.pop("inputs", {}), new.pop("inputs", {})
    for name in _differing(*inputs):
        found.append(_of_content(name, given, were, name in inputs[0], name in inputs[1]))
    for key in _differing(old, new):
        if key.endswith(REVISION):
            found.append(_of_content(key.removesuffix(REVISION), given, were, bool(old.get(key)), bool(new.get(key))))
        elif key != "backend":
            found.append(f"the {key} was {_shown(old.get(key))} and is {_shown(new.get(key))}")
        elif not found:  # what is left of who translates, when the settings are the same
            found.append(_of_content("model", given, were, True, True))
    return found


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]


def _of_settings(old: Mapping[str, Any], new: Mapping[str, Any], given: Named) -> list[str]:
    found = []
    for name in sorted({*old, *new}):
        was, now = old.get(name, given.default(name)), new.get(name)
        if was != now:
            found.append(f"{given.flag(name)} was {_shown(was)} and is {_shown(now)}")
    return found


def _of_content(name: str, given: Named, were: Mapping[str, Any], was_given: bool, is_given: bool) -> str:
    """An input or a model, of which the content counts and not where it lies."""
    was, now = were.get(name), given.values.get(name)
    if not (was_given and is_given):
        return f"{given.flag(name)} was {_shown(was)} and is {_shown(now)}"
    if was in (None, now):
        are_several = name.endswith("s") and name != "corpus"
        have = "have" if are_several else "has"
        return f"the {name.replace('_', ' ')} {now or 'that it reads'} {have} changed since"
    return f"{given.flag(name)} was {was} and is {now}, which holds something else"


def _shown(value: Any) -> str:
    return "not given" if value is None else str(value)
