"""Settings from flags and from a configuration file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import pytest

from crossrank.cli.options import command
from crossrank.cluster.pool import WorkerRequest
from crossrank.config.files import read_config
from crossrank.config.settings import from_mapping, knob, option
from crossrank.errors import InputError, SettingsError, StorageError
from crossrank.reranking.settings import RerankSettings
from crossrank.resumable.settings import that_affect_output
from crossrank.training.settings import TrainSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One field of every kind."""

    name: str = option(help="A name.")
    top_n: int = option(10, help="A number.")
    share: float = option(0.5, help="A fraction.")
    kind: Literal["plain", "fancy"] | None = option(None, help="A choice.")
    loud: bool = option(False, help="A switch.", affects_output=False)


def parsed(*arguments: str) -> Sample:
    """What a command gets from these flags."""
    got: list[Sample] = []
    verb = command(Sample, got.append)
    verb.main(args=list(arguments), prog_name="sample", standalone_mode=False)
    [sample] = got
    return sample


def test_what_is_not_given_has_its_default() -> None:
    assert parsed("--name", "x") == Sample(name="x", top_n=10, share=0.5, kind=None, loud=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Several:
    """A field of several values, and one after it."""

    models: tuple[str, ...] = option(help="Some names.")
    output: str = option("out", help="A name.")


@pytest.mark.parametrize(
    "flags",
    [("--models", "a=A", "b=B"), ("--models", "a=A", "--models", "b=B"), ("--models", "a=A", "b=B", "--output", "x")],
)
def test_a_flag_may_take_several_values_one_after_another(flags: tuple[str, ...]) -> None:
    got: list[Several] = []
    command(Several, got.append).main(args=list(flags), prog_name="several", standalone_mode=False)
    assert got == [Several(models=("a=A", "b=B"), output="x" if "x" in flags else "out")]


def test_a_file_has_several_values_as_a_list(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("models: [a=A, b=B]\n")
    assert from_mapping(Several, read_config(str(tmp_path / "c.yaml")), "c.yaml").models == ("a=A", "b=B")
    with pytest.raises(SettingsError, match=r"models in c.yaml is 'a=A', and a list of texts is wanted"):
        from_mapping(Several, {"models": "a=A"}, "c.yaml")


def test_a_flag_of_several_values_that_is_required_is_named_where_it_is_missing() -> None:
    with pytest.raises(SettingsError, match="--models is missing"):
        command(Several, lambda _: None).main(args=[], prog_name="several", standalone_mode=False)


def test_a_flag_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("name: from-file\ntop-n: 3\nshare: 1\nloud: true\nkind: fancy\n")
    config = str(tmp_path / "c.yaml")
    assert parsed("--config", config) == Sample(name="from-file", top_n=3, share=1.0, kind="fancy", loud=True)
    flags = ("--config", config, "--name", "from-flag", "--top-n", "0", "--kind", "plain")
    assert parsed(*flags) == Sample(name="from-flag", top_n=0, share=1.0, kind="plain", loud=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nmae: x", "c.yaml has the key nmae, which is not known; write name"),
        ("top_n: many", "top_n in .*c.yaml is 'many', and a whole number is wanted"),
        ("top_n: 2.5", "top_n in .*c.yaml is 2.5, and a whole number is wanted"),
        ("top_n: true", "top_n in .*c.yaml is true, and a whole number is wanted"),
        ("loud: 1", "loud in .*c.yaml is 1, and true or false is wanted"),
        ("name: [x]", r"name in .*c.yaml is \[x\], and a text is wanted"),
        ("name: 2026-12-01", "name in .*c.yaml is 2026-12-01, and a text is wanted"),
        ("name: null", "name in .*c.yaml is null, and a text is wanted"),
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


@pytest.mark.parametrize(
    "flag", ["--name=s3://AKIASAMPLE:secret@bucket/x", "--name=base=s3://AKIASAMPLE:secret@bucket"]
)
def test_a_key_in_a_uri_is_refused_before_a_manifest_could_have_it(tmp_path: Path, flag: str) -> None:
    (tmp_path / "c.yaml").write_text(flag.removeprefix("--").replace("=", ": ", 1))
    for given in ([flag], ["--config", str(tmp_path / "c.yaml")]):
        with pytest.raises(StorageError, match="has a key in it") as refused:
            parsed(*given)
        assert "AKIASAMPLE" not in str(refused.value)


def test_a_key_in_a_file_that_is_no_yaml_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text('output: "s3://AKIASAMPLE:secret@bucket/x')
    with pytest.raises(StorageError, match="has a key in it") as refused:
        read_config(str(tmp_path / "c.yaml"))
    assert "AKIASAMPLE" not in str(refused.value)


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
    assert that_affect_output(Sample(name="x")) == {"name": "x", "top_n": 10, "share": 0.5, "kind": None}


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


def test_a_kind_of_gpu_asks_for_a_gpu() -> None:
    assert rerank_settings(accelerator="L4").wanted() == WorkerRequest(None, 1.0, "L4")
    assert rerank_settings(accelerator="L4", gpus_per_worker=0.5, workers="2").wanted() == WorkerRequest(
        (2, 2), 0.5, "L4"
    )
    assert rerank_settings().wanted() == WorkerRequest(None, None, None)


def test_a_kind_of_gpu_for_workers_without_one_is_refused() -> None:
    with pytest.raises(SettingsError) as refused:
        rerank_settings(accelerator="L4", gpus_per_worker=0.0).wanted()
    assert str(refused.value) == "--accelerator is L4, and --gpus-per-worker is 0; leave one of them out"


def test_what_does_not_change_rows_may_change_on_resume() -> None:
    kept = that_affect_output(rerank_settings())
    assert {"model", "queries", "depth", "top_n", "max_length", "precision", "normalize", "with_text"} <= set(kept)
    assert not {"output", "workers", "gpus_per_worker", "dry_run", "overwrite", "run"} & set(kept)


# knobs: keys of a file and of --set that are no flags


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A flag, and a knob of every kind."""

    groups: str = option(help="Groups.")
    learning_rate: float = knob(2e-5, help="Peak learning rate.")
    head_rate: float | None = knob(None, help="Rate of the head.")
    epochs: int = knob(1, help="Times.")
    shape: Literal["linear", "cosine"] = knob("linear", help="How it falls.")
    frozen: bool = knob(False, help="A switch.", affects_output=False)
    note: str | None = knob(None, help="A text.")


def recipe(*arguments: str) -> Recipe:
    """What a command with knobs gets from these flags."""
    got: list[Recipe] = []
    command(Recipe, got.append).main(args=list(arguments), prog_name="recipe", standalone_mode=False)
    [found] = got
    return found


def written(tmp_path: Path, content: str) -> str:
    (tmp_path / "r.yaml").write_text(content)
    return str(tmp_path / "r.yaml")


def test_a_knob_is_set_by_its_name() -> None:
    sets = ("learning_rate=1e-5", "epochs=3", "shape=cosine", "frozen=true", "note=two words", "head_rate=0.1")
    arguments = [argument for assignment in sets for argument in ("--set", assignment)]
    assert recipe("--groups", "g", *arguments) == Recipe(
        groups="g", learning_rate=1e-5, head_rate=0.1, epochs=3, shape="cosine", frozen=True, note="two words"
    )


def test_a_knob_may_be_set_to_nothing_where_it_may_be_nothing(tmp_path: Path) -> None:
    config = written(tmp_path, "groups: g\nhead_rate: 0.5\nnote: x\n")
    for nothing in ("null", ""):
        found = recipe("--config", config, "--set", f"head_rate={nothing}", "--set", f"note={nothing}")
        assert (found.head_rate, found.note) == (None, None)


def test_spaces_and_dashes_do_not_matter_and_the_last_of_two_wins() -> None:
    assert recipe("--groups", "g", "--set", "learning-rate = 1", "--set", " epochs =2").learning_rate == 1.0
    assert recipe("--groups", "g", "--set", "epochs=1", "--set", "epochs=2").epochs == 2


def test_a_value_may_hold_the_sign_itself() -> None:
    assert recipe("--groups", "g", "--set", "note=a=b").note == "a=b"


def test_what_is_set_wins_over_the_file_and_a_flag_over_both(tmp_path: Path) -> None:
    config = written(tmp_path, "groups: from-file\nepochs: 3\n")
    found = recipe("--config", config, "--set", "epochs=4", "--set", "groups=from-set")
    assert (found.groups, found.epochs) == ("from-set", 4)
    assert recipe("--config", config, "--set", "groups=from-set", "--groups", "from-flag").groups == "from-flag"


@pytest.mark.parametrize("text", ["2e-5", "2E-5", "2.0e-5", "0.00002", "'2e-5'"])
def test_a_number_is_read_as_people_write_it(tmp_path: Path, text: str) -> None:
    # To YAML 2e-5 is a text, because it has no point: the recipe of half the world would be refused.
    assert recipe("--config", written(tmp_path, f"groups: g\nlearning_rate: {text}\n")).learning_rate == 2e-5
    assert recipe("--groups", "g", "--set", f"learning_rate={text}").learning_rate == 2e-5


def test_a_knob_is_no_flag() -> None:
    with pytest.raises(click.UsageError, match="No such option '--learning-rate'"):
        recipe("--groups", "g", "--learning-rate", "1e-5")


def test_settings_without_knobs_have_no_set() -> None:
    with pytest.raises(click.UsageError, match="No such option '--set'"):
        parsed("--name", "x", "--set", "top_n=3")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("learning_rate", "--set 'learning_rate' is no KEY=VALUE; write it like learning_rate=2e-5"),
        ("=3", "--set '=3' is no KEY=VALUE; write it like learning_rate=2e-5"),
        ("epochs={", "--set 'epochs={' has a value that is not YAML; quote it"),
        ("epochs=many", "epochs in --set is 'many', and a whole number is wanted"),
        ("epochs=1.5", "epochs in --set is 1.5, and a whole number is wanted"),
        ("epochs=", "epochs in --set is null, and a whole number is wanted"),
        ("learning_rate=fast", "learning_rate in --set is 'fast', and a number is wanted"),
        ("frozen=1", "frozen in --set is 1, and true or false is wanted"),
        ("shape=step", "shape in --set is 'step'; use one of linear, cosine"),
        ("note=[a]", "note in --set is [a], and a text is wanted"),
        (
            "lerning_rate=1",
            "--set has the key lerning_rate, which is not known; write learning_rate",
        ),
    ],
)
@pytest.mark.parametrize("content", [None, "epochs: 3"])
def test_an_assignment_that_does_not_fit_is_one_sentence(
    tmp_path: Path, content: str | None, assignment: str, message: str
) -> None:
    # With a file too it is --set that is to blame, not the file.
    config = [] if content is None else ["--config", written(tmp_path, content)]
    with pytest.raises(SettingsError) as refused:
        recipe(*config, "--groups", "g", "--set", assignment)
    assert str(refused.value) == message


def test_the_file_is_to_blame_for_its_own_values(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^epochs in .*r\.yaml is 'many', and a whole number is wanted$"):
        recipe("--config", written(tmp_path, "epochs: many"), "--groups", "g", "--set", "learning_rate=1")


def test_help_lists_every_knob_with_its_default_as_it_would_be_written() -> None:
    verb = command(Recipe, print)
    text = verb.get_help(click.Context(verb))
    assert "--set KEY=VALUE" in text
    assert "--learning-rate" not in text
    assert text.endswith(
        "Keys of --config and --set, with their defaults:\n"
        "    learning_rate=2e-05: Peak learning rate.\n"
        "    head_rate=null: Rate of the head.\n"
        "    epochs=1: Times.\n"
        "    shape=linear: How it falls.\n"
        "    frozen=false: A switch.\n"
        "    note=null: A text."
    )


def test_every_default_that_help_shows_can_be_set_as_it_is_shown() -> None:
    verb = command(TrainSettings, print)
    text = verb.get_help(click.Context(verb))
    shown = [line.strip().split(":")[0] for line in text.split("with their defaults:\n")[1].splitlines()]
    assert len(shown) > 20
    got: list[TrainSettings] = []
    flags = ["--base", "b", "--groups", "g", "--output", "o"]
    sets = [argument for assignment in shown for argument in ("--set", assignment)]
    command(TrainSettings, got.append).main(args=[*flags, *sets], prog_name="train", standalone_mode=False)
    assert got == [TrainSettings(base="b", groups="g", output="o")]


def test_knobs_have_to_match_on_resume_like_flags() -> None:
    assert that_affect_output(Recipe(groups="g")) == {
        "groups": "g",
        "learning_rate": 2e-5,
        "head_rate": None,
        "epochs": 1,
        "shape": "linear",
        "note": None,
    }


# variables of a file


VARIABLES = """\
variables:
  target: ko
  round: 1
groups: data/{target}/{round}/{target}.parquet
note: into {target}
"""


def test_a_variable_stands_for_its_text_wherever_its_name_is(tmp_path: Path) -> None:
    found = recipe("--config", written(tmp_path, VARIABLES))
    assert (found.groups, found.note) == ("data/ko/1/ko.parquet", "into ko")


def test_a_variable_is_set_like_a_knob(tmp_path: Path) -> None:
    found = recipe("--config", written(tmp_path, VARIABLES), "--set", "target=de", "--set", "epochs=2")
    assert (found.groups, found.note, found.epochs) == ("data/de/1/de.parquet", "into de", 2)


@pytest.mark.parametrize("text", ["no", "on", "007", "1.10", "2026-01-01", "null", "[x", "a: b"])
def test_what_a_variable_is_set_to_is_a_text_as_it_was_typed(tmp_path: Path, text: str) -> None:
    # YAML reads Norwegian as a false, 007 as 7 and 1.10 as 1.1: the groups would be looked for in data/False.
    assert recipe("--config", written(tmp_path, VARIABLES), "--set", f"target={text}").note == f"into {text}"


def test_a_variable_may_have_a_dash_in_its_name(tmp_path: Path) -> None:
    config = written(tmp_path, "variables: {to-lang: ko}\ngroups: data/{to-lang}\n")
    assert recipe("--config", config, "--set", "to-lang=de").groups == "data/de"


def test_a_variable_may_be_a_number_for_a_number(tmp_path: Path) -> None:
    config = written(tmp_path, "variables: {rate: 2e-5}\ngroups: g\nlearning_rate: '{rate}'\n")
    assert recipe("--config", config).learning_rate == 2e-5
    assert recipe("--config", config, "--set", "rate=1e-5").learning_rate == 1e-5


def test_braces_that_name_no_variable_stay(tmp_path: Path) -> None:
    assert recipe("--config", written(tmp_path, "variables: {a: 1}\ngroups: '{a}{b}{}'\n")).groups == "1{b}{}"


def test_a_variable_is_not_filled_into_what_was_set_or_given(tmp_path: Path) -> None:
    found = recipe("--config", written(tmp_path, VARIABLES), "--set", "note='{target}'", "--groups", "{target}")
    assert (found.groups, found.note) == ("{target}", "{target}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("variables: ko", "variables in {} is 'ko', and a mapping of names to values is wanted"),
        ("variables:", "variables in {} is null, and a mapping of names to values is wanted"),
        ("variables: {no: ko}", "variables in {} is {{false: ko}}, and a mapping of names to values is wanted"),
        ("variables: {target: no}", "the variable target in {} is false, and a text is wanted; quote it"),
        ("variables: {target: }", "the variable target in {} is null, and a text is wanted; quote it"),
        ("variables: {target: [ko, de]}", "the variable target in {} is [ko, de], and a text is wanted; quote it"),
    ],
)
def test_variables_that_do_not_fit_are_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    config = written(tmp_path, f"{content}\ngroups: g\n")
    with pytest.raises(SettingsError) as refused:
        recipe("--config", config)
    assert str(refused.value) == message.format(config)


def test_a_variable_that_the_file_does_not_declare_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^--set has the key target, which is not known; no key is near it"):
        recipe("--config", written(tmp_path, "groups: g"), "--set", "target=de")
