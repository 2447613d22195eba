"""The chain as the original went: English triplets, Amazon Translate, a Korean reranker, its table, one answer of it.

The texts are those of the sample that ships with crossrank, the translator is the server on the loopback with what
people wrote in Korean, and the model is a tiny XLM-R with random weights. It is killed once on its way.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
import requests

from crossrank.demo.sample import FOLDER, DemoSample, read_sample
from crossrank.formats.groups_parquet import read_groups
from crossrank.recipe.run import recipe
from crossrank.records import Group, Rejected
from tests.data.amazon_server import Asked, amazon_server
from tests.data.drivers import STARTS_S
from tests.model.tiny_models import build
from tests.ray.driver import Driver, wait_for
from tests.ray.s3_server import s3_server
from tests.serving.server import Server

NUM_QUESTIONS = 24
NUM_MEASURED = 12
NEGATIVES = 2
RECIPE = """
variables: {{target: ko}}
output: {folder}/out
import: {{format: msmarco-triplets, input: {folder}/triplets.jsonl.gz}}
translate:
  source: en
  target: "{{target}}"
  backend: amazon
  memory: {folder}/memory
  budget_usd: 5
  concurrency: 4
filter: {{}}
mine: {{negatives: 4, depth: 20}}
train:
  base: {model}
  workers: 2
  gpus_per_worker: 0
  max_length: 96
  groups_per_step: 8
  train_group_size: 4
  num_train_epochs: 2
  learning_rate: 5.0e-4
evaluate:
  eval_csv: {folder}/questions.csv
  depth: 10
  max_length: 96
  timed_queries: 2
  gpus_per_worker: 0
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """A recipe that went to its end, and what it was asked and said on the way."""

    folder: Path
    file: str
    asked: Asked
    first: str
    """What the driver said that was killed."""
    second: str

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def manifest(self, stage: str) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.out / stage / "_manifest.json").read_text())
        return found


def texts_of(sample: DemoSample, language: str) -> dict[str, str]:
    """Passages without their titles, which triplets do not have."""
    lines = (FOLDER / language / "corpus.jsonl").read_text(encoding="utf-8").split("\n")
    rows = {row["_id"]: row["text"] for row in map(json.loads, filter(None, lines))}
    return {doc_id: rows[doc_id] for doc_id in sample.documents}


def write_inputs(folder: Path) -> None:
    """Triplets in English, what they are in Korean, and Korean questions, one of which is trained on in English."""
    english, korean = (read_sample(language, "train") for language in ("en", "ko"))
    passages, in_korean = texts_of(english, "en"), texts_of(korean, "ko")
    chosen = list(english.queries)[:NUM_QUESTIONS]
    relevant = [english.relevant[query] for query in chosen]
    others = sorted(set(relevant))
    rows = []
    for place, (query, doc) in enumerate(zip(chosen, relevant, strict=True)):
        wrong = [each for each in others if each != doc]
        negatives = [passages[wrong[(place + step) % len(wrong)]] for step in range(NEGATIVES)]
        rows.append({"query": english.queries[query], "pos": [passages[doc]], "neg": negatives})
    packed = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    (folder / "triplets.jsonl.gz").write_bytes(packed)

    pairs = [(english.queries[query], korean.queries[query]) for query in chosen]
    pairs += [(passages[doc], in_korean[doc]) for doc in others]
    (folder / "en-ko.tsv").write_text("".join(f"{one}\t{other}\n" for one, other in pairs), encoding="utf-8")

    test = read_sample("ko", "test")
    asked = {query: (test.queries[query], test.relevant[query]) for query in list(test.queries)[:NUM_MEASURED]}
    asked |= {chosen[0]: (korean.queries[chosen[0]], korean.relevant[chosen[0]])}
    lines = ["question,answer,doc_id,doc"]
    lines += [",".join(map(_cell, (query, "", doc, in_korean[doc]))) for query, doc in asked.values()]
    (folder / "questions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def start(file: Path, asked: Asked, log: Path, *flags: str) -> Driver:
    command = [sys.executable, "-m", "crossrank", "recipe", str(file), *flags]
    return Driver(command, log, os.environ | {"AWS_ENDPOINT_URL_TRANSLATE": asked.endpoint})


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, _environment: None) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("recipe")
    write_inputs(folder)
    model = build("xlm-roberta", tmp_path_factory.mktemp("tiny-xlm-roberta"))
    file = folder / "recipe.yaml"
    file.write_text(RECIPE.format(folder=folder, model=model))
    drivers: list[Driver] = []
    dictionary = str(folder / "en-ko.tsv")
    with amazon_server(folder / "asked.jsonl", rate=200, latency_ms=5, dictionary=dictionary) as asked:
        try:
            first = start(file, asked, folder / "first.log")
            drivers.append(first)
            wait_for(lambda: ", mine: " in first.said or not first.running, STARTS_S, lambda: first.said)
            assert first.running, first.said
            first.kill()
            second = start(file, asked, folder / "second.log")
            drivers.append(second)
            assert second.wait(1500) == 0, second.said
            yield Ran(folder, str(file), asked, first.said, second.said)
        finally:
            for driver in drivers:
                driver.close()


def groups_of(folder: str) -> list[Group]:
    def reject(row: Rejected) -> None:
        raise AssertionError(row)

    return [group for _, group in read_groups(folder, reject)]


@pytest.mark.timeout(2400)
def test_a_killed_recipe_goes_on_pays_for_no_text_twice_and_repeats_no_finished_stage(ran: Ran) -> None:
    paid = ran.asked.translated()
    dictionary = (ran.folder / "en-ko.tsv").read_text(encoding="utf-8").splitlines()
    assert set(paid) == {line.split("\t")[0] for line in dictionary}
    assert set(paid.values()) == {1}
    assert "nothing to do" not in ran.first
    # import, translate, filter and the corpus of the negatives were finished when it was killed.
    assert ran.second.count("nothing to do") == 4


def test_english_triplets_became_korean_groups_with_negatives(ran: Ran) -> None:
    korean = read_sample("ko", "train")
    groups = groups_of(str(ran.out / "mined"))
    assert {group.query for group in groups} <= set(korean.queries.values())
    assert len(groups) >= NUM_QUESTIONS - 4, "people's translations are not flagged, or hardly"
    for group in groups:
        assert group.lang == "ko"
        mined = [doc for doc in group.docs if doc.source is not None]
        assert all(doc.label == 0 for doc in mined)
        assert len({doc.doc_id for doc in group.docs}) == len(group.docs)
    assert any(doc.source for group in groups for doc in group.docs)


def test_a_question_that_is_evaluated_on_was_not_trained_on(ran: Ran) -> None:
    manifest = ran.manifest("model")
    counts = manifest["groups"]
    assert isinstance(counts, dict)
    assert counts["train"]["set_aside"]["held_out"] == 1
    assert f"{NUM_MEASURED + 1} queries are evaluated on and so not trained on" in ran.second


def test_the_table_has_the_base_and_the_trained_model_beside_no_reranker(ran: Ran) -> None:
    results = json.loads((ran.out / "evaluation" / "results.json").read_text())
    assert [row["name"] for row in results["rows"]] == ["no reranker", "base", "tuned"]
    assert results["queries"] == NUM_MEASURED + 1
    assert results["first_stage"].startswith("BM25, ko")
    assert (ran.out / "evaluation" / "report.html").exists()


def test_a_stage_with_another_setting_refuses_and_names_itself(ran: Ran, drivers: list[Driver]) -> None:
    changed = start(Path(ran.file), ran.asked, ran.folder / "changed.log", "--set", "mine.negatives=3")
    drivers.append(changed)
    assert changed.wait(300) == 2, changed.said
    last = changed.said.splitlines()[-1]
    assert last.startswith(f"crossrank: the stage mine of {ran.file}: {ran.out}/mined holds a job with other settings")
    assert "negatives was 4 and is 3" in last


@pytest.mark.timeout(600)
def test_what_came_out_answers_a_question_over_http(ran: Ran, tmp_path: Path) -> None:
    server = Server(str(ran.out / "model"), tmp_path / "server.log")
    try:
        server.wait_until_ready()
        body = {"query": "충전은 얼마나 걸리나요?", "texts": ["충전은 네 시간 걸립니다.", "보증 기간은 2년입니다."]}
        answer = requests.post(f"{server.url}/rerank", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        assert {found["index"] for found in answer.json()} == {0, 1}
    finally:
        server.stop()


def test_a_recipe_may_have_its_output_in_an_object_store_and_finds_there_that_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_inputs(tmp_path)
    (tmp_path / "t.tsv").write_text("source\ttranslation\n" + (tmp_path / "en-ko.tsv").read_text(encoding="utf-8"))
    file = tmp_path / "r.yaml"
    file.write_text(
        f"output: s3://lake/out\nimport: {{format: msmarco-triplets, input: {tmp_path}/triplets.jsonl.gz}}\n"
        f"memory: {{input: {tmp_path}/t.tsv}}\ntranslate: {{source: en, target: ko, backend: memory}}\nfilter:\n"
    )
    with s3_server() as s3:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
        boto3.client("s3").create_bucket(Bucket="lake")
        recipe(str(file))
        assert "nothing to do" not in capsys.readouterr().err
        assert len(groups_of("s3://lake/out/filtered")) == NUM_QUESTIONS
        recipe(str(file))
        assert capsys.readouterr().err.count("nothing to do") == 4
