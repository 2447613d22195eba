"""What a verb says last is a command that can be typed as it stands."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from crossrank.cli import main
from crossrank.cli.next_command import BASE, after_conversion, after_recipe, next_command
from crossrank.errors import InputError
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.filtering.settings import FilterSettings
from crossrank.formats import FORMATS
from crossrank.formats.group_files import read_group_files
from crossrank.formats.group_forms import AS_THEY_STAND
from crossrank.mining.settings import MineSettings
from crossrank.records import Candidate, Group
from crossrank.reranking.settings import RerankSettings
from crossrank.scoring.score_file import ScoreSettings
from crossrank.training.merge import MergeSettings
from crossrank.training.settings import TrainSettings
from crossrank.translation.memory.tsv import ImportSettings
from crossrank.translation.settings import TranslateSettings

TRAINED = TrainSettings(base="B", groups="g", output="my model")
MEANS = {"a": {"mrr@10": {"mean": 0.4}}, "b": {"mrr@10": {"mean": 0.7}}, "url": {"mrr@10": {"mean": 0.9}}}
ROWS = [{"name": "a", "scale": "logit"}, {"name": "b", "scale": "logit"}, {"name": "url", "scale": "probability"}]


def parses(command: str) -> None:
    """Every part of it is a command that takes its flags."""
    for part in command.split(" && "):
        words = shlex.split(part)
        if words[0] == "python":
            compile(words[2], "printed", "exec")
            continue
        assert words[0] == "crossrank"
        verb = main.crossrank.commands[words[1]]
        with verb.make_context(words[1], words[2:]) as context:
            assert context.params
        if not isinstance(verb, click.Group):
            known = {name for param in verb.params for name in param.opts}
            assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize(
    ("verb", "settings", "result", "expected"),
    [
        (
            "translate",
            TranslateSettings(groups="g", source="en", target="ko", backend="memory", output="s3://b/translated/"),
            {},
            "crossrank filter --groups s3://b/translated/ --source en --target ko --output s3://b/translated-filtered",
        ),
        (
            "filter",
            FilterSettings(groups="g", source="en", target="ko", output="out"),
            {},
            (
                "crossrank convert --from groups --to corpus out out-corpus.jsonl && "
                "crossrank mine --groups out --corpus out-corpus.jsonl --output out-mined"
            ),
        ),
        (
            "mine",
            MineSettings(groups="g", corpus="c.csv", text_column="body", output="mined"),
            {"rows": {"out": 500}},
            (
                f"crossrank train --base {BASE} --groups mined --corpus c.csv --text-column body --eval-fraction 0.1 "
                f"--output mined-model"
            ),
        ),
        (
            "mine",
            MineSettings(groups="g", corpus="c.csv", encoder="E", with_text=True, output="mined"),
            {"rows": {"out": 5}},
            "crossrank train --base E --groups mined --output mined-model",
        ),
        ("train", TRAINED, {}, "crossrank serve --model 'my model'"),
        (
            "train",
            TrainSettings(base="B", groups="g", eval_groups="dev.jsonl", corpus="c", output="out"),
            {},
            "crossrank evaluate --groups dev.jsonl --corpus c --models base=B tuned=out --output out-report",
        ),
        ("merge", MergeSettings(base="B", tuned="T", output="merged"), {}, "crossrank serve --model merged"),
        ("score", ScoreSettings(model="M", input="i.jsonl"), {}, "crossrank serve --model M"),
        (
            "evaluate",
            EvaluateSettings(models=("a=A", "b=B", "url=http://h:1"), groups="g", output="o"),
            {"tables": {"retrieved": {"means": MEANS}}, "rows": ROWS},
            "crossrank serve --model B",
        ),
        (  # the best is an encoder without a head, which `crossrank serve` refuses
            "evaluate",
            EvaluateSettings(models=("a=A", "b=B"), groups="g", output="o"),
            {"tables": {"retrieved": {"means": MEANS}}, "rows": [ROWS[0], {"name": "b", "scale": "cosine"}]},
            "crossrank serve --model A",
        ),
        (
            "evaluate",
            EvaluateSettings(models=("b=B",), groups="g", output="o"),
            {"tables": {"retrieved": {"means": MEANS}}, "rows": [{"name": "b", "scale": "cosine"}]},
            f"crossrank evaluate --output o --models b=B reranker={BASE} --groups g",
        ),
        (
            "evaluate",
            EvaluateSettings(groups="g", output="o"),
            {"tables": {"retrieved": {"means": {}}}, "rows": []},
            f"crossrank evaluate --output o --models reranker={BASE} --groups g",
        ),
        (
            "rerank",
            RerankSettings(model="M", groups="g", output="it's here"),
            {},
            shlex.join(
                [
                    "python",
                    "-c",
                    'import pyarrow.parquet as pq; print(pq.read_table("it\'s here").slice(0, 3).to_pylist())',
                ]
            ),
        ),
        (
            "rerank",
            RerankSettings(model="M", groups="g", output="o", dry_run=True),
            {},
            "crossrank rerank --output o --model M --groups g",
        ),
        (
            "import_memory",
            ImportSettings(memory="mem", input="i.tsv", source="en", target="ko"),
            5,
            (
                "crossrank translate --groups GROUPS --source en --target ko --backend memory --memory mem "
                "--output translated"
            ),
        ),
    ],
)
def test_the_end_of_a_verb_names_the_next_command(verb: str, settings: Any, result: Any, expected: str) -> None:
    found = next_command(verb, settings, result)
    assert found == expected
    parses(found)


@pytest.mark.parametrize(
    ("target_format", "target", "expected"),
    [
        (
            "groups",
            "data/g.parquet",
            f"crossrank train --base {BASE} --groups data/g.parquet --eval-fraction 0.1 --output data/g-model",
        ),
        ("corpus", "c.jsonl.gz", "crossrank mine --groups in.jsonl --corpus c.jsonl.gz --output c-mined"),
        (
            "beir",
            "beir/",
            (
                f"crossrank evaluate --queries beir/ --corpus beir/ --qrels beir/ --models base={BASE} "
                f"--output beir-report"
            ),
        ),
    ],
)
def test_the_end_of_a_conversion_names_the_next_command(target_format: str, target: str, expected: str) -> None:
    found = after_conversion("flagembedding", target_format, "in.jsonl", target, 100)
    assert found == expected
    parses(found)


READ = [name for name, form in FORMATS.items() if form.reads_groups]
WRITTEN = [name for name, form in FORMATS.items() if form.writes_groups]


@pytest.mark.parametrize("source_format", READ)
@pytest.mark.parametrize("target_format", WRITTEN)
def test_whatever_follows_a_conversion_can_be_typed(source_format: str, target_format: str) -> None:
    found = after_conversion(source_format, target_format, "in.jsonl", "out", 3)
    if found is not None:
        parses(found)


def test_what_groups_refuse_is_made_groups_of_before_it_is_mined_for() -> None:
    assert after_conversion("qa-csv", "corpus", "my qa.csv", "data/c.jsonl", 3) == (
        "crossrank convert --from qa-csv --to groups 'my qa.csv' data/c-groups.parquet && "
        "crossrank mine --groups data/c-groups.parquet --corpus data/c.jsonl --output data/c-mined"
    )
    assert after_conversion("trec-run", "corpus", "bm25.trec", "c.jsonl", 3) is None


@pytest.mark.parametrize("name", [name for name in WRITTEN if name in READ])
def test_what_is_mined_for_as_it_stands_is_what_groups_are_read_from(name: str, tmp_path: Path) -> None:
    answer = Candidate("a", "It cleans.", label=1.0, score=2.0, rank=1)
    docs = (answer,) if name == "qa-csv" else (answer, Candidate("b", "No.", label=0.0, score=1.0, rank=2))
    file = str(tmp_path / f"in{(*FORMATS[name].extensions, '')[0]}")
    write = FORMATS[name].write
    assert write is not None
    assert write(file, [Group("q", "does it clean?", docs)], lambda row: pytest.fail(str(row))) == 1
    try:
        are_read = [group.query for _, _, group in read_group_files(file, lambda row: None)] == ["does it clean?"]
    except InputError:
        are_read = False
    assert are_read == (name in AS_THEY_STAND)


def test_the_end_of_a_recipe_is_about_what_it_made() -> None:
    evaluated = EvaluateSettings(models=("base=B", "tuned=my model"), groups="g", output="o")
    assert after_recipe({"train": TRAINED, "evaluate": evaluated}) == "crossrank serve --model 'my model'"
    mined = MineSettings(groups="g", corpus="c", output="mined")
    assert after_recipe({"mine": mined}) == next_command("mine", mined, None)
    assert after_recipe({}) is None


def test_a_command_says_it_as_its_last_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text('{"query": "q", "pos": ["yes"], "neg": ["no"]}\n')
    main.main(["convert", "--from", "flagembedding", "--to", "groups", "in.jsonl", "g.parquet"])
    out, error = capsys.readouterr()
    last = error.splitlines()[-1].partition("] ")[2]
    assert last == f"next: crossrank train --base {BASE} --groups g.parquet --output g-model"
    assert out == ""
