"""Settings of a verb, declared once: a frozen dataclass whose fields are the flags, the keys of a configuration file
and the lines of the manifest alike.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import click
import yaml

from crossrank import storage
from crossrank.cluster.pool import Wanted
from crossrank.errors import SettingsError, in_short
from crossrank.nearest import in_place_of, unknown_key
from crossrank.next_command import next_command
from crossrank.progress import say_next
from crossrank.shipped_recipes import configuration_file
from crossrank.usage import OneOf
from crossrank.yaml_reading import load_yaml
from crossrank.yaml_text import is_of_yaml, shown

Settings = TypeVar("Settings")

IN_WORDS: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    tuple: "a list of texts",
}
"""What a field may be."""


WHOLE_MOST = 2**31 - 1
"""The largest whole number of a setting: what takes it in the end, Arrow or a C library, often counts in 32 bits."""
SEED_MOST = 2**63 - 1
"""The largest seed."""


def option(
    default: Any = MISSING,
    *,
    help: str,  # noqa: A002 - click's own word
    changes_rows: bool = True,
    most: int = WHOLE_MOST,
) -> Any:
    """A field that is a flag.

    Args:
        default: MISSING makes the flag required.
        help: one sentence for ``--help``.
        changes_rows: whether another value gives other rows; then it has to match when a job is resumed.
        most: the largest value of a whole number, and its negative the smallest.
    """
    metadata = {"help": help, "changes_rows": changes_rows, "most": most, "flag": True}
    return field(default=default, metadata=metadata)


def knob(
    default: Any,
    *,
    help: str,  # noqa: A002 - click's own word
    changes_rows: bool = True,
    most: int = WHOLE_MOST,
) -> Any:
    """A field that is no flag: a key of the configuration file, or of ``--set KEY=VALUE``. Arguments as `option`."""
    metadata = {"help": help, "changes_rows": changes_rows, "most": most, "flag": False}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSettings:
    """The flags that every job has."""

    output: str = option(help="Folder for the result, a local path or s3://bucket/folder.", changes_rows=False)
    workers: str | None = option(
        None,
        help="Workers: N, or MIN:MAX for a pool that scales; default one a GPU, or to score on CPU one a core.",
        changes_rows=False,
    )
    gpus_per_worker: float | None = option(
        None,
        help="GPUs of a worker, a fraction to share one; default 1 where the cluster has GPUs, else 0.",
        changes_rows=False,
    )
    accelerator: str | None = option(
        None,
        help="Kind of GPU, such as L4 or H100, where the cluster has several; default any. Ray's own name for it.",
        changes_rows=False,
    )
    dry_run: bool = option(False, help="Say pairs, tokens and hours from a sample, and stop.", changes_rows=False)
    limit: int | None = option(None, help="Take the first N queries only.")
    overwrite: bool = option(False, help="Throw away what the output holds and start afresh.", changes_rows=False)

    def wanted(self) -> Wanted:
        """The workers that these flags ask for. Every job's settings call it when they are made, to have it refused.

        Raises:
            SettingsError: a number of workers or of GPUs that there cannot be, a kind of GPU for workers without any.
        """
        gpus = self.gpus_per_worker
        if gpus is not None and not 0 <= gpus < math.inf:
            raise SettingsError(f"--gpus-per-worker is {gpus:g}; use 0 for CPU, or a positive number")
        if self.accelerator is not None:
            gpus = 1.0 if gpus is None else gpus
            if not gpus:
                raise SettingsError(
                    f"--accelerator is {self.accelerator}, and --gpus-per-worker is 0; leave one of them out"
                )
        return Wanted(self.worker_range(), gpus, self.accelerator)

    def of_every_job(self) -> dict[str, Any]:
        """The values of the flags that every job has, for a job that is done inside this one."""
        return {each.name: getattr(self, each.name) for each in fields(JobSettings)}

    def worker_range(self) -> tuple[int, int] | None:
        """The least and the most workers; None where they were not given."""
        if self.workers is None:
            return None
        try:
            bounds = [int(part) for part in self.workers.split(":")]
        except ValueError:
            bounds = []
        if len(bounds) not in (1, 2) or bounds[0] < 1 or not bounds[0] <= bounds[-1] <= WHOLE_MOST:
            raise SettingsError(f"--workers is {self.workers!r}; use a number from 1, or MIN:MAX such as 1:8")
        return bounds[0], bounds[-1]


def that_change_rows(settings: Any) -> dict[str, Any]:
    """The settings that have to match when a job is resumed."""
    return {each.name: getattr(settings, each.name) for each in fields(settings) if each.metadata["changes_rows"]}


def from_mapping(
    settings_class: type[Settings],
    values: Mapping[str, Any],
    source: str,
    of_set: Collection[str] = (),
    way_out: str = "give as a flag, or as a key of --config",
    flag: Callable[[str], str] | None = None,
) -> Settings:
    """Settings from the keys of a configuration file, or of flags; each value is checked against its field's type.

    Args:
        source: where the values come from, for a sentence about one of them.
        of_set: the keys that come from ``--set`` instead.
        way_out: where a key that is missing can be given.
        flag: how the name of a field is written where it is asked for; None is as a flag.

    Raises:
        SettingsError: an unknown key, a value of another type, a required key that is missing.
    """
    known = {each.name: each for each in fields(settings_class)}  # type: ignore[arg-type]
    hints = get_type_hints(settings_class)
    checked = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        place = "--set" if key in of_set else source
        if name not in known:
            raise SettingsError(unknown_key(place, key, known))
        checked[name] = _checked(value, hints[name], f"{key} in {place}")
        _refuse_out_of_range(checked[name], known[name].metadata["most"], f"{key} in {place}")
    missing = [name for name, each in known.items() if each.default is MISSING and name not in checked]
    if missing:
        flags = " and ".join(map(flag or _flag, missing))
        raise SettingsError(f"{flags} {'is' if len(missing) == 1 else 'are'} missing; {way_out}")
    return settings_class(**checked)


def read_config(uri: str) -> dict[str, Any]:
    """The mapping in a YAML file, or in the recipe of that name; see `shipped_recipes`."""
    raw = storage.read_bytes(configuration_file(uri))
    storage.refuse_keys(raw.decode(errors="replace"))  # or a fault of the YAML is told with what stands there
    try:
        content = load_yaml(raw, uri)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{uri} is not YAML: {in_short(error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise SettingsError(f"{uri} holds no mapping of names to values; write lines like 'depth: 100'")
    return content


def command(settings_class: type[Settings], run: Callable[[Settings], Any]) -> click.Command:
    """The command that takes the fields of `settings_class` as flags, and ``--config FILE`` with the same names.

    Where it has knobs, ``--set KEY=VALUE`` sets one, and ``--help`` lists them at its end.
    """

    def callback(config: str | None, sets: tuple[str, ...] = (), **flags: Any) -> None:
        given = {name: value for name, value in flags.items() if value not in (None, ())}
        assigned = assignments(sets)
        values = {} if config is None else config_values(config, assigned)
        set_ = {key: read_assigned(key, text) for key, text in assigned.items()}
        merged = {**values, **set_, **given}
        settings = from_mapping(settings_class, merged, config or "the flags", of_set=set_.keys() - given.keys())
        say_next(run.__name__, next_command(run.__name__, settings, run(settings)))

    hints = get_type_hints(settings_class)
    options: list[click.Parameter] = [
        click.Option(
            ["--config"], help="YAML file with the same names as the flags, or a recipe by its name; a flag given wins."
        )
    ]
    of_class = fields(settings_class)  # type: ignore[arg-type]
    options += [_click_option(each, hints[each.name]) for each in of_class if each.metadata["flag"]]
    knobs = [each for each in of_class if not each.metadata["flag"]]
    if knobs:
        told = "A key of --config, such as learning_rate=2e-5; may be given several times. See the end of this help."
        options.append(click.Option(["--set", "sets"], multiple=True, metavar="KEY=VALUE", help=told))
    verb = _Command(run.__name__, callback=callback, params=options, help=run.__doc__, epilog=_told(knobs))
    verb.keys = tuple(each.name for each in knobs)
    return verb


class _Command(click.Command):
    """One whose flags for several values take them one after another: ``--models a=A b=B``."""

    keys: tuple[str, ...] = ()
    """Keys of ``--set`` that are no flags."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        several = {
            name for param in self.params if isinstance(param, click.Option) and param.multiple for name in param.opts
        }
        spread: list[str] = []
        flag = None
        for place, arg in enumerate(args):
            if flag is not None and flag in several and not arg.startswith("-") and args[place - 1] != flag:
                spread.append(flag)
            elif arg.startswith("-"):
                flag = arg
            spread.append(arg)
        return super().parse_args(ctx, spread)


def assignments(sets: Sequence[str]) -> dict[str, str]:
    """What each key is set to by ``--set``, as it was typed."""
    texts = {}
    for assignment in sets:
        key, sign, value = assignment.partition("=")
        if not sign or not key.strip():
            raise SettingsError(f"--set {assignment!r} is no KEY=VALUE; write it like learning_rate=2e-5")
        texts[key.strip().replace("-", "_")] = value.strip()
    return texts


def read_assigned(key: str, text: str) -> Any:
    """The value that was typed for a key, as YAML reads it."""
    try:
        return load_yaml(text, f"--set {key}")
    except yaml.YAMLError as error:
        raise SettingsError(f"--set '{key}={text}' has a value that is not YAML; quote it") from error


def config_values(config: str, assigned: dict[str, str]) -> dict[str, Any]:
    """The values of a configuration file, with its variables filled in; see `filled`."""
    return filled({key.replace("-", "_"): value for key, value in read_config(config).items()}, assigned, config)


def filled(values: dict[str, Any], assigned: dict[str, str], config: str) -> dict[str, Any]:
    """The values of a file; ``{name}`` in a text stands for a variable that the file declares.

    A file declares variables, with their defaults, under ``variables``; ``--set`` gives them other values, which are
    taken out of `assigned` and are texts as they were typed: to YAML the language ``no`` is a false.
    """
    variables = values.pop("variables", {})
    if not isinstance(variables, dict) or not all(isinstance(name, str) for name in variables):
        raise SettingsError(f"variables in {config} is {shown(variables)}, and a mapping of names to values is wanted")
    texts = {}
    for name, default in variables.items():
        if isinstance(default, bool) or not isinstance(default, str | int | float):
            raise SettingsError(f"the variable {name} in {config} is {shown(default)}, and a text is wanted; quote it")
        texts[f"{{{name}}}"] = assigned.pop(name.replace("-", "_"), str(default))
    replaced: dict[str, Any] = replace_texts(values, texts)
    return replaced


def replace_texts(value: Any, texts: Mapping[str, str]) -> Any:
    """A value of YAML with each key of `texts` replaced in every text of it, at any depth."""
    if isinstance(value, dict):
        return {key: replace_texts(each, texts) for key, each in value.items()}
    if isinstance(value, list):
        return [replace_texts(each, texts) for each in value]
    for place, text in texts.items() if isinstance(value, str) else ():
        value = value.replace(place, text)
    return value


def _told(knobs: list[Field[Any]]) -> str | None:
    if not knobs:
        return None
    lines = "\n".join(f"  {each.name}={_shown(each.default)}: {each.metadata['help']}" for each in knobs)
    return f"\b\nKeys of --config and --set, with their defaults:\n{lines}"


def _shown(default: Any) -> str:
    """As YAML writes it."""
    return "null" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def _click_option(each: Field[Any], hint: Any) -> click.Option:
    kind, choices = _kind(hint)
    names = [_flag(each.name), each.name]
    text = each.metadata["help"]
    if each.default is not MISSING and each.default not in (None, False, ()):
        text += f"  [default: {each.default}]"
    elif each.default is MISSING:
        text += "  [required]"
    # Every default is None here, so that a flag that was not given leaves the word to the configuration file.
    if kind is tuple:
        return click.Option(names, multiple=True, default=None, help=text)
    if kind is bool:
        return click.Option(names, is_flag=True, default=None, help=text)
    return click.Option(names, type=OneOf(choices) if choices else kind, default=None, help=text)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _kind(hint: Any) -> tuple[type, list[str]]:
    """The plain type of a field, and its choices if it has some."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Literal:
        return str, list(get_args(hint))
    if get_origin(hint) in (tuple, Sequence):
        return tuple, []
    return hint, []


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _refuse_out_of_range(value: Any, most: int, what: str) -> None:
    if isinstance(value, int) and abs(value) > most:
        raise SettingsError(f"{what} is {value}; use a number up to {most}")
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(f"{what} is {value}; use a finite number")


def _checked(value: Any, hint: Any, what: str) -> Any:
    storage.refuse_keys(str(value))
    kind, choices = _kind(hint)
    optional = type(None) in get_args(hint)
    if value is None and optional:
        return None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is float and isinstance(value, str):  # YAML takes 2e-5 for a text: it wants a point before the e
        value = _number(value)
    if kind is str and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if kind is tuple and isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        value = tuple(value)
    if type(value) is not kind:
        way_out = "" if is_of_yaml(value) or kind is not str else "; write it to a file, and name that"
        raise SettingsError(f"{what} is {shown(value)}, and {IN_WORDS[kind]} is wanted{way_out}")
    if choices and value not in choices:
        raise SettingsError(f"{what} is {shown(value)}; {in_place_of(str(value), choices)}")
    return value
