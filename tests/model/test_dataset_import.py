"""Data sets that the `datasets` library reads, through `crossrank convert`; among the models, as it loads torch."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from crossrank.errors import InputError, StorageError
from crossrank.formats.conversion import ConversionCounts, convert
from crossrank.formats.groups_parquet import read_groups
from crossrank.records import Group, Rejected
from tests.model.hub import COMMIT, hub_of

datasets = pytest.importorskip("datasets")


@pytest.fixture
def rejected() -> list[Rejected]:
    return []


def jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def converted(source: str, folder: Path, rejected: list[Rejected]) -> tuple[ConversionCounts, list[Group]]:
    target = str(folder / "groups.parquet")
    counts = convert("dataset", "groups", source, target, rejected.append)
    return counts, [group for _, group in read_groups(target, rejected.append)]


def test_a_folder_of_files_is_streamed_and_its_columns_are_said(
    tmp_path: Path, rejected: list[Rejected], capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [{"query": f"질문 {n}", "pos": [f"p{n}"], "neg": [f"n{n}", "n"], "prompt": "x"} for n in range(50)]
    jsonl(tmp_path / "set" / "a.jsonl", rows[:20])
    jsonl(tmp_path / "set" / "b.jsonl", rows[20:])
    counts, groups = converted(str(tmp_path / "set"), tmp_path, rejected)
    assert counts == ConversionCounts(50, 50, 0)
    assert [(group.query, [doc.text for doc in group.docs], group.meta, group.split) for group in groups] == [
        (row["query"], [*row["pos"], *row["neg"]], {"prompt": "x"}, "train") for row in rows
    ]
    told = capfd.readouterr().err
    assert "query is the query, pos what answers it, neg what does not; in meta: prompt" in told


def test_of_several_splits_one_has_to_be_named(tmp_path: Path, rejected: list[Rejected]) -> None:
    folder = str(tmp_path / "set")
    jsonl(tmp_path / "set" / "train.jsonl", [{"question": "a", "answer": "b"}])
    jsonl(tmp_path / "set" / "test.jsonl", [{"question": "c", "answer": "d"}])
    with pytest.raises(InputError) as error:
        converted(folder, tmp_path, rejected)
    assert str(error.value) == f"{folder} has the splits train, test; name one, as {folder}/train"
    assert not (tmp_path / "groups.parquet").exists()
    _, [group] = converted(f"{folder}/test", tmp_path, rejected)
    assert (group.query, group.split) == ("c", "test")
    with pytest.raises(InputError, match="has no split dev; it has train, test"):
        converted(f"{folder}/dev", tmp_path, rejected)


def test_a_set_that_was_saved_by_the_library_is_read(tmp_path: Path, rejected: list[Rejected]) -> None:
    made = datasets.Dataset.from_dict({"anchor": ["a", "b"], "positive": ["p", "q"], "negative": ["n", None]})
    made.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": made, "test": made.select([1])}).save_to_disk(str(tmp_path / "two"))
    counts, groups = converted(str(tmp_path / "one"), tmp_path, rejected)
    assert counts == ConversionCounts(2, 2, 0)
    assert [[doc.text for doc in group.docs] for group in groups] == [["p", "n"], ["q"]]
    _, [group] = converted(f"{tmp_path}/two/test", tmp_path, rejected)
    assert group.query == "b"
    with pytest.raises(InputError, match="has the splits train, test"):
        converted(str(tmp_path / "two"), tmp_path, rejected)


def test_a_pair_labelled_0_is_a_negative_and_never_a_positive(tmp_path: Path, rejected: list[Rejected]) -> None:
    rows = {"question": ["a", "a", "b"], "answer": ["no", "yes", "no"], "label": [0, 1, 0]}
    features = datasets.Features(
        {"question": datasets.Value("string"), "answer": datasets.Value("string"), "label": datasets.ClassLabel(2)}
    )
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "set"))
    counts, groups = converted(str(tmp_path / "set"), tmp_path, rejected)
    assert counts == ConversionCounts(2, 2, 0)
    assert [(group.query, [(doc.text, doc.label) for doc in group.docs]) for group in groups] == [
        ("a", [("no", 0.0), ("yes", 1.0)]),
        ("b", [("no", 0.0)]),
    ]


def test_a_row_that_is_no_group_is_rejected_with_its_number_and_the_rest_is_read(
    tmp_path: Path, rejected: list[Rejected]
) -> None:
    jsonl(
        tmp_path / "set" / "a.jsonl",
        [{"query": "a", "pos": "p"}, {"query": None, "pos": "p"}, {"query": "c", "pos": "p"}],
    )
    counts, groups = converted(str(tmp_path / "set"), tmp_path, rejected)
    assert counts == ConversionCounts(3, 2, 1)
    assert [(row.line, row.detail) for row in rejected] == [(2, "query is null, and a string is wanted")]
    assert [group.query for group in groups] == ["a", "c"]


def test_what_is_no_data_set_is_one_sentence(tmp_path: Path, rejected: list[Rejected]) -> None:
    jsonl(tmp_path / "set" / "a.jsonl", [{"text": "a", "tag": 1}])
    with pytest.raises(InputError, match="has the columns text, tag, and none of them is the query"):
        converted(str(tmp_path / "set"), tmp_path, rejected)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.jsonl").write_text('{"query": "a", "pos": "b"}\n{"query": \n')
    with pytest.raises(InputError, match="cannot be read"):
        converted(str(tmp_path / "broken"), tmp_path, rejected)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.xyz").write_text("?")
    with pytest.raises(InputError, match="cannot be read as a data set"):
        converted(str(tmp_path / "other"), tmp_path, rejected)


def test_a_hub_that_does_not_answer_is_one_sentence(
    tmp_path: Path, rejected: list[Rejected], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="hf://o/n: the hub cannot be reached"):
        converted("hf://o/n", tmp_path, rejected)
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_of_the_hub_is_read_of_the_commit_that_it_had_and_no_code_of_it(tmp_path: Path) -> None:
    def lines(*rows: dict[str, Any]) -> bytes:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()

    files = {
        "README.md": b"---\nlicense: mit\n---\n",
        "set.py": b"raise SystemExit('code was run')",
        "train.jsonl": lines({"query": "a", "pos": ["p"], "neg": ["n"]}),
        "test.jsonl": lines(
            {"query": "질문", "pos": ["답"], "neg": ["n", "m"]}, {"query": "c", "pos": ["d"], "neg": []}
        ),
    }
    with hub_of("o/n", files) as (address, asked):
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}

        def run(source: str) -> subprocess.CompletedProcess[str]:
            arguments = ["convert", "--from", "dataset", "--to", "groups", source, str(tmp_path / "groups.parquet")]
            command = [sys.executable, "-m", "crossrank", *arguments]
            return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

        done = run("hf://o/n/test")
        assert done.returncode == 0, done.stderr
        assert "2 read, 2 written, 0 rejected" in done.stderr
        of_files = [line for line in asked if "/resolve/" in line and ".jsonl" in line]
        assert of_files
        assert all(f"/resolve/{COMMIT}/" in line for line in of_files)
        assert not any("set.py" in line for line in asked)
        groups = [group for _, group in read_groups(str(tmp_path / "groups.parquet"), lambda row: None)]
        assert [(group.query, group.split, [doc.text for doc in group.docs]) for group in groups] == [
            ("질문", "test", ["답", "n", "m"]),
            ("c", "test", ["d"]),
        ]
        other = run("hf://o/other")
    assert other.returncode == 2
    assert "crossrank: hf://o/other is no data set of the hub; check the spelling" in other.stderr


PEAK = """
import re, sys
from crossrank.formats.conversion import convert
convert("dataset", "groups", sys.argv[1], sys.argv[2], print)
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
"""
"""In a process of its own: the peak of this one is that of the largest test before. `ru_maxrss` would begin with it."""


def test_twice_the_rows_take_the_same_memory(tmp_path: Path) -> None:
    def peak_mib(count: int) -> int:
        folder = tmp_path / str(count)
        text = "words of a passage " * 130
        jsonl(folder / "a.jsonl", ({"query": f"q{n}", "pos": [text], "neg": [f"{n} {text}"]} for n in range(count)))
        command = [sys.executable, "-c", PEAK, str(folder), str(tmp_path / "out.parquet")]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        [peak] = ended.stdout.split()
        return int(peak)

    few = peak_mib(30_000)  # 150 MB: up to there the blocks of the reader and of the writer grow (40 MiB from 6,000 on)
    assert peak_mib(60_000) < few + 60


def test_words_that_pandas_takes_for_nothing_are_words(tmp_path: Path, rejected: list[Rejected]) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.csv").write_text("query,positive,negative\nwho?,None,NA\nwhat?,null,\n")
    _, groups = converted(str(tmp_path / "set"), tmp_path, rejected)
    texts = [[(doc.text, doc.label) for doc in group.docs] for group in groups]
    assert texts == [[("None", 1.0), ("NA", 0.0)], [("null", 1.0)]]
    assert rejected == []


def test_a_column_that_only_a_later_file_has_is_not_lost_unseen(tmp_path: Path, rejected: list[Rejected]) -> None:
    jsonl(tmp_path / "set" / "a.jsonl", [{"query": "q", "pos": ["p"]}] * 3)
    jsonl(tmp_path / "set" / "b.jsonl", [{"query": "q", "pos": ["p"], "neg": ["n"]}])
    with pytest.raises(InputError, match="cannot be read after row 3"):
        converted(str(tmp_path / "set"), tmp_path, rejected)


def test_embeddings_beside_the_texts_are_left_out_and_said(
    tmp_path: Path, rejected: list[Rejected], capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set").mkdir()
    rows = [{"query": "q", "pos": ["p"], "vector": [0.5] * 384, "weights": [0.5] * 8, "url": "u"}] * 3
    datasets.Dataset.from_list(rows).to_parquet(str(tmp_path / "set" / "a.parquet"))
    counts, groups = converted(str(tmp_path / "set"), tmp_path, rejected)
    assert counts == ConversionCounts(3, 3, 0)
    assert {tuple(sorted(group.meta)) for group in groups} == {("url", "weights")}
    assert "in meta: weights, url; left out as vectors: vector" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"query": "q", "positive": "p", "negative": "n"}\n'),
        ("a.json", '[{"query": "q", "positive": "p", "negative": "n"}]'),
        ("a.csv", "query,positive,negative\nq,p,n\n"),
        ("a.tsv", "query\tpositive\tnegative\nq\tp\tn\n"),
    ],
)
def test_a_single_file_is_a_data_set_too_and_the_others_beside_it_are_not_read(
    tmp_path: Path, rejected: list[Rejected], name: str, content: str
) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "other.jsonl").write_text('{"query": "other", "positive": "x"}\n')
    (tmp_path / "set" / name).write_text(content)
    counts, [group] = converted(str(tmp_path / "set" / name), tmp_path, rejected)
    assert counts == ConversionCounts(1, 1, 0)
    assert (group.query, [(doc.text, doc.label) for doc in group.docs]) == ("q", [("p", 1.0), ("n", 0.0)])
