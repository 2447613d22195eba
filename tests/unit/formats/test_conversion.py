import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from crossrank.errors import InputError, SettingsError
from crossrank.formats import FORMATS
from crossrank.formats.conversion import ConversionCounts, convert, convert_and_report
from crossrank.records import Reason, Rejected

WriteFile = Callable[[str, str | bytes], str]

NAMES = [
    "groups",
    "groups-jsonl",
    "flagembedding",
    "st-triplets",
    "st-labelled",
    "msmarco-triplets",
    "beir",
    "trec-run",
    "trec-qrels",
    "dataset",
    "corpus",
    "qa-csv",
]
READ = [name for name in NAMES if name != "corpus"]
WRITTEN = [name for name in NAMES if name != "dataset"]


def test_the_formats_are_the_documented_ones() -> None:
    assert list(FORMATS) == NAMES
    assert all(name == form.name and form.description for name, form in FORMATS.items())
    assert [name for name, form in FORMATS.items() if form.reads_groups] == READ
    assert [name for name, form in FORMATS.items() if form.writes_groups] == WRITTEN


def test_flagembedding_through_parquet_and_back_is_the_same_rows(
    tmp_path: Path, write: WriteFile, rejected: list[Rejected]
) -> None:
    rows = [
        {"query": "질문", "pos": ["a"], "neg": ["b", "b"], "pos_scores": [0.1], "neg_scores": [0.3, 1e-300], "qid": 7},
        {"query": "질문", "pos": ["a"], "neg": []},
    ]
    source = write("in.jsonl", "\n".join(map(json.dumps, rows)))
    groups, target = str(tmp_path / "g.parquet"), tmp_path / "out.jsonl"
    assert convert("flagembedding", "groups", source, groups, rejected.append) == ConversionCounts(2, 2, 0)
    assert convert("groups", "flagembedding", groups, str(target), rejected.append) == ConversionCounts(2, 2, 0)
    assert [json.loads(line) for line in target.read_text().splitlines()] == rows


def test_rows_that_cannot_be_read_and_groups_that_cannot_be_written_are_counted_and_located(
    tmp_path: Path, write: WriteFile, rejected: list[Rejected]
) -> None:
    rows = [
        '{"query_id": "q1", "query": "x", "docs": [{"doc_id": "d", "text": "a", "label": 1}]}',
        '{"query_id": "q2", "query": "x", "docs": [{"doc_id": "d", "label": 1}]}',
        "{",
        '{"query_id": "q4", "query": "x", "docs": [{"doc_id": "d", "text": "a"}]}',
        '{"query_id": "q5", "query": "x", "docs": []}',
    ]
    source = write("in.jsonl", "\n".join(rows))
    counts = convert("groups-jsonl", "flagembedding", source, str(tmp_path / "out.jsonl"), rejected.append)
    assert counts == ConversionCounts(read=5, written=2, rejected=3)
    assert [(row.source, row.line, row.record_id) for row in rejected] == [
        (source, 2, "q2"),
        (source, 3, None),
        (source, 4, "q4"),
    ]


def test_a_run_has_no_texts_so_none_of_it_becomes_training_data(
    tmp_path: Path, write: WriteFile, rejected: list[Rejected]
) -> None:
    source = write("bm25.trec", "q1 Q0 d1 1 2.5 t\nq1 Q0 d2 2 1.5 t\nq2 Q0 d1 1 3 t\n")
    counts = convert("trec-run", "flagembedding", source, str(tmp_path / "out.jsonl"), rejected.append)
    assert counts == ConversionCounts(read=2, written=0, rejected=2)
    assert [(row.record_id, row.line, row.reason) for row in rejected] == [
        ("q1", 1, Reason.MALFORMED),
        ("q2", 3, Reason.MALFORMED),
    ]


@pytest.mark.parametrize(
    ("source", "target", "sentence"),
    [
        ("csv", "groups", "--from csv is not a format that can be used there; write qa-csv"),
        ("groups", "parquet", "--to parquet is not a format that can be used there; write groups"),
        ("beri", "groups", "--from beri is not a format that can be used there; write beir"),
        ("xml", "groups", f"--from xml is not a format that can be used there; use one of {', '.join(READ)}"),
    ],
)
def test_an_unknown_format_is_answered_with_the_nearest_and_with_all_where_none_is_near(
    source: str, target: str, sentence: str
) -> None:
    with pytest.raises(SettingsError) as error:
        convert(source, target, "in", "out", lambda rejected: None)
    assert str(error.value) == sentence


@pytest.mark.parametrize("name", READ)
def test_a_source_that_is_not_there_is_named_and_nothing_is_left_behind(
    tmp_path: Path, rejected: list[Rejected], name: str
) -> None:
    with pytest.raises(InputError, match="/nowhere"):
        convert(name, "groups", "/nowhere", str(tmp_path / "out"), rejected.append)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in READ if name not in ("groups", "beir", "dataset")])
def test_an_empty_file_holds_no_groups(tmp_path: Path, write: WriteFile, rejected: list[Rejected], name: str) -> None:
    target = str(tmp_path / "out.parquet")
    assert convert(name, "groups", write("in", ""), target, rejected.append) == ConversionCounts(0, 0, 0)
    assert rejected == []


@pytest.mark.parametrize("name", READ)
def test_a_folder_without_files_is_refused(tmp_path: Path, rejected: list[Rejected], name: str) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match=str(tmp_path / "in")):
        convert(name, "groups", str(tmp_path / "in"), str(tmp_path / "out.parquet"), rejected.append)


def test_ten_times_as_many_groups_take_the_same_memory(tmp_path: Path, rejected: list[Rejected]) -> None:
    def peak_bytes(count: int) -> int:
        source = tmp_path / f"{count}.jsonl"
        row = json.dumps({"query": "x", "pos": ["a" * 500], "neg": ["b" * 500]})
        source.write_text(f"{row}\n" * count)
        tracemalloc.start()
        convert("flagembedding", "groups-jsonl", str(source), str(tmp_path / "out.jsonl"), rejected.append)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    peak_bytes(10)
    assert peak_bytes(3000) < peak_bytes(300) + 1_500_000  # the read buffer of 1 MiB is filled only by the larger one


def test_the_formats_load_neither_ray_nor_torch() -> None:
    program = "import sys, crossrank.formats.conversion; print({'ray', 'torch', 'transformers'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "set()"


GROUP = {"query_id": "1", "query": "q", "docs": [{"doc_id": "a", "text": "p", "label": 1.0, "score": 0.5}]}


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("g.parquet", b"PAR1"),
        ("g.PARQUET", b"PAR1"),
        ("g", b"PAR1"),
        ("groups-v1.2", b"PAR1"),
        ("g.jsonl", b'{"query_id"'),
        ("g.ndjson", b'{"query_id"'),
        ("g.jsonl.gz", b"\x1f\x8b"),
    ],
)
def test_groups_are_written_as_what_the_name_says_and_read_again(
    tmp_path: Path, write: WriteFile, rejected: list[Rejected], name: str, begins: bytes
) -> None:
    target = tmp_path / "out" / name
    convert("groups", "groups", write("in.jsonl", json.dumps(GROUP)), str(target), rejected.append)
    assert target.read_bytes().startswith(begins)
    again = tmp_path / "again.jsonl"
    convert("groups", "groups-jsonl", str(target), str(again), rejected.append)
    assert json.loads(again.read_text())["docs"][0]["text"] == "p"


@pytest.mark.parametrize(
    ("target_format", "name", "way_out"),
    [
        (
            "groups",
            "g.csv",
            "ends in .csv, and files of groups are not written so; name it .parquet or .jsonl or .ndjson",
        ),
        ("groups", "g.json", "name it .parquet or .jsonl"),
        ("groups", "g.parquet.gz", "ends in .gz, .*which is packed already"),
        ("groups", "g.jsonl.zst", r"ends in \.zst, .*, or \.parquet\.gz|ends in \.zst"),
        ("groups-jsonl", "g.parquet", "ends in .parquet, and files of groups-jsonl are not written so; name it .jsonl"),
        ("groups-jsonl", "g.jsonl.bz2", "ends in .bz2, .*or .jsonl.gz to have it packed"),
        ("flagembedding", "g.parquet", "name it .jsonl or .ndjson or .json"),
        ("st-triplets", "g.csv", "name it .jsonl"),
        ("st-labelled", "g.TSV", "name it .jsonl"),
        ("msmarco-triplets", "g.parquet", "name it .jsonl"),
        ("corpus", "c.parquet", "name it .jsonl"),
        ("corpus", "c.tsv", "name it .jsonl"),
        ("trec-run", "r.jsonl", "name it .trec or .run or .txt"),
        ("trec-qrels", "r.jsonl", "name it .qrels"),
        ("qa-csv", "q.jsonl", "name it .csv"),
        ("beir", "b.jsonl", "name a folder"),
        ("beir", "b.gz", "name a folder"),
    ],
)
def test_a_name_that_says_another_kind_of_file_is_refused_before_anything_is_written(
    tmp_path: Path, write: WriteFile, rejected: list[Rejected], target_format: str, name: str, way_out: str
) -> None:
    target = tmp_path / "out" / name
    with pytest.raises(SettingsError, match=way_out) as refused:
        convert("groups", target_format, write("in.jsonl", json.dumps(GROUP)), str(target), rejected.append)
    assert str(refused.value).startswith(f"OUT {target} ends in ")
    assert not target.parent.exists()


def test_what_is_said_to_be_another_format_is_told_by_its_keys(tmp_path: Path, write: WriteFile) -> None:
    source = write("in.jsonl", json.dumps({"anchor": "q", "positive": "p"}))
    with pytest.raises(InputError, match="whether it is flagembedding: its keys are those of --from st-triplets"):
        convert_and_report("flagembedding", "groups", source, str(tmp_path / "out.parquet"))


@pytest.mark.parametrize("target_format", [name for name in WRITTEN if name != "beir"])
@pytest.mark.parametrize("content", ["", '{"query": 7, "pos": []}\n'], ids=["of nothing", "of no good row"])
def test_a_conversion_that_writes_no_row_leaves_the_file_of_an_earlier_one(
    tmp_path: Path, write: WriteFile, target_format: str, content: str
) -> None:
    target = tmp_path / f"out{next(iter(FORMATS[target_format].extensions))}"
    target.write_bytes(b"what was written before")
    with pytest.raises(InputError, match=r"none could be written|is empty"):
        convert_and_report("flagembedding", target_format, write("in.jsonl", content), str(target))
    assert target.read_bytes() == b"what was written before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", target.name]


def test_a_conversion_that_writes_no_row_makes_no_folder_and_keeps_one_that_was_there(
    tmp_path: Path, write: WriteFile
) -> None:
    source = write("in.jsonl", '{"query": 7, "pos": []}\n')
    for folder in (tmp_path / "new", tmp_path / "mine"):
        was_there = folder.name == "mine"
        if was_there:
            folder.mkdir()
        with pytest.raises(InputError, match="none could be written"):
            convert_and_report("flagembedding", "beir", source, str(folder))
        assert folder.exists() == was_there
        assert not was_there or not list(folder.iterdir())
