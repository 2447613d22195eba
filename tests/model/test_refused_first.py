"""Every job judges what it can before it writes or starts Ray: a refused flag leaves no trace, in any verb."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossrank.cli.main import main

QUERIES = '{"_id": "q1", "text": "red cat"}\n'
CORPUS = '{"_id": "d1", "text": "a red cat"}\n{"_id": "d2", "text": "one dog"}\n'
GROUP: dict[str, Any] = {
    "query_id": "q1",
    "query": "red cat",
    "docs": [{"doc_id": "d1", "text": "a red cat", "label": 1}, {"doc_id": "d2", "text": "one dog", "label": 0}],
}


@pytest.fixture
def files(tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of good inputs and bad ones, of which each command names some; the current one."""
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny("bert"), "model")
    shutil.copytree("model", "without-tokenizer")
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        Path("without-tokenizer", name).unlink(missing_ok=True)
    for name, content in {
        "queries.jsonl": QUERIES,
        "corpus.jsonl": CORPUS,
        "groups.jsonl": json.dumps(GROUP) + "\n",
        "translated.jsonl": json.dumps(GROUP | {"lang": "ko", "meta": {"origin": {"lang": "en", "query": "red cat"}}})
        + "\n",
        "qrels.trec": "q1 0 d1 1\n",
        "bad.trec": "q1 d1\nq1\n",
        "others.trec": "q7 Q0 d1 1 2.0 x\nq1 Q0 d9 1 2.0 x\n",
        "bad.jsonl": "not json\n[]\n",
        "bad.csv": "question,answer,doc_id,doc\n ,a,d1,text\nwhat,a,d1, \n",
    }.items():
        Path(name).write_text(content)
    return tmp_path


RERANK = "rerank --model model --queries queries.jsonl --corpus corpus.jsonl"
OF_RUN = f"{RERANK} --candidates"
MINE = "mine --groups groups.jsonl --corpus corpus.jsonl --negatives 1"
TRAIN = "train --base model --groups groups.jsonl"
EVALUATE = "evaluate --queries queries.jsonl --corpus corpus.jsonl --qrels qrels.trec --models m=model"
FILTER = "filter --groups translated.jsonl --source en --target ko --teacher model"
TRANSLATE = "translate --groups bad.jsonl --source en --target ko --backend memory --memory none"

NO_PROMPT = "has no prompt, so an instruction has no place; leave --instruction out"
OVER = "max_length is 4096, over the "
NO_ROW = "bad.jsonl holds no group that can be used (2 malformed"


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (f"{RERANK} --instruction x", NO_PROMPT),
        (f"{RERANK} --max-length 4096", OVER),
        (f"{RERANK} --language klingon", "the language is 'klingon', which has no analyser; choose one of"),
        (RERANK.replace("--model model", "--model without-tokenizer"), "without-tokenizer has no tokenizer"),
        (
            RERANK.replace("queries.jsonl", "bad.jsonl"),
            "bad.jsonl holds no queries that can be used (2 malformed",
        ),
        (
            RERANK.replace("corpus.jsonl", "bad.jsonl"),
            "bad.jsonl holds no documents that can be used (2 malformed",
        ),
        ("rerank --model model --groups bad.jsonl", NO_ROW),
        (
            f"{OF_RUN} bad.trec",
            "bad.trec holds no candidates that can be used (2 malformed; the first, bad.trec line 1 q1: 2 columns",
        ),
        (f"{OF_RUN} others.trec", "line 1 q7: the queries have no q7); check that the run belongs to"),
        (f"{MINE} --teacher model --instruction x", NO_PROMPT),
        (f"{MINE} --teacher model --max-length 4096", OVER),
        (f"{MINE} --language klingon", "the language is 'klingon'"),
        (MINE.replace("groups.jsonl", "bad.jsonl"), NO_ROW),
        (f"{FILTER} --instruction x", NO_PROMPT),
        (f"{FILTER} --max-length 4096", OVER),
        (FILTER.replace("translated.jsonl", "bad.jsonl"), NO_ROW),
        (f"{TRAIN} --instruction x", NO_PROMPT),
        (f"{TRAIN} --max-length 4096", OVER),
        (TRAIN.replace("--base model", "--base without-tokenizer"), "without-tokenizer has no tokenizer"),
        (
            TRAIN.replace("groups.jsonl", "bad.jsonl"),
            "no group that can be used to train (2 malformed",
        ),
        (f"{EVALUATE} --max-length 4096", OVER),
        (f"{EVALUATE} --language klingon", "the language is 'klingon'"),
        (
            EVALUATE.replace("qrels.trec", "bad.trec"),
            "bad.trec holds no judgements that can be used (2 malformed",
        ),
        (
            f"{EVALUATE} --candidates others.trec",
            "no candidates that can be used (1 unknown_document, 1 unknown_query",
        ),
        (
            "evaluate --groups bad.jsonl --models m=model",
            "bad.jsonl holds no group to measure on that can be used (2 malformed",
        ),
        (
            "evaluate --eval-csv bad.csv --models m=model",
            "questions that can be used (1 empty_document, 1 empty_query;",
        ),
        (TRANSLATE, "bad.jsonl holds no group in en that can be used (2 malformed"),
    ],
)
def test_what_can_be_judged_is_refused_before_anything_is_written_and_before_ray_starts(
    files: Path, command: str, sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossrank.cluster.on_ray.connect", lambda: pytest.fail("Ray was started"))
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--output", "out"])
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("crossrank: ")
    assert sentence in last
    assert ended.value.code == 2
    assert not (files / "out").exists(), "a refused flag claims no output"
    assert "ray" not in sys.modules or not sys.modules["ray"].is_initialized()


def test_a_finished_output_outlives_an_overwrite_that_is_refused(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = "filter --groups translated.jsonl --source en --target ko --workers 1 --output out"
    main(good.split())
    before = {path: path.read_bytes() for path in (files / "out").rglob("*") if path.is_file()}
    assert any(path.name == "part-00000.parquet" for path in before)
    for bad in (good.replace("translated.jsonl", "bad.jsonl"), f"{good} --teacher model --max-length 4096"):
        with pytest.raises(SystemExit):
            main([*bad.split(), "--overwrite"])
    (files / "out" / "part-00000 (copy).parquet").write_bytes((files / "out" / "part-00000.parquet").read_bytes())
    for again in ([], ["--overwrite"]):
        with pytest.raises(SystemExit):
            main([*good.split(), *again])
        assert "out/part-00000 (copy).parquet is no part of this job" in capsys.readouterr().err.splitlines()[-1]
    assert {path: path.read_bytes() for path in before} == before
