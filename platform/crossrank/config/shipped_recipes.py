"""The recipes that come with crossrank, by name: ``--config small_machine``, ``crossrank recipe msmarco_to_korean``.

There is one copy, jobs/recipes/: a checkout reads it where it lies, and the build puts it into the wheel as a folder of
the package.
"""

from __future__ import annotations

import os
from pathlib import Path

from crossrank.config.nearest import nearest
from crossrank.errors import InputError
from crossrank.version import PACKAGE

SUFFIXES = (".yaml", ".yml")


def recipe_names() -> list[str]:
    """Names of the recipes; none where the package was sent to a cluster without them."""
    return sorted(_recipes())


def configuration_file(config: str) -> str:
    """The file that ``--config`` or ``crossrank recipe`` names.

    What has a slash in it or ends in ``.yaml`` is a path. Any other name is that of a recipe, or else of a file in the
    working directory.

    Raises:
        InputError: it is neither; or it is the path of a recipe that is not at that path.
    """
    recipes = _recipes()
    if config in recipes:
        return str(recipes[config])
    if "://" in config or os.path.exists(config):
        return config
    if "/" not in config and not config.endswith(SUFFIXES):
        known = ", ".join(recipes) or "none comes with the crossrank that runs here"
        meant = nearest(config, recipes, {})
        way_out = f"write {meant}, or the path of a YAML file" if meant else "name one of them, or a YAML file"
        raise InputError(f"{config or repr(config)} is no recipe and no file here; {way_out} (recipes: {known})")
    name = Path(config).stem
    if name in recipes:
        raise InputError(f"{config} is not there; the recipe of that name comes with crossrank: write {name}")
    return config


def _recipes() -> dict[str, Path]:
    installed, checkout = PACKAGE / "recipes", PACKAGE.parents[1] / "jobs" / "recipes"
    folder = installed if installed.is_dir() else checkout
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
