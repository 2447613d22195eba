"""Errors in a command line, each in one sentence with the way out: click's errors, worded for the people who type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import click

from crossrank.config.nearest import VERBS_OF_PEERS, in_place_of, nearest, ours, unneeded
from crossrank.config.plain_numbers import plain_float, plain_whole
from crossrank.errors import quoted

EXTRA = re.compile(r"^Got unexpected extra arguments? \((?P<what>.*)\)")
"""The message of click about an argument that stands without a flag."""


class OneOf(click.Choice[str]):
    """A flag that takes one of some words; one that is not among them is answered with the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            self.fail(f"is {value!r}; {in_place_of(str(value), self.choices)}", param, ctx)
        return str(value)

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        return f"use one of {', '.join(self.choices)}"


class PlainNumber(click.ParamType[float]):
    """A flag that takes a number in plain digits."""

    def __init__(self, kind: type[int] | type[float]) -> None:
        self.name = click.types.convert_type(kind).name
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if not isinstance(value, str):
            return self._kind(value)
        try:
            return plain_whole(value) if self._kind is int else plain_float(value)
        except ValueError:
            wanted = "a whole number, such as 10" if self._kind is int else "a number, such as 0.5"
            self.fail(f"is {quoted(value)}; use {wanted}", param, ctx)


def sentence_of(error: click.ClickException, arguments: Sequence[str]) -> str:
    """The sentence for an error of click.

    Args:
        arguments: the command line as it was typed.
    """
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    if isinstance(error, click.NoSuchOption) and ctx is not None:
        return _no_such_flag(error.option_name, ctx, arguments)
    if isinstance(error, click.exceptions.NoSuchCommand) and ctx is not None:
        return _no_such_verb(error.command_name, ctx)
    if isinstance(error, click.BadParameter) and error.param is not None:
        kind, is_missing = error.param.type, isinstance(error, click.MissingParameter)
        if is_missing and isinstance(kind, OneOf):
            return f"{_hint(error.param)} is missing; {kind.get_missing_message(error.param, ctx)}"
        if not is_missing and isinstance(kind, OneOf | PlainNumber):
            return f"{_hint(error.param)} {error.message}"
    message = " ".join(error.format_message().split())
    if ctx is not None and (extra := EXTRA.search(message)) is not None:
        return f"{_path(ctx)} takes no argument {extra['what']}; write the flag that it belongs to before it"
    return message


def _hint(param: click.Parameter) -> str:
    return param.opts[0] if isinstance(param, click.Option) else param.make_metavar(click.Context(click.Command("")))


def _no_such_verb(name: str, ctx: click.Context) -> str:
    assert isinstance(ctx.command, click.Group), "only a group has verbs"
    of_peers = {each.replace("-", "_"): (verb,) for each, verb in VERBS_OF_PEERS.items()}
    meant = nearest(name, ctx.command.commands, of_peers)
    way_out = f"write {_path(ctx)} {meant}" if meant else f"{_path(ctx)} --help lists those that there are"
    return f"there is no verb {name}; {way_out}"


def _no_such_flag(flag: str, ctx: click.Context, arguments: Sequence[str]) -> str:
    verb = ctx.command
    problem = f"{_path(ctx).removeprefix('crossrank ')} has no flag {flag}"
    name, value = flag.lstrip("-"), _value_after(flag, arguments)
    if name == "set":  # a verb whose settings are flags all
        key = value.partition("=")[0]
        meant = nearest(key, _names_of(verb))
        return f"{problem}; " + (
            f"write {_typed(verb, meant, value)}" if meant else f"{_path(ctx)} --help lists its flags"
        )
    meant = ours(name, _names_of(verb))
    if meant is not None:
        return f"{problem}; write {_typed(verb, meant, value)}"
    if (why := unneeded(name)) is not None:
        return f"{problem}; {why}"
    near = nearest(name, _names_of(verb))
    of_others = ((other, command, ours(name, _names_of(command))) for other, command in _verbs(ctx))
    theirs = next(
        (f"{other} has it as {_typed(command, its, value)}" for other, command, its in of_others if its), None
    )
    if near is not None:
        return "; ".join([problem, *([theirs] if theirs else []), f"write {_typed(verb, near, value)}"])
    return f"{problem}; {theirs or f'{_path(ctx)} --help lists those that it has'}"


def _typed(command: click.Command, name: str, value: str) -> str:
    """A setting as it is given to a verb; the value of a flag may be a secret, and is not repeated."""
    flag = _names_of(command)[name]
    return flag if flag is not None else f"--set {name}={value}"


def _path(ctx: click.Context) -> str:
    """The words up to the verb, as a person types them; the file of a job, which has no verbs, goes by its own name."""
    words = []
    while ctx.parent is not None:
        words.append(ctx.info_name or "")
        ctx = ctx.parent
    root = "crossrank" if isinstance(ctx.command, click.Group) else ctx.info_name or ""
    return " ".join([root, *reversed(words)])


def _names_of(command: click.Command) -> dict[str, str | None]:
    """Names of what can be given to a command, to their flags; None for a key of ``--set``."""
    flags: dict[str, str | None] = {}
    for param in command.params:
        for each in param.opts if isinstance(param, click.Option) else ():
            flags[each.lstrip("-").replace("-", "_")] = each
    return dict.fromkeys(getattr(command, "keys", ()), None) | flags


def _verbs(ctx: click.Context) -> Iterator[tuple[str, click.Command]]:
    root = ctx.find_root().command
    if isinstance(root, click.Group):
        yield from root.commands.items()


def _value_after(flag: str, arguments: Sequence[str]) -> str:
    """The value that was typed after a flag; dots where none was."""
    for place, argument in enumerate(arguments):
        name, sign, value = argument.partition("=")
        if name == flag and sign:
            return value
        if argument == flag and place + 1 < len(arguments) and not arguments[place + 1].startswith("--"):
            return arguments[place + 1]
    return "..."
