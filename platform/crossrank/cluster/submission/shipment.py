"""Shipment of a submitted job: the source of this installation, and the YAML files that its flags name.

The cluster then runs the code on this disk, whatever version is installed there. The shipped package comes first on
the path of the job and of its workers.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from crossrank import storage
from crossrank.config.shipped_recipes import SUFFIXES, configuration_file
from crossrank.config.yaml_reading import load_yaml
from crossrank.errors import USER_OF_URL, SettingsError
from crossrank.provenance import COMMIT, provenance
from crossrank.telemetry.job_context import LOG
from crossrank.version import PACKAGE

VALUED_OF_RECIPE = ("--set", "--until", "--overwrite")
"""Flags of `crossrank recipe` that take a value as the next argument."""
EXCLUDES = ["**/__pycache__", "*.pyc"]
ENV = {"TOKENIZERS_PARALLELISM": "true"}
"""Environment of the job, as jobs/runtime_env.yaml has it."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """A job as it is submitted."""

    entrypoint: str
    """Shell command that runs on the cluster."""
    runtime_env: dict[str, Any]
    """Ray's runtime environment: what is uploaded, and the job's environment variables."""


def shipment(verb: str, flags: Sequence[str], folder: Path) -> Shipment:
    """Put together the job that runs a verb with these flags on the cluster.

    A flag that names a YAML file of this disk or a recipe that comes along (``--config``, the file of a recipe) names
    its copy there, and so does a section of a recipe. All other paths are those of the cluster, since data is not
    shipped.

    Args:
        folder: empty folder, into which the files that are shipped beside the package are put.

    Raises:
        SettingsError: a YAML file that does not exist.
        StorageError, SettingsError: a key or a password in a flag or in such a file, which whoever sees the job sees.
    """
    for flag in flags:
        _refuse_keys(flag, "a flag")
    before = ("--" if verb == "recipe" else verb, *flags)
    arguments = [_shipped(flag, folder, _takes_file(verb, word)) for word, flag in zip(before, flags, strict=False)]
    inherited = {COMMIT: provenance().commit, LOG: os.environ.get(LOG)}
    return Shipment(
        shlex.join(["python", "-m", "crossrank", verb, *arguments]),
        {
            "py_modules": [str(PACKAGE)],
            "working_dir": str(folder),
            "excludes": EXCLUDES,
            "env_vars": ENV | {name: value for name, value in inherited.items() if value is not None},
        },
    )


def _refuse_keys(text: str, what: str) -> None:
    storage.refuse_keys(text)
    if USER_OF_URL.search(text):
        raise SettingsError(
            f"{what} has a user or a password in a URL, which the cluster would show; give a key in CROSSRANK_KEY there"
        )


def _takes_file(verb: str, word: str) -> bool:
    """Whether the argument behind a word is a configuration: that of ``--config``, or the file of a recipe."""
    return word == "--config" or (verb == "recipe" and word not in VALUED_OF_RECIPE)


def _shipped(flag: str, folder: Path, is_configuration: bool) -> str:
    name, sign, value = flag.rpartition("=") if flag.startswith("--") else ("", "", flag)
    is_configuration = name == "--config" or (is_configuration and not flag.startswith("-"))
    if is_configuration:
        value = configuration_file(value)
    file = Path(value)
    if "://" in value or not (value.endswith(SUFFIXES) or (is_configuration and file.is_file())):
        return flag
    if not file.is_file():
        raise SettingsError(f"{value} is no file here, and a YAML file is shipped from this disk; check its path")
    return f"{name}{sign}{_copied(file, folder)}"


def _copied(file: Path, folder: Path) -> str:
    """Copy a file into the folder, with the files that ``config`` names in its sections, and return the copy's name."""
    # Files of one name may come from several folders.
    copy = folder / f"{len(list(folder.iterdir()))}-{file.name}"
    shutil.copyfile(file, copy)
    _refuse_keys(copy.read_text(encoding="utf-8", errors="replace"), str(file))
    try:
        content = load_yaml(copy.read_bytes(), str(file))
    except (yaml.YAMLError, UnicodeDecodeError):
        return copy.name  # the job says what is wrong with it
    sections = content.values() if isinstance(content, dict) else ()
    naming = [(part, path) for part in sections if isinstance(part, dict) and (path := _file(part.get("config")))]
    for section, named in naming:
        section["config"] = _copied(named, folder)
    if naming:
        copy.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return copy.name


def _file(config: Any) -> Path | None:
    """File on this disk that a section names; None where it names no such file, or one that variables decide."""
    if not isinstance(config, str) or "{" in config:
        return None
    file = Path(configuration_file(config))
    return file if file.is_file() else None
