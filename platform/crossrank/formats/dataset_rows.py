"""A row of somebody's data set as a group, once it is known what its columns are."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from crossrank.config.plain_numbers import plain_float
from crossrank.errors import InputError
from crossrank.formats.dataset_columns import Columns
from crossrank.formats.fields import RowRefused, identifier, number, optional_text, text
from crossrank.formats.foreign import query_id, text_id
from crossrank.formats.lines import json_kind
from crossrank.records import Candidate, Group, Json, document_text

PASSAGE_IDS = ("docid", "doc_id", "_id", "id")
"""Names of the id of a passage in data sets."""


def classes_of(features: Mapping[str, Any], columns: Columns, uri: str) -> list[float] | None:
    """The labels that the classes of a label column stand for; None where it holds numbers.

    Refuses classes that are words: nobody can know whether the first of them is the positive one.
    """
    names = getattr(features.get(columns.labels), "names", None) if columns.labels else None
    if names is None:
        return None
    try:
        return [plain_float(name) for name in names]
    except ValueError:
        raise InputError(
            f"{uri} has {columns.labels} of the classes {', '.join(names)}, and a label is a number, above 0 for what "
            f"answers the query; map it to numbers first"
        ) from None


def group_of(row_number: int, row: Json, columns: Columns, classes: list[float] | None, split: str | None) -> Group:
    """A row as a group: the documents in the order of the columns, every other column in `meta`.

    Refuses what is no text where one is wanted, and what `meta` cannot hold.
    """
    query = text(row, columns.query)
    docs: list[Candidate] = []
    if columns.documents:
        docs = _labelled(row, columns, classes)
    else:
        assert columns.positive is not None
        label = 1.0 if columns.labels is None else _label(row.get(columns.labels), columns.labels, classes)
        for name in (columns.positive, *columns.negatives):
            docs += _documents(row, name, label if name == columns.positive else 0.0, columns)
    meta = {key: _plain(value, key) for key, value in row.items() if key not in columns.own and value is not None}
    return Group(query_id(query, str(row_number)), query, tuple(docs), split=split, meta=meta)


def _documents(row: Json, name: str, label: float | None, columns: Columns) -> list[Candidate]:
    value = row.get(name)
    if value is None and name in columns.negatives:
        return []
    passages = _passages(value, name)
    scores_name = next((scores for scores, texts in columns.teacher_scores if texts == name), None)
    scores = row.get(scores_name) if scores_name else None
    if scores is None:
        return [_candidate(passage, name, label, None) for passage in passages]
    listed = scores if isinstance(scores, list) else [scores]
    if len(listed) != len(passages):
        raise RowRefused(f"{scores_name} has {len(listed)} numbers, and {name} has {len(passages)} texts")
    numbers = [number(score, f"{scores_name}[{place}]") for place, score in enumerate(listed)]
    return [_candidate(passage, name, label, score) for passage, score in zip(passages, numbers, strict=True)]


def _labelled(row: Json, columns: Columns, classes: list[float] | None) -> list[Candidate]:
    assert columns.documents is not None
    assert columns.labels is not None
    passages, labels = _passages(row.get(columns.documents), columns.documents), row.get(columns.labels)
    if not isinstance(labels, list) or len(labels) != len(passages):
        count = len(labels) if isinstance(labels, list) else json_kind(labels)
        raise RowRefused(f"{columns.labels} has {count}, and {columns.documents} has {len(passages)} texts")
    return [
        _candidate(passage, columns.documents, _label(label, columns.labels, classes), None)
        for passage, label in zip(passages, labels, strict=True)
    ]


def _passages(value: Any, name: str) -> list[Any]:
    if isinstance(value, dict):  # how some sets hold a list of objects: an object of lists
        lengths = {len(each) if isinstance(each, list) else -1 for each in value.values()}
        if len(lengths) != 1 or -1 in lengths:
            return [value]
        return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
    return value if isinstance(value, list) else [value]


def _candidate(passage: Any, name: str, label: float | None, score: float | None) -> Candidate:
    if isinstance(passage, str):
        return Candidate(text_id(passage), passage, label=label, teacher_score=score)
    if not isinstance(passage, dict):
        raise RowRefused(f"{name} is {json_kind(passage)}, and a text is wanted")
    title, body = optional_text(passage, "title", f"{name}."), text(passage, "text", f"{name}.")
    key = next((key for key in PASSAGE_IDS if passage.get(key) is not None), None)
    doc_id = identifier(passage, key, f"{name}.") if key else text_id(document_text(title, body) if title else body)
    rest = {each: _plain(passage[each], each) for each in passage if each not in ("title", "text", key)}
    return Candidate(doc_id, body, title, label=label, teacher_score=score, meta=rest)


def _label(value: Any, name: str, classes: list[float] | None) -> float | None:
    """A label; null or one below 0, as sets hide labels, is none."""
    if value is None:
        return None
    if classes is not None and isinstance(value, int):
        return classes[value] if 0 <= value < len(classes) else None
    found = float(value) if isinstance(value, bool) else number(value, name)
    return found if found >= 0 else None


def merged(groups: Iterable[tuple[int, Group]]) -> Iterator[tuple[int, Group]]:
    """Merge rows of one query that follow each other into one group, at the place of the first."""
    held: tuple[int, Group] | None = None
    docs: list[Candidate] = []
    for line, group in groups:
        if held is not None and held[1].query == group.query:
            docs += _with_meta(group)
            continue
        if held is not None:
            yield held[0], _whole(held[1], docs)
        held, docs = (line, group), _with_meta(group)
    if held is not None:
        yield held[0], _whole(held[1], docs)


def _with_meta(group: Group) -> list[Candidate]:
    """The document of a row, with the row's other columns, which are about the pair."""
    return [replace(doc, meta={**doc.meta, **group.meta}) for doc in group.docs]


def _whole(first: Group, docs: list[Candidate]) -> Group:
    return Group(first.query_id, first.query, tuple(docs), split=first.split)


def _plain(value: Any, name: str) -> Any:
    """A value as JSON has it. Refuses bytes, such as those of an image."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(each, name) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, name) for each in value]
    raise RowRefused(f"{name} holds {type(value).__name__}, which meta cannot hold; drop the column")
