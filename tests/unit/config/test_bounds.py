"""Numbers of settings: just outside of its bounds each is refused, just inside taken, whichever way it is given."""

from __future__ import annotations

import ast
import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import Field, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import numpy as np
import pytest
import yaml

from crossrank import verbs
from crossrank.cli.main import crossrank as command_line
from crossrank.cli.options import command
from crossrank.config.bounds import Bounds
from crossrank.config.keywords import keywords_of
from crossrank.config.settings import CheckedSettings, as_written, knob, option
from crossrank.demo.run import DemoSettings
from crossrank.errors import SettingsError
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.filtering.settings import FilterSettings
from crossrank.mining.settings import MineSettings
from crossrank.reranking.settings import RerankSettings
from crossrank.scoring.score_file import ScoreSettings
from crossrank.serving.settings import ReplicaSettings, ServeSettings
from crossrank.training.losses import LOSSES
from crossrank.training.merge import MergeSettings
from crossrank.training.settings import TrainSettings
from crossrank.translation.settings import TranslateSettings
from serve.load import LoadSettings

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "platform" / "crossrank"

GIVEN: dict[type[CheckedSettings], dict[str, Any]] = {
    RerankSettings: {"model": "m", "groups": "g", "output": "o"},
    ScoreSettings: {"model": "m", "input": "i"},
    TranslateSettings: {"groups": "g", "source": "en", "target": "ko", "backend": "amazon", "output": "o"},
    FilterSettings: {"groups": "g", "source": "en", "target": "ko", "output": "o"},
    MineSettings: {"groups": "g", "corpus": "c", "output": "o", "teacher": "t", "encoder": "e", "negatives": 1},
    TrainSettings: {"base": "b", "groups": "g", "output": "o", "weight_kl": 1.0},
    MergeSettings: {"base": "b", "tuned": "t", "output": "o"},
    EvaluateSettings: {"groups": "g", "output": "o"},
    ReplicaSettings: {"model": "m"},
    ServeSettings: {"model": "m"},
    DemoSettings: {},
    LoadSettings: {"url": "http://h", "rate": 1.0},
}
"""What makes settings complete, by their class."""
LARGEST = 2**31 - 1
BESIDE: dict[tuple[type[CheckedSettings], str], dict[str, Any]] = {
    (EvaluateSettings, "depth"): {"contexts": 1},
    (EvaluateSettings, "contexts"): {"depth": LARGEST},
    (LoadSettings, "pairs_rate"): {"rate": None},
    (MineSettings, "negatives"): {"depth": LARGEST},
    (ReplicaSettings, "min_replicas"): {"max_replicas": LARGEST},
    (ServeSettings, "min_replicas"): {"max_replicas": LARGEST},
    (ReplicaSettings, "max_replicas"): {"min_replicas": 0},
    (ServeSettings, "max_replicas"): {"min_replicas": 0},
    (TrainSettings, "save_steps"): {"eval_steps": None},
}
"""What other rules want beside a number at the edge of its bounds."""
BOUND_OTHERWISE = {
    (TrainSettings, "micro_batch_tokens"): "it is at least max_length",
    (LoadSettings, "seed"): "any whole number",
}
"""Numbers without a least value of their own, with the reason."""
Give = Callable[[type[CheckedSettings], Field[Any], dict[str, Any], Any, Path], Any]


TAKEN = {
    "above 0": (
        "budget_usd bytes_per_second default_timeout_s give_up_s head_learning_rate learning_rate max_body_mb "
        "max_grad_norm max_queue_s max_timeout_s pairs_rate rate relevant_from requests_per_second scale_down_after_s "
        "seconds teacher_scale temperature timeout_ms tokens_per_key usd_per_million_characters"
    ),
    "above 0, up to 1": "near_duplicate_containment near_duplicate_jaccard",
    "above 0, up to 86,400": "timeout_s",
    "between 0 and 1": "eval_fraction",
    "at least 0": (
        "absolute_margin character_run collapse_patience compressed_share early_stopping_patience foreign_letters "
        "foreign_share gpus_per_replica gpus_per_worker kept_words language_letters latin_share length_slack "
        "lora_rank lost_numbers_share max_failures max_length_ratio max_skipped_steps min_length_ratio min_replicas "
        "other_probability repeats samples seed skip_top source_probability target_probability teacher_drop "
        "teacher_margin timed_queries top_n train_group_size weight_decay"
    ),
    "at least 1": (
        "concurrency contexts depth eval_steps groups_per_part groups_per_step limit lora_alpha max_client_batch_size "
        "max_documents max_new_tokens max_replicas negatives num_beams num_train_epochs rrf_k save_steps "
        "save_total_limit threads"
    ),
    "at least 8": "encoder_max_length max_length",
    "from 0 to 1": "alpha",
    "from 0 to below 1": "dropout relative_margin warmup_ratio",
    "from 1 to 65,535": "port",
    "from 100 to 10,000,000": "resamples",
}
"""What numbers take, in the words of ``--help``, by hand; a name means the same in every verb."""


def numbers_of(settings: type[CheckedSettings]) -> Iterator[tuple[Field[Any], type]]:
    hints = get_type_hints(settings)
    for each in fields(settings):
        kinds = {hints[each.name], *get_args(hints[each.name])} & {int, float}
        if kinds:
            yield each, kinds.pop()


def just_below(value: float, kind: type) -> float:
    return value - 1 if kind is int else math.nextafter(value, -math.inf)


def just_above(value: float, kind: type) -> float:
    return value + 1 if kind is int else math.nextafter(value, math.inf)


def edges(bounds: Bounds, kind: type) -> Iterator[tuple[float, float, str]]:
    """A number just outside, one just inside, and what its refusal offers, at each end."""
    if bounds.least is not None:
        yield just_below(bounds.least, kind), bounds.least, f"at least {bounds.least:,}"
    if bounds.above is not None:
        yield bounds.above, just_above(bounds.above, kind), f"a number above {bounds.above:,}"
    if bounds.below is not None:
        yield bounds.below, just_below(bounds.below, kind), f"a number below {bounds.below:,}"
    if bounds.most is not None:
        most = f"at most {bounds.most:,}" if bounds.most < 2**31 else f"a number up to {bounds.most}"
        yield just_above(bounds.most, kind), bounds.most, most
    elif kind is int:
        yield 2**31, LARGEST, "a number up to 2147483647"


EDGES = [
    pytest.param(settings, each, kind, *edge, id=f"{settings.__name__}-{each.name}-{edge[2].replace(' ', '_')}")
    for settings in GIVEN
    for each, kind in numbers_of(settings)
    for edge in edges(each.metadata["bounds"], kind)
    if (settings, each.name, edge[1]) != (MineSettings, "skip_top", LARGEST)  # it leaves a rank of --depth at least
]


def by_flag(settings: type[CheckedSettings], each: Field[Any], given: dict[str, Any], value: Any, folder: Path) -> Any:
    config = folder / "given.yaml"
    config.write_text(yaml.safe_dump(given))
    typed = [f"{as_written(each)}={value!r}"] if each.metadata["flag"] else ["--set", f"{each.name}={value!r}"]
    return parsed(settings, ["--config", str(config), *typed])


def by_yaml(settings: type[CheckedSettings], each: Field[Any], given: dict[str, Any], value: Any, folder: Path) -> Any:
    config = folder / "all.yaml"
    config.write_text(yaml.safe_dump({**given, each.name: value}))
    return parsed(settings, ["--config", str(config)])


def by_keyword(
    settings: type[CheckedSettings], each: Field[Any], given: dict[str, Any], value: Any, folder: Path
) -> Any:
    def verb(made: Any) -> Any:
        return made

    return keywords_of(settings)(verb)(**{**given, each.name: value})


def by_class(settings: type[CheckedSettings], each: Field[Any], given: dict[str, Any], value: Any, folder: Path) -> Any:
    return settings(**{**given, each.name: value})


WAYS = (by_flag, by_yaml, by_keyword, by_class)


def parsed(settings: type[CheckedSettings], arguments: list[str]) -> Any:
    verb, got = VERBS[settings]
    got.clear()
    verb.main(args=arguments, prog_name="verb", standalone_mode=False)
    [made] = got
    return made


def keeping(settings: type[CheckedSettings]) -> tuple[click.Command, list[Any]]:
    """A command that keeps the settings that it is given, and where."""
    got: list[Any] = []
    return command(settings, got.append), got


VERBS = {settings: keeping(settings) for settings in GIVEN}


def given_beside(settings: type[CheckedSettings], each: Field[Any]) -> dict[str, Any]:
    given = GIVEN[settings] | BESIDE.get((settings, each.name), {})
    exclusive = {"relative_margin": "absolute_margin", "absolute_margin": "relative_margin"}
    return {name: value for name, value in given.items() if name != exclusive.get(each.name)}


@pytest.mark.parametrize("give", WAYS)
@pytest.mark.parametrize(("settings", "each", "kind", "outside", "inside", "words"), EDGES)
def test_a_number_is_refused_just_outside_its_bounds_and_taken_just_inside(
    settings: type[CheckedSettings],
    each: Field[Any],
    kind: type,
    outside: float,
    inside: float,
    words: str,
    give: Give,
    tmp_path: Path,
) -> None:
    given = given_beside(settings, each)
    made = give(settings, each, given, inside, tmp_path)
    assert getattr(made, each.name) == inside
    with pytest.raises(SettingsError) as refused:
        give(settings, each, given, outside, tmp_path)
    refusal = each.metadata["bounds"].refusal or f"; use {words}"
    assert str(refused.value).endswith(refusal)
    assert re.match(rf"{as_written(each)} is |{each.name} in ", str(refused.value)), str(refused.value)


@pytest.mark.parametrize("give", WAYS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_setting_takes_a_number_that_is_not_finite(value: float, give: Give, tmp_path: Path) -> None:
    for settings in GIVEN:
        for each, kind in numbers_of(settings):
            with pytest.raises((SettingsError, click.BadParameter)):
                give(settings, each, given_beside(settings, each), value, tmp_path)
            assert kind in (int, float)


@pytest.mark.parametrize("value", [True, False, np.bool_(True), "1", [1]])
def test_a_class_takes_no_truth_value_or_text_for_a_number(value: Any) -> None:
    for settings in GIVEN:
        for each, kind in numbers_of(settings):
            with pytest.raises(SettingsError, match=rf"^{as_written(each)} is .*, and a (whole )?number is wanted$"):
                settings(**{**given_beside(settings, each), each.name: value})
            assert kind in (int, float)


def test_a_class_takes_the_numbers_of_numpy() -> None:
    assert RerankSettings(**GIVEN[RerankSettings] | {"depth": np.int64(7)}).depth == 7
    with pytest.raises(SettingsError, match=r"^--depth is 0; use at least 1$"):
        RerankSettings(**GIVEN[RerankSettings] | {"depth": np.int64(0)})
    with pytest.raises(SettingsError, match=r"^--depth is 2.5, and a whole number is wanted$"):
        RerankSettings(**GIVEN[RerankSettings] | {"depth": 2.5})


@pytest.mark.parametrize("give", WAYS)
def test_a_number_too_large_for_a_fraction_is_one_sentence(give: Give, tmp_path: Path) -> None:
    [rate] = [each for each in fields(TrainSettings) if each.name == "learning_rate"]
    with pytest.raises(SettingsError, match=r"^learning_rate .*is inf; use a (finite number|number above 0)$|10{399}"):
        give(TrainSettings, rate, GIVEN[TrainSettings], 10**400, tmp_path)


def test_workers_without_a_gpu_are_no_negative_number_for_any_job() -> None:
    jobs = [settings for settings in GIVEN if "gpus_per_worker" in {each.name for each in fields(settings)}]
    assert len(jobs) == 6
    for settings in jobs:
        with pytest.raises(SettingsError, match=r"^--gpus-per-worker is -1; use 0 for CPU, or a positive number$"):
            parsed(settings, [*flags_of(GIVEN[settings]), "--gpus-per-worker", "-1"])
        with pytest.raises(SettingsError, match=r"^--output is empty; name a folder$"):
            settings(**GIVEN[settings] | {"output": ""})
        with pytest.raises(SettingsError, match=r"^--workers is '3:2'; use a number from 1, or MIN:MAX such as 1:8$"):
            settings(**GIVEN[settings] | {"workers": "3:2"})


def flags_of(given: dict[str, Any]) -> list[str]:
    known = {name: value for name, value in given.items() if name not in ("weight_kl",)}
    return [f"--{name.replace('_', '-')}={value}" for name, value in known.items()]


def test_the_bounds_are_those_that_users_know() -> None:
    found = {
        each.name: each.metadata["bounds"].in_words
        for settings in GIVEN
        for each, _ in numbers_of(settings)
        if (settings, each.name) not in BOUND_OTHERWISE
    }
    by_hand = {name: words for words, names in TAKEN.items() for name in names.split()}
    assert {name: found.get(name) for name in by_hand} == by_hand
    assert {found[f"weight_{name}"] for name in LOSSES} == {"at least 0"}


def test_a_number_far_beyond_is_offered_the_smaller_limit() -> None:
    # 2**31 is too large for any setting, and 10,000,000 is what this one takes.
    with pytest.raises(SettingsError, match=r"^resamples is 2147483648; use at most 10,000,000$"):
        EvaluateSettings(**GIVEN[EvaluateSettings] | {"resamples": 2**31})


def test_every_number_has_a_least_value() -> None:
    without = {
        (settings, each.name)
        for settings in GIVEN
        for each, _ in numbers_of(settings)
        if each.metadata["bounds"].least is None and each.metadata["bounds"].above is None
    }
    assert without == set(BOUND_OTHERWISE)


# where bounds are told


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample(CheckedSettings):
    """A bound of every kind."""

    plain: int = option(1, help="Any number.")
    depth: int = option(100, help="Candidates.", least=1)
    share: float = option(0.5, help="A share.", least=0, most=1)
    part: float | None = option(None, help="A part.", above=0, below=1)
    wait: float = knob(60.0, help="Seconds.", above=0, most=86_400)
    ratio: float = knob(0.1, help="A ratio.", least=0, below=1)
    rate: float = knob(1.0, help="A rate.", above=0)
    few: int = knob(3, help="A few.", most=10)


def test_help_says_the_bounds_of_flags_and_of_keys() -> None:
    verb = command(Sample, print)
    text = " ".join(verb.get_help(click.Context(verb)).split())
    for line in (
        "--plain INTEGER Any number. [default: 1]",
        "--depth INTEGER Candidates. [at least 1] [default: 100]",
        "--share FLOAT A share. [from 0 to 1] [default: 0.5]",
        "--part FLOAT A part. [between 0 and 1]",
        "wait=60.0: Seconds. [above 0, up to 86,400]",
        "ratio=0.1: A ratio. [from 0 to below 1]",
        "rate=1.0: A rate. [above 0]",
        "few=3: A few. [at most 10]",
    ):
        assert line in text


@pytest.mark.parametrize("settings", GIVEN)
def test_help_and_the_pages_say_every_bound(settings: type[CheckedSettings]) -> None:
    verb = command(settings, print)
    text = " ".join(verb.get_help(click.Context(verb)).split())
    page = (ROOT / "docs" / "cli.md").read_text()
    for each, _ in numbers_of(settings):
        told = each.metadata["bounds"].in_words
        if told is not None:
            line = f"{each.metadata['help']} [{told}]"
            assert line in text
            assert line in page or settings is LoadSettings, "the page has the verbs of crossrank"


def test_the_page_of_python_says_bounds() -> None:
    assert (
        "| `depth` | Candidates of a query that are scored. [at least 1] | `100` |"
        in (ROOT / "docs" / "api.md").read_text()
    )


# that none is left out


@cache
def settings_in_sources() -> dict[str, tuple[set[str], set[str]]]:
    """Classes whose fields are flags or knobs: their bases, and their methods."""
    found = {}
    for path in [*PACKAGE.rglob("*.py"), ROOT / "serve" / "load.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                calls = {
                    each.value.func.id
                    for each in node.body
                    if isinstance(each, ast.AnnAssign)
                    and isinstance(each.value, ast.Call)
                    and isinstance(each.value.func, ast.Name)
                }
                if calls & {"option", "knob"}:
                    bases = {each.id for each in node.bases if isinstance(each, ast.Name)}
                    methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
                    found[node.name] = bases, methods
    return found


def test_every_class_of_settings_is_checked_and_none_shadows_the_check() -> None:
    sources = settings_in_sources()
    assert {each.__name__ for each in GIVEN} <= set(sources)
    for name, (bases, methods) in sources.items():
        assert bases & ({"CheckedSettings"} | set(sources)), f"{name} derives from CheckedSettings"
        assert "__post_init__" not in methods, f"{name} has rules of its own in check"


def test_every_class_with_a_number_is_tried() -> None:
    of_verbs = {verb.settings.__name__ for verb in verbs.VERBS.values()}
    made = of_verbs | {name for name in settings_in_sources() if name in vars(sys.modules["crossrank.cli.main"])}
    assert made - {each.__name__ for each in GIVEN} == {"ExportSettings", "ImportSettings"}, "they have no number"
    assert len(command_line.commands) > 10


def test_a_class_checks_its_own_rules_after_those_of_its_base_without_calling_them() -> None:
    seen: list[str] = []

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Base(CheckedSettings):
        depth: int = option(1, help="A number.", least=1)

        def check(self) -> None:
            seen.append("base")

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Between(Base):
        pass

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Own(Between):
        def check(self) -> None:
            seen.append("own")

    Own()
    assert seen == ["base", "own"]
    with pytest.raises(SettingsError, match="--depth is 0; use at least 1"):
        Own(depth=0)
    assert seen == ["base", "own"], "what no number may be is said first"
