"""`crossrank score`: a file of pairs in, the same lines with a score out, and nothing lost on the way."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest

from crossrank import Reranker, storage
from crossrank.errors import InputError, OutputError
from crossrank.scoring import score_file
from crossrank.scoring.pair_scorer import PairScorer
from crossrank.scoring.score_file import ScoreSettings, score
from tests.model.reference import assert_same_scores
from tests.model.tiny_models import TEXTS
from tests.ray.s3_server import s3_server

QUERY = "How long does it take to charge?"
LOGITS = {"zero": 0.0, "ln 2": math.log(2), "ln 5": math.log(5), "nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""What the model that `answers` says of a document."""


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSSRANK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def model(tiny: Callable[[str], Path]) -> str:
    return str(tiny("bert"))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every document have the logit that `LOGITS` names it by."""

    def score_chunks(_: Reranker, chunks: Iterable[Sequence[tuple[str, str]]]) -> Iterator[Any]:
        for chunk in chunks:
            yield np.array([LOGITS[document] for _, document in chunk], dtype=np.float32)

    monkeypatch.setattr(Reranker, "score_chunks", score_chunks)


def lines_of(rows: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pairs(*documents: str, query: str = "q") -> list[dict[str, Any]]:
    return [{"query": query, "document": document} for document in documents]


@pytest.mark.parametrize("runs_ahead", [False, True], ids=["as on a CPU", "as on a GPU"])
def test_each_line_comes_out_in_its_place_with_a_score_and_all_that_it_had(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs_ahead: bool
) -> None:
    monkeypatch.setattr(score_file, "CHUNK_PAIRS", 3)
    monkeypatch.setattr(PairScorer, "runs_ahead", runs_ahead)
    rows: list[dict[str, Any]] = [
        {"id": n, "query": f"{QUERY} {n // 2}", "document": text, "more": {"é": [n]}} for n, text in enumerate(TEXTS)
    ]
    (tmp_path / "in.jsonl").write_bytes(lines_of(rows))
    counts = score(ScoreSettings(model=model, input=str(tmp_path / "in.jsonl"), output=str(tmp_path / "out.jsonl")))

    scored = rows_of(tmp_path / "out.jsonl")
    assert [{key: value for key, value in row.items() if key != "score"} for row in scored] == rows
    expected = Reranker.load(model, device="cpu").score([(row["query"], row["document"]) for row in rows])
    assert_same_scores([row["score"] for row in scored], expected)
    assert counts == {"scored": len(TEXTS)}


def test_a_line_that_holds_no_pair_is_set_aside_with_its_number_and_reason(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_file, "CHUNK_PAIRS", 2)
    good = lines_of(pairs("battery"))
    content = [
        good,
        b"not json\n",
        b'{"query": "q", "document": "\xff"}\n',
        b'{"query": "q"}\n',
        b'{"query": "q", "document": 7}\n',
        good,
        b'{"query": " ", "document": "d"}\n',
        b'{"query": "q", "document": "\\t"}\n',
        b'["q", "d"]\n',
        b'{"query": "q", "document": "\\ud800"}\n',
        b"\n",
        good,
    ]
    (tmp_path / "in.jsonl").write_bytes(b"".join(content))
    counts = score(ScoreSettings(model=model, input=str(tmp_path / "in.jsonl"), output=str(tmp_path / "out.jsonl")))

    assert len(rows_of(tmp_path / "out.jsonl")) == 3
    rejected = rows_of(tmp_path / "out.jsonl.rejected.jsonl")
    assert [(row["line"], row["reason"]) for row in rejected] == [
        (2, "malformed"),
        (3, "invalid_utf8"),
        (4, "malformed"),
        (5, "malformed"),
        (7, "empty_query"),
        (8, "empty_document"),
        (9, "malformed"),
        (10, "invalid_utf8"),
    ]
    assert {row["source"] for row in rejected} == {str(tmp_path / "in.jsonl")}
    assert rejected[2]["detail"] == rejected[3]["detail"] == '"document" is missing or not a string'
    assert counts == {"scored": 3, "malformed": 4, "invalid_utf8": 2, "empty_query": 1, "empty_document": 1}


@pytest.mark.usefixtures("answers")
def test_softmax_runs_over_consecutive_lines_of_the_same_query(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_file, "CHUNK_PAIRS", 2)  # a chunk ends where the query changes, and not before
    rows: list[dict[str, Any]] = [
        *pairs("zero", "ln 2", "ln 5", query="a"),  # 1 : 2 : 5 of 8
        *pairs("ln 5", query="b"),
        *pairs("ln 2", "zero", query="a"),  # a list of its own: 2 : 1 of 3
    ]
    (tmp_path / "in.jsonl").write_bytes(lines_of(rows))
    score(
        ScoreSettings(
            model=model, input=str(tmp_path / "in.jsonl"), output=str(tmp_path / "out.jsonl"), normalize="softmax"
        )
    )
    scores = [row["score"] for row in rows_of(tmp_path / "out.jsonl")]
    assert scores == pytest.approx([1 / 8, 2 / 8, 5 / 8, 1, 2 / 3, 1 / 3], abs=1e-6)


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_a_score_that_is_no_number_sets_its_line_aside_and_with_softmax_its_list(
    model: str, tmp_path: Path, bad: str
) -> None:
    rows = [*pairs("zero", bad, "ln 5", query="a"), *pairs("zero", query="b")]
    (tmp_path / "in.jsonl").write_bytes(lines_of(rows))
    given: dict[str, Any] = {"model": model, "input": str(tmp_path / "in.jsonl"), "output": str(tmp_path / "out.jsonl")}

    assert score(ScoreSettings(**given)) == {"scored": 3, "score_not_finite": 1}
    assert [row["score"] for row in rows_of(tmp_path / "out.jsonl")] == pytest.approx([0, math.log(5), 0])
    [rejected] = rows_of(tmp_path / "out.jsonl.rejected.jsonl")
    assert (rejected["line"], rejected["reason"], rejected["detail"]) == (
        2,
        "score_not_finite",
        f"the model gave {bad}",
    )

    assert score(ScoreSettings(**given, normalize="softmax")) == {"scored": 1, "score_not_finite": 3}
    assert [(row["line"], row["detail"]) for row in rows_of(tmp_path / "out.jsonl.rejected.jsonl")] == [
        (1, "another document of the query has no score"),
        (2, f"the model gave {bad}"),
        (3, "another document of the query has no score"),
    ]

    (tmp_path / "in.jsonl").write_bytes(lines_of(pairs("zero")))
    assert score(ScoreSettings(**given)) == {"scored": 1}
    assert not (tmp_path / "out.jsonl.rejected.jsonl").exists(), "it told of another input"


@pytest.mark.usefixtures("answers")
def test_without_an_output_lines_go_to_standard_output_and_all_else_to_standard_error(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(lines_of(pairs("zero", "nan", "ln 2")) + b"oops\n")
    score(ScoreSettings(model=model, input=str(source)))

    out, error = capsys.readouterr()
    assert [json.loads(line)["document"] for line in out.splitlines()] == ["zero", "ln 2"]
    first, *others = [line.split("] ", 1)[1] for line in error.splitlines()]
    assert first.startswith("crossrank ")
    assert "sources " in first
    assert others[0].startswith("Reranker(")
    assert f"{source} line 2: score_not_finite, the model gave nan" in others
    assert f"{source} line 4: malformed, not JSON: Expecting value at column 1" in others
    assert others[-2].startswith("3 pairs, ")
    assert others[-1] == "2 scored, 1 malformed, 1 score_not_finite"


def test_what_is_set_aside_is_written_while_the_job_runs_and_a_job_that_fails_leaves_no_file(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_file, "CHUNK_PAIRS", 1)
    rows = [*pairs("first", query="a"), *pairs("second", query="b")]
    (tmp_path / "in.jsonl").write_bytes(b"oops\n" + lines_of(rows))
    seen: list[list[str]] = []
    score_window = PairScorer._score_window

    def fails_at_last(scorer: PairScorer, encoded: Any) -> Any:
        seen.append(sorted(path.name.rsplit(".", 2)[0] for path in tmp_path.glob("_*.tmp")))
        if len(seen) == 2:
            raise RuntimeError("the power went")
        return score_window(scorer, encoded)

    monkeypatch.setattr(PairScorer, "_score_window", fails_at_last)
    with pytest.raises(RuntimeError, match="the power went"):
        score(ScoreSettings(model=model, input=str(tmp_path / "in.jsonl"), output=str(tmp_path / "out.jsonl")))
    assert seen == [["_out.jsonl", "_out.jsonl.rejected.jsonl"]] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_an_input_that_is_not_there_and_an_output_onto_it_are_refused_before_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reranker, "load", lambda *_, **__: pytest.fail("the model was loaded"))
    here = str(tmp_path / "in.jsonl")
    with pytest.raises(InputError, match=r"in\.jsonl does not exist; check the path"):
        score(ScoreSettings(model="m", input=here))
    Path(here).write_bytes(lines_of(pairs("a")))
    with pytest.raises(OutputError, match=r"would overwrite --input"):
        score(ScoreSettings(model="m", input=here, output=here))
    (tmp_path / "out.jsonl.rejected.jsonl").symlink_to(here)
    with pytest.raises(OutputError, match=r"rejected\.jsonl would overwrite --input"):
        score(ScoreSettings(model="m", input=here, output=str(tmp_path / "out.jsonl")))


@pytest.mark.usefixtures("answers")
def test_from_s3_to_s3(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with s3_server() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        boto3.client("s3").create_bucket(Bucket="pairs")
        storage.write_bytes("s3://pairs/in.jsonl", lines_of(pairs("zero", "nan")))
        score(ScoreSettings(model=model, input="s3://pairs/in.jsonl", output="s3://pairs/out.jsonl"))
        assert storage.read_bytes("s3://pairs/out.jsonl") == lines_of([{**pairs("zero")[0], "score": 0.0}])
        [rejected] = [
            json.loads(line) for line in storage.read_bytes("s3://pairs/out.jsonl.rejected.jsonl").splitlines()
        ]
        assert (rejected["source"], rejected["line"]) == ("s3://pairs/in.jsonl", 2)
