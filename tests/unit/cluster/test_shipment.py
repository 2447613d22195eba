"""What a submitted job takes with it."""

import shlex
from pathlib import Path

import pytest
import yaml

import crossrank
from crossrank.cluster.submission.shipment import shipment
from crossrank.errors import SettingsError, StorageError, UserError
from crossrank.provenance import COMMIT, provenance


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "shipped"
    made.mkdir()
    return made


def test_the_package_on_this_disk_goes_along_and_is_found_before_an_installed_one(folder: Path) -> None:
    job = shipment("rerank", ["--model", "s3://bucket/model", "--top-n", "5"], folder)
    assert shlex.split(job.entrypoint) == [
        *("python", "-m", "crossrank", "rerank"),
        *("--model", "s3://bucket/model", "--top-n", "5"),
    ]
    assert job.runtime_env["py_modules"] == [str(Path(crossrank.__file__).parent)]
    assert job.runtime_env["working_dir"] == str(folder)
    assert list(folder.iterdir()) == []


def test_a_flag_with_a_space_or_a_quote_comes_through_the_shell(folder: Path) -> None:
    flags = ["--instruction", "find 'it'; rm -rf $HOME", "--output", "s3://b/a b"]
    assert shlex.split(shipment("rerank", flags, folder).entrypoint)[4:] == flags


def test_yaml_files_are_shipped_and_named_as_they_are_there(folder: Path, tmp_path: Path) -> None:
    for name, content in (("a", "depth: 1"), ("b", "depth: 2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.yaml").write_text(content)
    flags = ["--config", str(tmp_path / "a" / "same.yaml"), f"--other={tmp_path / 'b' / 'same.yaml'}"]
    job = shipment("rerank", flags, folder)
    assert shlex.split(job.entrypoint)[4:] == ["--config", "0-same.yaml", "--other=1-same.yaml"]
    assert [(folder / name).read_text() for name in ("0-same.yaml", "1-same.yaml")] == ["depth: 1", "depth: 2"]


def test_the_configuration_that_a_recipe_names_goes_along(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text("learning_rate: 5.0e-6\n")
    recipe = f"output: s3://b/out\ntrain: {{config: {tmp_path / 'train.yaml'}, seed: 7}}\nfilter: {{}}\n"
    (tmp_path / "chain.yaml").write_text(recipe)
    job = shipment("recipe", [str(tmp_path / "chain.yaml")], folder)
    assert shlex.split(job.entrypoint)[4:] == ["0-chain.yaml"]
    assert yaml.safe_load((folder / "0-chain.yaml").read_text()) == {
        "output": "s3://b/out",
        "train": {"config": "1-train.yaml", "seed": 7},
        "filter": {},
    }
    assert (folder / "1-train.yaml").read_text() == "learning_rate: 5.0e-6\n"


def test_a_file_that_is_no_yaml_is_shipped_as_it_is(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("a: [1\n")
    shipment("rerank", ["--config", str(tmp_path / "bad.yaml")], folder)
    assert (folder / "0-bad.yaml").read_text() == "a: [1\n"


def test_a_yaml_file_that_is_not_here_is_said_before_anything_is_submitted(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.yaml is no file here, and a YAML file is shipped from this disk"):
        shipment("rerank", ["--config", "gone.yaml"], folder)


@pytest.mark.parametrize("flag", ["s3://AKIASAMPLE:secret@bucket/out", "--output=s3://AKIASAMPLE:secret@bucket/out"])
def test_a_key_in_a_flag_is_said_before_anything_is_submitted(folder: Path, flag: str) -> None:
    with pytest.raises(StorageError, match="has a key in it") as refused:
        shipment("rerank", ["--output", flag], folder)
    assert "AKIASAMPLE" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("output: s3://AKIASAMPLE:secret@bucket/out\n", "has a key in it"),
        ("models: [ours=http://me:secret@host/]\n", "has a user or a password in a URL"),
    ],
)
def test_a_key_in_a_file_that_would_be_shipped_is_said_before_it_is(
    folder: Path, tmp_path: Path, content: str, told: str
) -> None:
    (tmp_path / "c.yaml").write_text(content)
    (tmp_path / "recipe.yaml").write_text(f"mine:\n  config: {tmp_path / 'c.yaml'}\n")
    for file in ("c.yaml", "recipe.yaml"):
        with pytest.raises(UserError, match=told) as refused:
            shipment("rerank", ["--config", str(tmp_path / file)], folder)
        assert "secret" not in str(refused.value)


def test_a_password_in_a_flag_is_said_before_anything_is_submitted(folder: Path) -> None:
    with pytest.raises(SettingsError, match="a flag has a user or a password in a URL") as refused:
        shipment("evaluate", ["--models", "ours=http://me:secret@host/"], folder)
    assert "secret" not in str(refused.value)


def test_data_of_this_disk_is_not_shipped(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text("{}")
    job = shipment("rerank", ["--queries", str(tmp_path / "queries.jsonl")], folder)
    assert list(folder.iterdir()) == []
    assert str(tmp_path / "queries.jsonl") in job.entrypoint


def test_the_kind_of_log_that_was_asked_for_here_is_that_of_the_job(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CROSSRANK_LOG", raising=False)
    assert "CROSSRANK_LOG" not in shipment("rerank", [], folder).runtime_env["env_vars"]
    monkeypatch.setenv("CROSSRANK_LOG", "json")
    assert shipment("rerank", [], folder).runtime_env["env_vars"]["CROSSRANK_LOG"] == "json"


def test_the_job_knows_its_commit_though_no_git_goes_along(folder: Path) -> None:
    variables = shipment("rerank", [], folder).runtime_env["env_vars"]
    commit = provenance().commit
    assert variables.get(COMMIT) == commit


def test_what_is_shipped_is_set_up_as_in_the_file_for_ray_job_submit(folder: Path) -> None:
    for_ray = yaml.safe_load((Path(__file__).parents[3] / "jobs" / "runtime_env.yaml").read_text())
    variables = shipment("rerank", [], folder).runtime_env["env_vars"]
    assert variables.items() >= for_ray["env_vars"].items()
    assert [Path(module).name for module in for_ray["py_modules"]] == ["crossrank"]
