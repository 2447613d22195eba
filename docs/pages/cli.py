"""The page `docs/cli.md`: every verb with its flags, made from what ``--help`` is made from.

python docs/pages/cli.py docs/cli.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from crossrank.cli import main
from crossrank.formats import FORMATS

TOP = """\
# The command line

Every verb with its flags. Made from the flags themselves by `make docs`; `crossrank VERB --help` says the same, and
[the guide](guide.md) says what to use when.

Exit status: 0 done; 2 the input or the flags are wrong, with one sentence that says what to do; 1 it failed, and the
same command goes on from there.
"""
LATER = re.compile(r"\s*\[(required|default: (?P<default>.*))\]$")
"""Pattern of the default at the end of a flag's help."""


def page() -> str:
    """The page as Markdown."""
    verbs = dict(_verbs(main.crossrank, "crossrank"))
    return "\n".join([TOP, _contents(verbs), *(_section(path, verb) for path, verb in verbs.items()), _formats()])


def _verbs(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name in group.commands:
        verb = group.commands[name]
        if isinstance(verb, click.Group):
            yield from _verbs(verb, f"{path} {name}")
        else:
            yield f"{path} {name}", verb


def _contents(verbs: dict[str, click.Command]) -> str:
    lines = ["| verb | what |", "|---|---|"]
    for path, verb in verbs.items():
        first = _paragraphs(verb.help or "").split("\n\n")[0].replace("\n", " ")
        lines.append(_row(f"[{path}](#{path.replace(' ', '-')})", first))
    return "\n".join(lines) + "\n"


def _section(path: str, verb: click.Command) -> str:
    context = click.Context(verb, info_name=path)
    usage = " ".join([path, *verb.collect_usage_pieces(context)])
    lines = [f"## {path}", "", _paragraphs(verb.help or ""), "", f"    {usage}", "", "| flag | what | default |"]
    lines += ["|---|---|---|", *(_flag(each, context) for each in verb.params if isinstance(each, click.Option))]
    if verb.epilog:
        lines += ["", "Keys of `--config FILE` and `--set KEY=VALUE`:", "", "| key | what | default |", "|---|---|---|"]
        lines += map(_knob, verb.epilog.strip("\b\n").splitlines()[1:])
    return "\n".join(lines) + "\n"


def _flag(option: click.Option, context: click.Context) -> str:
    name = ", ".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else " " + option.make_metavar(context).strip("[]")
    text = (option.help or "").strip()
    later = LATER.search(text)
    default = "" if later is None else f"`{later['default']}`" if later["default"] is not None else "required"
    if later is None and option.required:
        default = "required"
    return _row(f"`{name}{value}`", LATER.sub("", text), default)


def _knob(line: str) -> str:
    """A row from a line such as ``  epochs=1: Times that every group is trained on.``"""
    name, _, rest = line.strip().partition("=")
    default, _, text = rest.partition(": ")
    return _row(f"`{name}`", text, f"`{default}`")


def _formats() -> str:
    lines = ["## Formats of `crossrank convert`", "", "| format | what | `--from` | `--to` |", "|---|---|---|---|"]
    for each in FORMATS.values():
        reads, writes = ("yes" if able else "no" for able in (each.reads_groups, each.writes_groups))
        lines.append(_row(f"`{each.name}`", each.description, reads, writes))
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    # A bar ends a cell, inside code too.
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _paragraphs(text: str) -> str:
    """A docstring without its indentation."""
    return "\n".join(line.strip() for line in text.strip().splitlines())


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
