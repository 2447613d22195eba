"""Translated groups, made by hand: English to Korean, good unless said otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossrank.filtering.judge import Judge
from crossrank.filtering.rules.language import language_of
from crossrank.filtering.rules.thresholds import Thresholds
from crossrank.formats.groups_parquet import read_groups, write_groups
from crossrank.records import Candidate, Group
from crossrank.translation.origin import with_origin

JUDGE = Judge(language_of("en", "--source"), language_of("ko", "--target"), Thresholds())
QUERY = ("what do pandas eat", "판다는 무엇을 먹나요")
POSITIVE = ("Pandas eat bamboo all day.", "판다는 하루 종일 대나무를 먹는다.")
NEGATIVE = ("Penguins live by the sea.", "펭귄은 바닷가에 산다.")
OTHER = ("Tigers hunt at night.", "호랑이는 밤에 사냥한다.")


def doc(texts: tuple[str, str], label: float | None = 0.0, doc_id: str | None = None, **more: Any) -> Candidate:
    """A document from its text and its translation."""
    source, target = texts
    meta = with_origin(more.pop("meta", {}), title=None, text=source)
    return Candidate(doc_id or f"d-{source[:8]}", text=target, label=label, meta=meta, **more)


def group(
    *docs: Candidate, query: tuple[str, str] = QUERY, query_id: str = "q1", meta: dict[str, Any] | None = None
) -> Group:
    """A group from its query, its translation and its documents; without documents a good one of two."""
    docs = docs or (doc(POSITIVE, 1.0), doc(NEGATIVE))
    return Group(query_id, query[1], docs, lang="ko", meta=with_origin(meta or {}, lang="en", query=query[0]))


def flags(group_: Group) -> list[list[str]]:
    """The flags of each document."""
    return [list(each.flags) for each in group_.docs]


def written(path: Path, *groups: Group) -> str:
    """The groups as a Parquet file."""
    write_groups(str(path), groups)
    return str(path)


def read(folder: Path | str) -> list[Group]:
    """The groups of an output."""
    return [each for _, each in read_groups(str(folder), _never)]


def _never(row: object) -> None:
    raise AssertionError(row)
