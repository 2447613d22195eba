"""Settings from flags and from a configuration file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import pytest

from crossrank.errors import InputError, SettingsError
from crossrank.reranking.settings import RerankSettings
from crossrank.settings import command, from_mapping, option, read_config, that_change_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One field of every kind."""

    name: str = option(help="A name.")
    top_n: int = option(10, help="A number.")
    share: float = option(0.5, help="A fraction.")
    kind: Literal["plain", "fancy"] | None = option(None, help="A choice.")
    loud: bool = option(False, help="A switch.", changes_rows=False)


def parsed(*arguments: str) -> Sample:
    """What a command gets from these flags."""
    got: list[Sample] = []
    verb = command(Sample, got.append)
    verb.main(args=list(arguments), prog_name="sample", standalone_mode=False)
    [sample] = got
    return sample


def test_what_is_not_given_has_its_default() -> None:
    assert parsed("--name", "x") == Sample(name="x", top_n=10, share=0.5, kind=None, loud=False)


def test_a_flag_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("name: from-file\ntop-n: 3\nshare: 1\nloud: true\nkind: fancy\n")
    config = str(tmp_path / "c.yaml")
    assert parsed("--config", config) == Sample(name="from-file", top_n=3, share=1.0, kind="fancy", loud=True)
    flags = ("--config", config, "--name", "from-flag", "--top-n", "0", "--kind", "plain")
    assert parsed(*flags) == Sample(name="from-flag", top_n=0, share=1.0, kind="plain", loud=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nmae: x", "c.yaml has the key nmae, which is none of kind, loud, name, share, top_n"),
        ("top_n: many", "top_n in .*c.yaml is 'many', and a whole number is wanted"),
        ("top_n: 2.5", "top_n in .*c.yaml is 2.5, and a whole number is wanted"),
        ("top_n: true", "top_n in .*c.yaml is True, and a whole number is wanted"),
        ("loud: 1", "loud in .*c.yaml is 1, and true or false is wanted"),
        ("name: [x]", r"name in .*c.yaml is \['x'\], and a text is wanted"),
        ("name: null", "name in .*c.yaml is None, and a text is wanted"),
        ("{name: x, kind: odd}", "kind in .*c.yaml is 'odd'; use one of plain, fancy"),
        ("top_n: 3", "--name is missing; give as a flag, or as a key of --config"),
        ("", "--name is missing"),
        ("- name", "c.yaml holds no mapping of names to values; write lines like 'depth: 100'"),
        ("1: x", "c.yaml holds no mapping of names to values"),
        ("name: 'x", "c.yaml is not YAML: while scanning a quoted scalar"),
        ("name: \0", "c.yaml is not YAML"),
    ],
)
def test_a_file_that_does_not_fit_is_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(content)
    with pytest.raises(SettingsError, match=message) as refused:
        parsed("--config", str(tmp_path / "c.yaml"))
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.yaml does not exist"):
        read_config(str(tmp_path / "no.yaml"))


def test_a_whole_number_may_stand_for_a_text_or_a_fraction() -> None:
    assert from_mapping(Sample, {"name": 7, "share": 2}, "here") == Sample(name="7", share=2.0)


@pytest.mark.parametrize(
    "arguments", [["--name", "x", "--top-n", "many"], ["--name", "x", "--kind", "odd"], ["--nmae", "x"]]
)
def test_a_flag_that_does_not_fit_is_an_error_of_use(arguments: list[str]) -> None:
    with pytest.raises(click.UsageError):
        parsed(*arguments)


def test_help_names_every_flag_with_its_default() -> None:
    verb = command(Sample, print)
    text = " ".join(verb.get_help(click.Context(verb)).split())
    assert "--name TEXT A name. [required]" in text
    assert "--top-n INTEGER A number. [default: 10]" in text
    assert "--config TEXT" in text


def test_which_settings_have_to_match_on_resume() -> None:
    assert that_change_rows(Sample(name="x")) == {"name": "x", "top_n": 10, "share": 0.5, "kind": None}


def rerank_settings(**values: Any) -> RerankSettings:
    given = {"model": "m", "output": "o", "queries": "q", "corpus": "c", **values}
    return from_mapping(RerankSettings, given, "the flags")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"queries": None}, "there is nothing to rerank; give --queries and --corpus, or --groups"),
        ({"corpus": None}, "there is nothing to rerank; give --queries and --corpus, or --groups"),
        ({"groups": "g"}, "--groups carry their queries, so --queries has no place beside them"),
        ({"groups": "g", "queries": None, "candidates": "r"}, "--groups carry their candidates, so --candidates has"),
        ({"output": "o/", "run": "./o/run.trec"}, "--run ./o/run.trec lies in --output"),
        ({"output": "s3://b/o", "run": "s3://b/o/x/run.trec"}, "--run s3://b/o/x/run.trec lies in --output"),
        ({"depth": 0}, "--depth is 0; use at least 1"),
        ({"top_n": -1}, "--top-n is -1; use at least 0"),
        ({"max_length": 7}, "--max-length is 7; use at least 8"),
        ({"limit": 0}, "--limit is 0; use at least 1"),
        ({"gpus_per_worker": -0.5}, "--gpus-per-worker is -0.5; use 0 for CPU, or a positive number"),
        *(
            ({"workers": workers}, f"--workers is '{workers}'; use a number from 1, or MIN:MAX such as 1:8")
            for workers in ("0", "-1", "a:b", "2:1", "1:2:3", "", ":", "1.5", "0:4")
        ),
        ({"normalize": "minmax"}, "normalize in the flags is 'minmax'; use one of none, sigmoid, softmax"),
        ({"precision": "int8"}, "precision in the flags is 'int8'; use one of fp32, bf16, fp16"),
    ],
)
def test_rerank_settings_that_do_not_go_together_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        rerank_settings(**values)
    assert str(refused.value).startswith(message)


def test_a_run_may_lie_beside_the_output() -> None:
    assert rerank_settings(output="out", run="out.trec").run == "out.trec"


@pytest.mark.parametrize(("workers", "expected"), [(None, None), ("3", (3, 3)), ("1:8", (1, 8)), (2, (2, 2))])
def test_workers_are_a_number_or_a_range(workers: Any, expected: tuple[int, int] | None) -> None:
    assert rerank_settings(workers=workers).worker_range() == expected


def test_what_does_not_change_rows_may_change_on_resume() -> None:
    kept = that_change_rows(rerank_settings())
    assert {"model", "queries", "depth", "top_n", "max_length", "precision", "normalize", "with_text"} <= set(kept)
    assert not {"output", "workers", "gpus_per_worker", "dry_run", "overwrite", "run"} & set(kept)
