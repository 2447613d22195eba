"""Settings as a command line: what a person types, or submits, to run one stage alone."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from crossrank.config.settings import flag
from crossrank.config.yaml_text import as_yaml


def command_of(verb: Sequence[str], settings: Any) -> str:
    """Write the command line of settings; flags that have their defaults are left out.

    Args:
        verb: words after ``crossrank``, such as ``memory import``.
    """
    words = ["crossrank", *verb]
    sets = []
    for each in fields(settings):
        value = getattr(settings, each.name)
        if value == each.default:
            continue
        if not each.metadata["flag"]:
            sets.append(f"{each.name}={as_yaml(value)}")
        elif value is True:
            words.append(flag(each.name))
        elif isinstance(value, tuple):
            words += [flag(each.name), *value] if value else []
        else:
            words += [flag(each.name), str(value)]
    words += [part for assignment in sets for part in ("--set", assignment)]
    return shlex.join(words)
