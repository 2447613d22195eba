"""Configuration files whose YAML says one thing to its writer and another to a reader of YAML 1.1."""

from pathlib import Path

import pytest
import yaml

from crossrank.config.files import assignments, read_assigned, read_config
from crossrank.config.yaml_reading import load_yaml
from crossrank.errors import SettingsError


def refused(tmp_path: Path, content: str) -> str:
    (tmp_path / "c.yaml").write_text(content)
    with pytest.raises(SettingsError) as error:
        read_config(str(tmp_path / "c.yaml"))
    return str(error.value)


@pytest.mark.parametrize("content", ["depth: 5\ndepth: 50\n", "top-n: 5\ntop_n: 50\n", "train: {seed: 1, seed: 2}\n"])
def test_a_key_that_comes_twice_is_refused_and_the_last_does_not_win(tmp_path: Path, content: str) -> None:
    assert yaml.safe_load(content), "PyYAML takes the last"
    said = refused(tmp_path, content)
    assert "comes twice; leave one of them out" in said
    assert f'"{tmp_path}/c.yaml", line ' in said, "it says where"
    assert "<byte string>" not in said


@pytest.mark.parametrize(
    "content",
    [
        "a: &a [x, x, x]\nb: [*a, *a, *a]\n",  # nine such lines are a billion texts
        "a: &a [*a]\n",  # holds itself
        "a: &a {x: *a}\n",
        "base: &base {depth: 7}\nrerank: {<<: *base}\n",
    ],
)
def test_a_value_that_stands_elsewhere_is_refused(tmp_path: Path, content: str) -> None:
    assert "stands for another place, which is not read here; write its value" in refused(tmp_path, content)


def test_lists_in_lists_are_refused_by_their_depth_and_not_by_pythons_stack(tmp_path: Path) -> None:
    assert "nested more than 32 deep" in refused(tmp_path, "model: " + "[" * 5000 + "]" * 5000)
    assert load_yaml("a: " + "[" * 31 + "]" * 31, "c.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", "010"),  # not 8
        ("1:8", "1:8"),  # workers from 1 to 8, not 68
        ("1:30.5", "1:30.5"),
        ("0", 0),
        ("-5", -5),
        ("10", 10),
        ("1_000", 1000),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("-.5", "-.5"),
        (".5", 0.5),
        ("1.0e-5", 1e-5),
        ("2e-5", "2e-5"),  # the settings read it
        ("true", True),
        ("", None),
    ],
)
def test_numbers_are_decimal(text: str, value: object) -> None:
    for found in (
        load_yaml(f"key: {text}\n", "c.yaml")["key"],
        read_assigned("key", assignments([f"key={text}"])["key"]),
    ):
        assert (found, type(found)) == (value, type(value))


def test_what_is_no_number_to_us_is_none_to_a_setting(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("workers: 1:8\n")
    assert read_config(str(tmp_path / "c.yaml")) == {"workers": "1:8"}
