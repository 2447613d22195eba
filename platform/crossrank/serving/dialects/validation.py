"""Validation of a JSON object against the fields of a dialect, with one sentence about what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from crossrank.errors import in_short, quoted
from crossrank.serving.dialects.fields import Body
from crossrank.serving.errors import Invalid

MAX_ECHO = 60
"""Characters of a client's text that a message may repeat."""

Read = TypeVar("Read", bound=Body)
Place = tuple[str | int, ...]

_KINDS = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
}


def parsed(kind: type[Read], body: Mapping[str, Any]) -> Read:
    """The fields of a body.

    Raises:
        Invalid: a field is missing or not what it has to be; the message names the innermost one.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False), body) from error


def shown(value: object) -> str:
    """A value of a body as a message may repeat it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return quoted(value, MAX_ECHO)
    if isinstance(value, int | float):
        return in_short(value, MAX_ECHO)
    return "a list" if isinstance(value, list) else "an object"


def _refusal(details: list[ErrorDetails], body: Mapping[str, Any]) -> Invalid:
    """One fault for the innermost place with an error: of the branches of a union, the one that came furthest."""
    places = [_place(detail, body) for detail in details]
    place = max(places, key=len)
    name = _name(place)
    innermost = [detail for detail, at in zip(details, places, strict=True) if at == place]
    return Invalid(_sentence(name, innermost), name)


def _sentence(name: str, details: list[ErrorDetails]) -> str:
    first = details[0]
    if first["type"] == "missing":
        return f"{name} is missing, and has to be there"
    if first["type"] == "string_unicode":
        return f"{name} holds half a surrogate pair, which is no character; send whole characters"
    if first["type"] in ("too_short", "too_long"):
        context = first["ctx"]
        limit = context.get("min_length", context.get("max_length"))
        return f"{name} has {context['actual_length']} items, and {limit} are wanted"
    wanted = " or ".join(dict.fromkeys(_wanted(detail) for detail in details))
    return f"{name} is {shown(first['input'])}, and {wanted} is wanted"


def _wanted(detail: ErrorDetails) -> str:
    kind = detail["type"]
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"{words} {detail['ctx'][bound]}"
    if kind == "literal_error":
        return str(detail["ctx"]["expected"])
    return _KINDS.get(kind, "something else")


def _place(detail: ErrorDetails, body: Mapping[str, Any]) -> Place:
    """Place of an error in the body: pydantic's location without the names of a union's branches."""
    value: Any = body
    place: list[str | int] = []
    for step in detail["loc"]:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            if detail["type"] != "missing" or step != detail["loc"][-1]:
                continue
        place.append(step)
    return tuple(place)


def _name(place: Place) -> str:
    parts = [f"[{step}]" if isinstance(step, int) else f".{in_short(step, MAX_ECHO)}" for step in place]
    return "".join(parts).removeprefix(".")
