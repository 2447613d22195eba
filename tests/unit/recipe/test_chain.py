"""What each stage takes from those before it, and a mistake in any of them told before the first one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crossrank.errors import OutputError, SettingsError
from crossrank.recipe.chain import stages_of
from crossrank.recipe.measured import MeasuredQueries
from crossrank.recipe.reading import read_recipe
from crossrank.recipe.stage import Noted, Stage, VerbStage
from tests.unit.recipe.conftest import Write

WHOLE = """
output: out
import: {format: msmarco-triplets, input: triplets.jsonl}
memory: {input: en-ko.tsv}
translate: {source: en, target: ko, backend: amazon, budget_usd: 5}
filter: {}
mine: {negatives: 7}
train: {base: B, eval_fraction: 0.1, learning_rate: 1.0e-5}
merge: {alpha: 0.5}
evaluate: {eval_csv: q.csv}
rerank: {queries: q.jsonl, corpus: c.jsonl}
"""


def stages(write: Write, content: str) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages_of(read_recipe(write("r.yaml", content)))}


def settings(stage: Stage) -> Any:
    assert isinstance(stage, VerbStage)
    return stage.settings


def test_each_stage_takes_the_result_of_the_one_before(write: Write) -> None:
    found = stages(write, WHOLE)
    assert list(found) == [
        "import",
        "memory",
        "translate",
        "filter",
        "corpus",
        "mine",
        "measured",
        "train",
        "merge",
        "evaluate",
        "rerank",
    ]
    translate, filter_, mine, train = (settings(found[name]) for name in ("translate", "filter", "mine", "train"))
    assert (translate.groups, translate.memory, translate.output) == (
        "out/groups/groups.parquet",
        "out/memory",
        "out/translated",
    )
    assert (filter_.groups, filter_.source, filter_.target, filter_.output) == (
        "out/translated",
        "en",
        "ko",
        "out/filtered",
    )
    assert (mine.groups, mine.corpus, mine.language, mine.negatives) == (
        "out/filtered",
        "out/corpus/corpus.jsonl",
        "ko",
        7,
    )
    assert (train.groups, train.corpus, train.held_out, train.learning_rate) == (
        "out/mined",
        "out/corpus/corpus.jsonl",
        "out/_recipe/measured.jsonl",
        1e-5,
    )
    merge, evaluate, rerank = (settings(found[name]) for name in ("merge", "evaluate", "rerank"))
    assert (merge.base, merge.tuned) == ("B", "out/model")
    assert evaluate.models == ("base=B", "tuned=out/model", "merged=out/merged")
    assert (evaluate.language, rerank.language) == ("ko", "ko")
    assert rerank.model == "out/merged"


def test_each_stage_is_a_command_that_can_be_run_or_submitted_alone(write: Write) -> None:
    commands = {name: stage.command for name, stage in stages(write, WHOLE).items()}
    assert commands == {
        "import": "crossrank convert --from msmarco-triplets --to groups triplets.jsonl out/groups/groups.parquet",
        "memory": "crossrank memory import --memory out/memory --input en-ko.tsv --source en --target ko",
        "translate": (
            "crossrank translate --output out/translated --groups out/groups/groups.parquet --source en --target ko "
            "--backend amazon --memory out/memory --budget-usd 5.0"
        ),
        "filter": "crossrank filter --output out/filtered --groups out/translated --source en --target ko",
        "corpus": "crossrank convert --from groups --to corpus out/filtered out/corpus/corpus.jsonl",
        "mine": (
            "crossrank mine --output out/mined --groups out/filtered --corpus out/corpus/corpus.jsonl --language ko "
            "--negatives 7"
        ),
        "measured": "",
        "train": (
            "crossrank train --output out/model --base B --groups out/mined --eval-fraction 0.1 "
            "--held-out out/_recipe/measured.jsonl --corpus out/corpus/corpus.jsonl --set learning_rate=1.0e-05"
        ),
        "merge": "crossrank merge --base B --tuned out/model --output out/merged",
        "evaluate": (
            "crossrank evaluate --output out/evaluation --models base=B tuned=out/model merged=out/merged "
            "--eval-csv q.csv --language ko"
        ),
        "rerank": (
            "crossrank rerank --output out/ranked --model out/merged --queries q.jsonl --corpus c.jsonl --language ko"
        ),
    }


def test_a_stage_that_names_its_own_input_keeps_it(write: Write) -> None:
    found = stages(
        write,
        "output: out\ntranslate: {groups: mine.parquet, source: en, target: ko, backend: memory, memory: m}\n"
        "mine: {corpus: c.tsv, doc_id_column: key, language: ko-kiwi}\ntrain: {base: B, held_out: h.jsonl}\n"
        "evaluate: {groups: g, models: ['tuned=other']}\nrerank: {groups: g, model: M}\n",
    )
    assert "corpus" not in found, "no corpus is made where there is one"
    assert (settings(found["translate"]).groups, settings(found["translate"]).memory) == ("mine.parquet", "m")
    assert (settings(found["mine"]).groups, settings(found["mine"]).language) == ("out/translated", "ko-kiwi")
    # Its names of columns go with a corpus.
    train = settings(found["train"])
    assert (train.corpus, train.doc_id_column) == ("c.tsv", "key")
    # What is evaluated on is held out too, beside what the recipe wants held out.
    measured = found["measured"]
    assert isinstance(measured, MeasuredQueries)
    assert (train.held_out, measured.product, measured.also) == (*["out/_recipe/measured.jsonl"] * 2, "h.jsonl")
    assert settings(found["evaluate"]).models == ("tuned=other",)
    assert settings(found["rerank"]).model == "M"


def test_stages_may_be_left_out(write: Write) -> None:
    found = stages(write, "output: out\nimport: {format: flagembedding, input: t.jsonl}\ntrain: {base: B}\n")
    assert list(found) == ["import", "train"]
    train = settings(found["train"])
    assert (train.groups, train.corpus, train.held_out) == ("out/groups/groups.parquet", None, None)


def test_inputs_win_over_those_of_a_config_and_a_section_over_both(write: Write) -> None:
    write("c.yaml", "groups: data/groups\neval_groups: data/held-out\nmax_length: 64\nseed: 5\n")
    content = "output: out\nimport: {format: beir, input: b}\ntrain: {base: B, config: c.yaml, seed: 7}\n"
    train = settings(stages(write, content)["train"])
    assert (train.groups, train.eval_groups) == ("out/groups/groups.parquet", "data/held-out")
    assert (train.max_length, train.seed) == (64, 7)


def test_negatives_of_json_lines_are_searched_in_the_passages_of_json_lines(write: Write) -> None:
    corpus = stages(write, "output: out\nmine: {groups: g.jsonl.gz}\n")["corpus"]
    assert isinstance(corpus, Noted)
    assert corpus.command == "crossrank convert --from groups-jsonl --to corpus g.jsonl.gz out/corpus/corpus.jsonl"


def test_translations_from_a_memory_of_ones_own_are_imported_there(write: Write) -> None:
    content = (
        "output: out\nmemory: {input: t.tsv}\n"
        "translate: {groups: g, source: ko, target: en, backend: memory, memory: s3://b/memory}\n"
    )
    assert stages(write, content)["memory"].product == "s3://b/memory"


@pytest.mark.parametrize(
    ("section", "error", "sentence"),
    [
        (
            "mine: {groups: g, negativs: 5}",
            SettingsError,
            "the stage mine of r.yaml: the section has the key negativs, which is not known; write negatives",
        ),
        (
            "mine: {groups: g, depth: ten}",
            SettingsError,
            "the stage mine of r.yaml: depth in the section is 'ten', and a ",
        ),
        ("mine: {groups: g, depth: 0}", SettingsError, "the stage mine of r.yaml: --depth is 0; use at least 1"),
        ("train: {groups: g}", SettingsError, "the stage train of r.yaml: --base is missing; write it there"),
        (
            "filter: {groups: g}",
            SettingsError,
            "the stage filter of r.yaml: --source is missing; give the two languages",
        ),
        ("evaluate: {models: [a=b]}", SettingsError, "the stage evaluate of r.yaml: nothing is given to evaluate on"),
        (
            "evaluate: {models: a}",
            SettingsError,
            "the stage evaluate of r.yaml: models in the section is 'a', and a list",
        ),
        (
            "import: {format: csv, input: x}",
            SettingsError,
            "the stage import of r.yaml: format is csv, which no groups are read from; write qa-csv",
        ),
        (
            "import: {from: beir, input: x}",
            SettingsError,
            "the stage import of r.yaml: the section has the key from, which",
        ),
        (
            "rerank: {model: out/ranked, groups: g}",
            OutputError,
            "the stage rerank of r.yaml: --output out/ranked would ",
        ),
    ],
)
def test_a_mistake_names_the_file_the_stage_and_the_key_and_nothing_has_run(
    write: Write, tmp_path: Path, section: str, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error) as refused:
        stages(write, f"output: out\n{section}\n")
    assert str(refused.value).startswith(sentence)
    assert not (tmp_path / "out").exists()
