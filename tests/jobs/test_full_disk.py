"""A disk that is full, or fills up in the middle of a job: it is named, what was finished stays, and with room the same
command goes on.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crossrank.errors import CrossrankError
from crossrank.reranking.job import rerank
from crossrank.reranking.settings import RerankSettings
from tests.ray.driver import ROOT
from tests.ray.inputs import Inputs, part_files, ranked_of, read_output, settings_of
from tests.unit.stand_ins import OverlapSpec

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="a disk of a given size needs root and mount"
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_named_and_with_room_again_the_same_job_goes_on(
    cluster: None, disk: Path, tmp_path: Path
) -> None:
    inputs = Inputs.made(num_queries=100, depth=8)
    settings = RerankSettings(**settings_of(inputs.write(str(tmp_path)), disk / "out"))
    with pytest.raises(CrossrankError, match=r"cannot write .*: No space left on device") as refused:
        rerank(settings, OverlapSpec())
    kept = part_files(str(disk / "out"))
    print(refused.value, len(kept))
    assert not list(disk.rglob("_part-*.tmp"))

    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
    manifest = rerank(settings, OverlapSpec())
    assert manifest["rows"]["resumed"] == len(kept)
    assert ranked_of(read_output(str(disk / "out"))) == inputs.ranked(top_n=10)
    assert kept.items() <= part_files(str(disk / "out")).items()


def typed(command: list[str], cache: Path) -> tuple[int, list[str], str]:
    """A command as a process of its own: its exit status, what it logged, and its last line."""
    environment = os.environ | {"CROSSRANK_CACHE": str(cache)}
    line = [sys.executable, "-m", "crossrank", *command]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.stdout == ""
    *log, last = done.stderr.splitlines()
    assert all(line.startswith("[") for line in log), done.stderr
    return done.returncode, log, last


def fill(disk: Path) -> None:
    """Leave no byte of room."""
    with pytest.raises(OSError, match="No space left"), open(disk / "zeros", "wb", buffering=0) as file:  # noqa: PT012
        while file.write(bytes(4096)):
            pass


def texts(folder: Path) -> dict[str, str]:
    """A corpus of 3,500 passages, labelled groups on some of them, and a translation for every text of those."""
    draw = random.Random(4)
    words = [f"w{number}" for number in range(500)]
    corpus = {f"d{number}": " ".join(draw.choices(words, k=30)) for number in range(3500)}
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": doc_id, "text": text}) + "\n" for doc_id, text in corpus.items())
    )
    rows: list[dict[str, Any]] = [
        {
            "query_id": f"q{number}",
            "query": f"{draw.choice(words)} {number}",
            "docs": [
                {"doc_id": f"d{number}", "text": corpus[f"d{number}"], "label": 1},
                {"doc_id": f"d{number + 100}", "text": corpus[f"d{number + 100}"], "label": 0},
            ],
        }
        for number in range(60)
    ]
    (folder / "groups.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = sorted({row["query"] for row in rows} | {doc["text"] for row in rows for doc in row["docs"]})
    (folder / "ko.tsv").write_text(
        "source\ttranslation\n" + "".join(f"{source}\t글 {number}\n" for number, source in enumerate(sources))
    )
    return {name: str(folder / file) for name, file in FILES.items()}


FILES = {"corpus": "corpus.jsonl", "groups": "groups.jsonl", "translations": "ko.tsv"}


def convert(given: dict[str, str], output: Path) -> list[str]:
    return ["convert", "--from", "groups", "--to", "flagembedding", given["groups"], f"{output}.jsonl"]


def import_memory(given: dict[str, str], output: Path) -> list[str]:
    flags = ["--source", "en", "--target", "ko", "--input", given["translations"], "--memory", str(output)]
    return ["memory", "import", *flags]


def translate(given: dict[str, str], output: Path) -> list[str]:
    flags = ["--source", "en", "--target", "ko", "--backend", "memory", "--memory", given["memory"]]
    return ["translate", "--groups", given["groups"], *flags, "--output", str(output)]


def mine(given: dict[str, str], output: Path) -> list[str]:
    return ["mine", "--groups", given["groups"], "--corpus", given["corpus"], "--output", str(output)]


def rerank_groups(given: dict[str, str], output: Path) -> list[str]:
    return ["rerank", "--model", given["model"], "--groups", given["groups"], "--output", str(output)]


def rerank_corpus(given: dict[str, str], output: Path) -> list[str]:
    flags = ["--queries", given["corpus"], "--corpus", given["corpus"], "--limit", "9"]
    return ["rerank", "--model", given["model"], *flags, "--output", str(output)]


@pytest.fixture
def given(tmp_path: Path, tiny_model: str) -> dict[str, str]:
    """Files that lie on a disk with room, a translation memory, and a model."""
    folder = tmp_path / "given"
    folder.mkdir()
    named = texts(folder) | {"memory": str(folder / "memory"), "model": tiny_model}
    status, _, last = typed(import_memory(named, folder / "memory"), tmp_path / "cache")
    assert status == 0, last
    return named


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (convert, "cannot write {output}.jsonl"),
        (import_memory, "cannot write the translation memory {output}"),
        (translate, "cannot write {output}/_manifest.json"),
        (mine, "cannot write {output}/_manifest.json"),
        (rerank_groups, "cannot write {output}/_manifest.json"),
    ],
)
def test_an_output_on_a_full_disk_is_named_and_what_is_there_is_not_called_finished(
    command: Callable[[dict[str, str], Path], list[str]], what: str, given: dict[str, str], disk: Path, tmp_path: Path
) -> None:
    fill(disk)
    output = disk / "out"
    status, _, sentence = typed(command(given, output), tmp_path / "cache")
    assert sentence.startswith(f"crossrank: {what.format(output=output)}: No space left on device")
    assert status == 1, "nothing that was typed is wrong"
    assert not (disk / "out.jsonl").exists()
    assert not (output / "_manifest.json").exists()
    assert not list(disk.rglob("*.parquet"))
    assert not list(disk.rglob("*.tmp"))


@pytest.mark.parametrize(("command", "folder"), [(rerank_corpus, "texts"), (mine, "texts"), (translate, "memory")])
def test_a_cache_on_a_full_disk_is_named_as_the_cache_and_no_output_is_begun(
    command: Callable[[dict[str, str], Path], list[str]],
    folder: str,
    given: dict[str, str],
    disk: Path,
    tmp_path: Path,
) -> None:
    fill(disk)
    status, _, sentence = typed(command(given, tmp_path / "out"), disk)
    assert sentence == (
        f"crossrank: the cache {disk / folder} cannot be written (No space left on device); make room there, or set "
        f"CROSSRANK_CACHE to a folder that has some"
    )
    assert status == 1
    assert not list(tmp_path.joinpath("out").rglob("*.parquet"))


def test_an_index_that_fills_the_cache_is_named_and_with_room_the_same_command_makes_it(
    given: dict[str, str], disk: Path, tmp_path: Path
) -> None:
    # numpy writes the index, and says of a full disk how many numbers it wrote.
    command = mine(given, tmp_path / "out")
    status, _, sentence = typed(command, disk)
    assert sentence == (
        f"crossrank: the cache {disk / 'bm25'} cannot be written (No space left on device); make room there, or set "
        f"CROSSRANK_CACHE to a folder that has some"
    )
    assert status == 1
    assert [path for path in (disk / "bm25").iterdir() if path.is_dir()] == [], "no half of an index"
    assert not list(tmp_path.joinpath("out").rglob("*.parquet"))

    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
    status, _, last = typed(command, disk)
    assert status == 0, last
    assert pq.read_table(tmp_path / "out").num_rows == 60
