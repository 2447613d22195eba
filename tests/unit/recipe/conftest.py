"""A recipe in a folder of its own, with English groups and what they are in Korean."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[[str, str], str]

ENGLISH = {
    "how long does the battery last?": "배터리는 얼마나 오래 가나요?",
    "The battery lasts for three hours in quiet mode.": "배터리는 조용한 모드에서 세 시간 동안 갑니다.",
    "The water tank holds half a litre, and is refilled from above.": "물통에는 반 리터가 들어가며 위에서 채웁니다.",
    "how do I clean the brush?": "브러시는 어떻게 청소하나요?",
    "Pull the brush out and cut the hair off with scissors.": "브러시를 빼내고 가위로 머리카락을 잘라 내세요.",
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file and give its name, as it is named from the folder of the test."""

    def write(name: str, content: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return name

    return write


@pytest.fixture
def triplets(write: Write) -> str:
    """Two English triplets, and their translations as ``en-ko.tsv``."""
    first, second, third, fourth, fifth = ENGLISH
    rows = [{"query": first, "pos": [second], "neg": [third]}, {"query": fourth, "pos": [fifth], "neg": [third]}]
    write("en-ko.tsv", "source\ttranslation\n" + "".join(f"{text}\t{made}\n" for text, made in ENGLISH.items()))
    return write("triplets.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
