"""The jobs that keep the promises of this folder, each at its smallest. A new verb is a row of `VERBS`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crossrank.evaluation import job as evaluating
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.filtering import job as filtering
from crossrank.filtering.settings import FilterSettings
from crossrank.formats import groups_jsonl
from crossrank.mining import job as mining
from crossrank.mining import plan as plan_of_mining
from crossrank.mining.settings import MineSettings
from crossrank.records import Candidate, Group
from crossrank.reranking import job as reranking
from crossrank.reranking.settings import RerankSettings
from crossrank.training import job as training
from crossrank.training.settings import TrainSettings
from crossrank.translation import job as translating
from crossrank.translation.memory.tsv import ImportSettings, import_memory
from crossrank.translation.settings import TranslateSettings
from tests.unit.contract.one_process import Killed
from tests.unit.filtering import made
from tests.unit.mining.in_process import WordSpec
from tests.unit.stand_ins import OverlapSpec
from tests.unit.training.conftest import good

WORDS = ["red", "green", "blue", "grey", "cat", "dog", "bird", "fish"]
GIGABYTES = 4.4


@dataclass(frozen=True, slots=True)
class LargeSpec(OverlapSpec):
    """Scores like `OverlapSpec`, and a process with it takes gigabytes."""

    process_bytes: int = int(GIGABYTES * 1e9)


@dataclass(frozen=True, slots=True)
class LargeEncoder(WordSpec):
    """Makes the vectors of `WordSpec`, and a process with it takes gigabytes."""

    @property
    def process_bytes(self) -> int:
        return int(GIGABYTES * 1e9)

    def on(self, device: str | None) -> LargeEncoder:
        return self


SPEC, ENCODER = LargeSpec(), LargeEncoder()


@dataclass(frozen=True, slots=True)
class Verb:
    """How one job is run, and what it leaves."""

    name: str
    sample: Callable[[Path], Any]
    """Writes a small input into a folder; returns the settings of a job whose output is ``out`` there."""
    run: Callable[[Any], dict[str, Any]]
    other: dict[str, Any]
    """A setting with another value, which makes another result of the same input."""
    part: str
    """A file of the result, which can be made again alone."""
    result: tuple[str, ...]
    """What users read of it."""
    preparations: tuple[str, ...] = ("_prepared",)
    """Folders that may be removed when it is finished."""


def lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
    return str(path)


def beir(folder: Path) -> dict[str, Any]:
    """Eight passages and four questions, each of which shares two words with two passages."""
    corpus = [{"_id": f"d{n}", "text": f"{WORDS[n]} {WORDS[(n + 1) % 8]} {'and ' * n}"} for n in range(8)]
    queries = [{"_id": f"q{n}", "text": f"{WORDS[n]} {WORDS[n + 1]} {WORDS[n + 2]}"} for n in range(4)]
    found: dict[str, Any] = {
        "corpus": lines(folder / "corpus.jsonl", corpus),
        "queries": lines(folder / "queries.jsonl", queries),
    }
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{n}\t1\n" for n in range(4)))
    return found


def for_rerank(folder: Path) -> RerankSettings:
    return RerankSettings(model="m", output=str(folder / "out"), language="en", depth=4, **beir(folder / "in"))


def for_translate(folder: Path) -> TranslateSettings:
    folder.mkdir(exist_ok=True)
    (folder / "memory.tsv").write_text("source\ttranslation\n" + "".join(f"{word}\tX {word}\n" for word in WORDS))
    import_memory(
        ImportSettings(memory=str(folder / "memory"), input=str(folder / "memory.tsv"), source="en", target="ko")
    )
    groups = [Group(f"q{n}", WORDS[n], (Candidate("a", WORDS[n + 1], label=1.0),)) for n in range(7)]
    groups_jsonl.write_groups(str(folder / "groups.jsonl"), groups, lambda row: pytest.fail(str(row)))
    given: dict[str, Any] = {"source": "en", "target": "ko", "backend": "memory", "memory": str(folder / "memory")}
    return TranslateSettings(
        groups=str(folder / "groups.jsonl"), output=str(folder / "out"), groups_per_part=3, **given
    )


def for_filter(folder: Path) -> FilterSettings:
    folder.mkdir(exist_ok=True)
    loops = ("They eat and eat.", "먹고 먹고 먹고 먹고 먹고 먹고 먹고 먹고.")
    groups = [
        made.group(made.doc(made.POSITIVE, 1.0), made.doc(loops if n % 2 else made.OTHER), query_id=f"q{n}")
        for n in range(10)
    ]
    uri = made.written(folder / "groups.parquet", *groups)
    return FilterSettings(groups=uri, source="en", target="ko", output=str(folder / "out"), workers="1")


def for_mine(folder: Path) -> MineSettings:
    files = beir(folder / "in")
    groups = [
        {"query_id": f"q{n}", "query": " ".join(WORDS[n : n + 3]), "docs": [{"doc_id": f"d{n}", "label": 1.0}]}
        for n in range(4)
    ]
    return MineSettings(
        groups=lines(folder / "in" / "groups.jsonl", groups),
        corpus=files["corpus"],
        output=str(folder / "out"),
        language="en",
        negatives=2,
        encoder="e",
        teacher="m",
        embeddings=str(folder / "embeddings"),
    )


def for_train(folder: Path) -> TrainSettings:
    folder.mkdir(exist_ok=True)
    (folder / "groups.jsonl").write_text("".join(good(f"q{n}") for n in range(6)))
    return TrainSettings(
        base=str(folder), groups=str(folder / "groups.jsonl"), output=str(folder / "out"), groups_per_step=2
    )


def for_evaluate(folder: Path) -> EvaluateSettings:
    return EvaluateSettings(
        **beir(folder / "in"),
        qrels=str(folder / "in" / "qrels.tsv"),
        output=str(folder / "out"),
        models=("first=m", "second=n"),
        language="en",
        depth=4,
        contexts=1,
        resamples=100,
        timed_queries=1,
    )


PART = "part-00001.parquet"
VERBS = {
    verb.name: verb
    for verb in (
        Verb("rerank", for_rerank, lambda given: reranking.rerank(given, SPEC), {"top_n": 1}, PART, ("part-*",)),
        Verb("translate", for_translate, lambda given: translating.translate(given), {"limit": 5}, PART, ("part-*",)),
        Verb(
            "filter",
            for_filter,
            lambda given: filtering.filter(given),
            {"repeats": 9},
            PART,
            ("part-*", "_report/report.md"),
        ),
        Verb(
            "mine",
            for_mine,
            lambda given: mining.mine(given, ENCODER, SPEC),
            {"negatives": 1},
            PART,
            ("part-*", "_dropped/*"),
        ),
        Verb(
            "train",
            for_train,
            lambda given: training.train(given),
            {"learning_rate": 0.5},
            "model.safetensors",
            ("model.safetensors", "config.json"),
            (),
        ),
        Verb(
            "evaluate",
            for_evaluate,
            lambda given: evaluating.evaluate(given),
            {"depth": 2},
            f"_rows/second/{PART}",
            ("_rows/*/part-*", "runs/**/*.trec"),
            ("_candidates", "_rows/first/_prepared", "_rows/second/_prepared"),
        ),
    )
}


def put_models_in_place(patch: pytest.MonkeyPatch) -> None:
    """Models that the settings name are stand-ins, and blocks are small, so that each job has several parts."""
    base = SimpleNamespace(revision="1", is_local=True)
    patch.setattr(training, "find_model", lambda name: base)
    patch.setattr(training, "check_base", lambda found: {})
    patch.setattr(training, "has_head", lambda config: True)
    patch.setattr(training, "refuse_unloadable", lambda *_, **__: None)
    patch.setattr("crossrank.training.result.LIBRARIES", ())
    patch.setattr(evaluating, "spec_of", lambda name, model, settings: LargeSpec(poison=model))
    patch.setattr(filtering, "BLOCK_GROUPS", 4)
    patch.setattr(plan_of_mining, "LEAST_BLOCKS", 2)


def files_of(output: str) -> dict[str, bytes]:
    """All that lies in an output, but for the lock."""
    found = {str(path.relative_to(output)): path for path in Path(output).rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in sorted(found.items()) if path.name != "_lock"}


def times_of(output: str) -> dict[str, int]:
    """When each file of an output was written."""
    return {name: (Path(output) / name).stat().st_mtime_ns for name in files_of(output)}


def result_of(verb: Verb, output: str) -> dict[str, bytes]:
    """What users read of it."""
    paths = [path for pattern in verb.result for path in Path(output).glob(pattern)]
    return {str(path.relative_to(output)): path.read_bytes() for path in sorted(paths)}


def killed_by(verb: Verb, settings: Any) -> bool:
    """Run a job that may be killed. Returns whether it was."""
    try:
        verb.run(settings)
    except Killed:
        return True
    return False


def at(settings: Any, output: Path | str, **more: Any) -> Any:
    """The same job with another output."""
    return replace(settings, output=str(output), **more)
