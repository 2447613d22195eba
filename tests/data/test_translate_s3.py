"""A translation whose groups, memory and output are all in an object store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest

from crossrank import storage
from crossrank.formats.groups_parquet import write_groups
from crossrank.translation.job import translate
from crossrank.translation.memory.blocks import Entry
from crossrank.translation.memory.store import Memory
from crossrank.translation.settings import TranslateSettings
from tests.data import corpora
from tests.data.amazon_server import amazon_server
from tests.ray.s3_server import s3_server


def test_a_memory_in_an_object_store_pays_once_too(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = corpora.made(60, 40)
    with s3_server() as s3, amazon_server(tmp_path / "asked.jsonl", errors=0.05) as asked:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
        monkeypatch.setenv("AWS_ENDPOINT_URL_TRANSLATE", asked.endpoint)
        boto3.client("s3").create_bucket(Bucket="lake")
        write_groups("s3://lake/groups.parquet", groups)
        given: dict[str, Any] = {
            "groups": "s3://lake/groups.parquet",
            "source": "en",
            "target": "ko",
            "backend": "amazon",
        }
        given |= {"memory": "s3://lake/memory", "concurrency": 4, "groups_per_part": 25}
        translate(TranslateSettings(**given, output="s3://lake/ko"))
        assert corpora.read("s3://lake/ko") == list(corpora.expected(groups))
        assert asked.translated() == dict.fromkeys(corpora.unique_texts(groups), 1)
        assert storage.list_files("s3://lake/memory/_blocks") == [], "rolled up at the end"

        translate(TranslateSettings(**given, output="s3://lake/again"))
        assert asked.translated().total() == 40

        # What a killed job had kept in blocks, one an object, is there for the next; a damaged one costs itself.
        killed = Memory("s3://lake/memory", writes=True)
        for number in range(3):
            killed.add([Entry(bytes([number]) * 16, "{}", f"t{number}", f"글{number}")])
        blocks = storage.list_files("s3://lake/memory/_blocks")
        assert len(blocks) == 3
        storage.write_bytes(blocks[1].uri, storage.read_bytes(blocks[1].uri)[:-5])
        with Memory.writing("s3://lake/memory") as memory:
            found = memory.answers([bytes([number]) * 16 for number in range(3)])
            assert [each and each.text for each in found] == ["글0", None, "글2"]
        assert len(Memory.reading("s3://lake/memory")) == 42
