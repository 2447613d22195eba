"""Differences between a job and an earlier one in its output, in settings and inputs, in a user's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass
from typing import Any

from crossrank.config.settings import as_written

AFRESH = "use --overwrite to start afresh, or another --output"
"""The way out where an output holds something else."""
REVISION = "_revision"
"""Suffix of the key that identifies a model by its content, such as ``teacher_revision``."""


@dataclass(frozen=True, slots=True)
class Named:
    """The settings that a job was given, by name, with their declarations."""

    values: Mapping[str, Any]
    declared: Mapping[str, Field[Any]]
    """Declarations by name; a setting without one has neither a known flag nor a known default."""

    def flag(self, name: str) -> str:
        """The name of a setting as a user writes it: a flag, or a key of ``--set``."""
        return as_written(self.declared[name]) if name in self.declared else name

    def default(self, name: str) -> Any:
        """The default of a setting; None where it has none, or is not declared."""
        default = self.declared[name].default if name in self.declared else None
        return None if default is MISSING else default


def in_words(before: Mapping[str, Any], identity: Mapping[str, Any], given: Named) -> list[str]:
    """List what differs between a job and an earlier one: flags with both values, inputs and models by their names.

    A setting that the earlier one did not have yet counts as its default.

    Args:
        before: manifest of the earlier job.
        identity: what has to be equal for the job to go on.
        given: settings of the job.
    """
    old, new = dict(before["identity"]), dict(identity)
    old_settings = before.get("settings") or {}
    sentences = []
    if old.pop("format", None) != new.pop("format", None):
        sentences.append("it was begun by a version of crossrank that kept it otherwise")
    sentences += _setting_differences(old.pop("settings", {}), new.pop("settings", {}), given)
    inputs = old.pop("inputs", {}), new.pop("inputs", {})
    for name in _differing(*inputs):
        sentences.append(_content_difference(name, given, old_settings, name in inputs[0], name in inputs[1]))
    for key in _differing(old, new):
        if key.endswith(REVISION):
            name, was_given, is_given = key.removesuffix(REVISION), bool(old.get(key)), bool(new.get(key))
            sentences.append(_content_difference(name, given, old_settings, was_given, is_given))
        elif key != "backend":
            sentences.append(f"the {key} was {_shown(old.get(key))} and is {_shown(new.get(key))}")
        elif not sentences:  # equal settings, so the content of the translation model changed
            sentences.append(_content_difference("model", given, old_settings, True, True))
    return sentences


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]


def _setting_differences(old: Mapping[str, Any], new: Mapping[str, Any], given: Named) -> list[str]:
    sentences = []
    for name in sorted({*old, *new}):
        was, now = old.get(name, given.default(name)), new.get(name)
        if was != now:
            sentences.append(f"{given.flag(name)} was {_shown(was)} and is {_shown(now)}")
    return sentences


def _content_difference(
    name: str, given: Named, old_settings: Mapping[str, Any], was_given: bool, is_given: bool
) -> str:
    """The sentence about an input or a model, which is compared by its content and not by its place."""
    was, now = old_settings.get(name), given.values.get(name)
    if not (was_given and is_given):
        return f"{given.flag(name)} was {_shown(was)} and is {_shown(now)}"
    if was in (None, now):
        are_several = name.endswith("s") and name != "corpus"
        have = "have" if are_several else "has"
        return f"the {name.replace('_', ' ')} {now or 'that it reads'} {have} changed since"
    return f"{given.flag(name)} was {was} and is {now}, which holds something else"


def _shown(value: Any) -> str:
    return "not given" if value is None else str(value)
