"""The values that a job reads from the manifest of an earlier run, and what in a manifest is not as a job wrote it.

Each verb declares what it reads, as a dictionary like the manifest itself with a check in the place of each value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Union

from crossrank.errors import quoted

Check = Callable[[Any], bool]
"""Whether a value is of the kind that a job writes there."""


@dataclass(frozen=True, slots=True)
class MayLack:
    """A value that earlier versions, or some jobs, did not write."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class OrNull:
    """A value that may be null."""

    shape: Shape


Shape = Union[Check, Mapping[str, "Shape"], MayLack, OrNull]  # noqa: UP007 - it names itself, which | cannot


def is_count(value: Any) -> bool:
    """Whether it is a whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_flag(value: Any) -> bool:
    """Whether it is true or false."""
    return isinstance(value, bool)


def is_text(value: Any) -> bool:
    """Whether it is a text."""
    return isinstance(value, str)


def list_of(check: Check) -> Check:
    """Whether it is a list whose elements all pass the check."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def dict_of(check: Check) -> Check:
    """Whether it is a dictionary of any keys whose values all pass the check."""
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def is_dict(value: Any) -> bool:
    """Whether it is a dictionary."""
    return isinstance(value, dict)


EVERY_MANIFEST: Shape = {
    "state": is_text,
    "identity": {"settings": MayLack(is_dict), "inputs": MayLack(is_dict)},
    "settings": MayLack(OrNull(is_dict)),
}
"""What is read from the manifest of any verb."""


def damage(manifest: Mapping[str, Any], read_again: Mapping[str, Shape]) -> str | None:
    """What in a manifest is not as its job wrote it, such as ``rows.out is missing``; None where all is.

    Args:
        read_again: what the verb reads of a finished job; of one that is not finished yet, as far as it is there.
    """
    found = misfit(manifest, EVERY_MANIFEST)
    if found is None and manifest["state"] != "finished":
        read_again = {name: MayLack(shape) for name, shape in read_again.items()}
    return found or misfit(manifest, read_again)


def misfit(value: Any, shape: Shape, name: str = "") -> str | None:
    """What in a value is not of a shape, such as ``rows.out is missing``; None where all is.

    Args:
        name: of the value itself, empty for a whole file.
    """
    if isinstance(shape, OrNull) and value is None:
        return None
    if isinstance(shape, MayLack | OrNull):
        return misfit(value, shape.shape, name)
    if callable(shape) or not isinstance(value, dict):
        is_whole = callable(shape) and shape(value)
        return None if is_whole else f"{name} is {'null' if value is None else quoted(value)}"
    for key, inner in shape.items():
        path = f"{name}.{key}" if name else key
        if key in value:
            found = misfit(value[key], inner, path)
        else:
            found = None if isinstance(inner, MayLack) else f"{path} is missing"
        if found is not None:
            return found
    return None
