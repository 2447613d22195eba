"""Recipes by their names, in a checkout and in an installed package; paths that stay paths."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from crossrank.cluster.submission.shipment import shipment
from crossrank.config import shipped_recipes
from crossrank.config.files import read_config
from crossrank.config.shipped_recipes import configuration_file, recipe_names
from crossrank.errors import InputError
from crossrank.recipe.reading import read_recipe

RECIPES = Path(__file__).parents[3] / "jobs" / "recipes"
NAMES = ["distillation", "english_to", "ko_reranker", "msmarco_to_korean", "small_machine"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is found because of where one stands."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as a wheel lays it out, with one recipe."""
    package = tmp_path / "site-packages" / "crossrank"
    (package / "recipes").mkdir(parents=True)
    (package / "recipes" / "small_machine.yaml").write_text("max_length: 7\n")
    monkeypatch.setattr(shipped_recipes, "PACKAGE", package)
    return package


def test_every_recipe_of_the_checkout_has_a_name_and_is_read_by_it_from_anywhere() -> None:
    assert recipe_names() == NAMES
    assert configuration_file("small_machine") == str(RECIPES / "small_machine.yaml")
    assert read_config("small_machine")["max_length"] == 256


def test_an_installed_package_has_its_own(installed: Path) -> None:
    assert recipe_names() == ["small_machine"]
    assert read_config("small_machine") == {"max_length": 7}


def test_a_recipe_is_run_by_its_name_and_the_recipe_that_it_names_is_found() -> None:
    sections = read_recipe("msmarco_to_korean").sections
    assert sections["train"].config["learning_rate"] == 5e-6
    assert sections["train"].given == {"eval_fraction": 0.002}


@pytest.mark.parametrize("path", ["./small_machine", "mine.yaml", "folder/mine", "s3://bucket/small_machine", "x.yml"])
def test_what_has_a_slash_or_an_ending_is_a_path(path: str, tmp_path: Path) -> None:
    (tmp_path / "small_machine").write_text("depth: 3\n")
    assert configuration_file(path) == path


def test_a_file_without_an_ending_is_read_as_before_and_a_recipe_of_its_name_goes_first(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("depth: 3\n")
    (tmp_path / "small_machine").write_text("depth: 3\n")
    assert read_config("mine") == {"depth": 3}
    assert "depth" not in read_config("small_machine")
    assert read_config("./small_machine") == {"depth": 3}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("small_machin", "small_machine"), ("small-machine", "small_machine"), ("korerank", "ko_reranker")],
)
def test_a_name_that_is_not_known_is_answered_with_the_nearest_and_the_list(typed: str, meant: str) -> None:
    with pytest.raises(InputError) as refused:
        read_config(typed)
    known = ", ".join(NAMES)
    assert str(refused.value) == (
        f"{typed} is no recipe and no file here; write {meant}, or the path of a YAML file (recipes: {known})"
    )
    with pytest.raises(InputError, match=f"write {meant}"):
        read_recipe(typed)


def test_a_name_like_none_is_answered_with_the_list() -> None:
    with pytest.raises(InputError, match=r"^xyz is no .*; name one of them, or a YAML file \(recipes: distillation, "):
        configuration_file("xyz")


def test_without_any_recipe_the_path_of_a_file_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped_recipes, "PACKAGE", tmp_path / "sent" / "crossrank")
    with pytest.raises(InputError, match="none comes with the crossrank that runs here"):
        configuration_file("small_machine")


@pytest.mark.parametrize("path", ["jobs/recipes/small_machine.yaml", "small_machine.yaml"])
def test_the_path_of_a_recipe_that_is_not_there_is_answered_with_its_name(path: str) -> None:
    with pytest.raises(InputError, match=f"^{path} is not there; the recipe of that name .*: write small_machine$"):
        read_config(path)


@pytest.mark.parametrize(
    ("verb", "flags"),
    [
        ("train", ["--base", "small_machine", "--config", "small_machine"]),
        ("train", ["--config=small_machine"]),
        ("recipe", ["small_machine", "--until", "train", "--set", "small_machine"]),
        ("recipe", ["--dry-run", "--until", "train", "small_machine"]),
    ],
)
def test_a_recipe_that_a_submitted_job_names_travels_with_it(verb: str, flags: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "shipped"
    folder.mkdir()
    words = shlex.split(shipment(verb, flags, folder).entrypoint)[4:]
    changed = [word for word, flag in zip(words, flags, strict=True) if word != flag]
    assert [word.removeprefix("--config=") for word in changed] == ["0-small_machine.yaml"]
    assert (folder / "0-small_machine.yaml").read_text() == (RECIPES / "small_machine.yaml").read_text()


def test_the_recipe_that_a_shipped_recipe_names_travels_too(tmp_path: Path) -> None:
    folder = tmp_path / "shipped"
    folder.mkdir()
    shipment("recipe", ["msmarco_to_korean"], folder)
    assert sorted(path.name for path in folder.iterdir()) == ["0-msmarco_to_korean.yaml", "1-ko_reranker.yaml"]
    assert read_config(str(folder / "0-msmarco_to_korean.yaml"))["train"]["config"] == "1-ko_reranker.yaml"


def test_a_misspelt_recipe_is_not_submitted(tmp_path: Path) -> None:
    folder = tmp_path / "shipped"
    folder.mkdir()
    with pytest.raises(InputError, match="write small_machine"):
        shipment("train", ["--config", "small_machin"], folder)
    assert list(folder.iterdir()) == []
