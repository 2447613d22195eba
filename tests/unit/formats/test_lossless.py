"""Import, export, import: what a format can hold comes back, whatever the texts are made of."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossrank.formats import FORMATS
from crossrank.formats.document_order import by_rank
from crossrank.formats.words import word_of
from crossrank.records import Candidate, Group, Json, Rejected

sometimes = settings(max_examples=25, suppress_health_check=list(HealthCheck))

pieces = st.sampled_from(
    [
        "가",
        "나다",
        "😀",
        "\u2028",
        "\x85",
        '"',
        "'",
        "\t",
        "\n",
        "\r\n",
        "\r",
        ",",
        " ",
        "\\",
        "\x00",
        "\ufeff",
        "a",
        "1",
    ]
)
texts = st.lists(pieces, max_size=5).map("".join)
ids = st.text(st.sampled_from("aB7-_가\u3000😀"), min_size=1, max_size=4)
odd_ids = st.text(st.sampled_from("aB7%-_가😀 \t\r\n\x0b\x1c\x85\xa0\u2028\u3000\ufeff\x00"), max_size=4)
floats = st.floats(allow_nan=False, allow_infinity=False)
fallen = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False), min_size=8).map(
    lambda values: sorted({value or 0.0 for value in values}, reverse=True)
)
"""Scores that fall strictly as 32-bit floats."""
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
extras = st.dictionaries(st.sampled_from(["qid", "prompt", "가\u2028", "type"]), json_values, max_size=2)
nullable_text = st.none() | texts
nullable_float = st.none() | floats


def optional(key: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.just({}) | values.map(lambda value: {key: value})


@st.composite
def pos_neg_rows(draw: st.DrawFn, scored: bool) -> Json:
    row: Json = dict(draw(extras))
    row["query"] = draw(texts)
    for key in ("pos", "neg"):
        count = draw(st.integers(0, 3))
        passages = st.lists(texts, min_size=count, max_size=count)
        row |= {key: draw(passages)} if key == "pos" or count else draw(optional(key, st.none() | st.just([])))
        if scored:
            scores = st.lists(floats, min_size=count, max_size=count)
            row |= draw(optional(f"{key}_scores", st.none() | scores))
    return row


triplet_rows = st.builds(
    lambda anchor, positive, negatives, numbered, others: {
        "anchor": anchor,
        "positive": positive,
        **(
            {"negative": negatives[0]}
            if len(negatives) == 1 and not numbered
            else {f"negative_{number}": text for number, text in enumerate(negatives, start=1)}
        ),
        **others,
    },
    texts,
    texts,
    st.lists(texts, max_size=3),
    st.booleans(),
    extras,
)
labelled_rows = st.builds(
    lambda query, labelled, others: {
        "query": query,
        "docs": [text for text, _ in labelled],
        "labels": [label for _, label in labelled],
        **others,
    },
    texts,
    st.lists(st.tuples(texts, floats), max_size=3),
    extras,
)


def through(name: str, source: Path, target: Path) -> tuple[list[Group], list[Group], list[Rejected]]:
    """The groups of a source, and those of the target that they were written to."""
    form, rejected = FORMATS[name], list[Rejected]()
    assert form.read is not None
    assert form.write is not None
    first = [group for _, group in form.read(str(source), rejected.append)]
    form.write(str(target), first, rejected.append)
    return first, [group for _, group in form.read(str(target), rejected.append)], rejected


def check_rows(name: str, rows: list[Json]) -> None:
    """The file that comes out holds the rows that went in, and the groups are the same."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.jsonl"), Path(folder, "out.jsonl")
        source.write_bytes(b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows))
        first, second, rejected = through(name, source, target)
        written = [json.loads(line) for line in target.read_bytes().split(b"\n")[:-1]]
    assert rejected == []
    assert len(first) == len(rows)
    assert first == second
    assert written == rows


@sometimes
@given(st.lists(pos_neg_rows(scored=True), max_size=3))
def test_flagembedding_rows_come_back(rows: list[Json]) -> None:
    check_rows("flagembedding", rows)


@sometimes
@given(st.lists(pos_neg_rows(scored=False), max_size=3))
def test_msmarco_rows_come_back(rows: list[Json]) -> None:
    check_rows("msmarco-triplets", rows)


@sometimes
@given(st.lists(triplet_rows, max_size=3))
def test_triplets_come_back(rows: list[Json]) -> None:
    check_rows("st-triplets", rows)


@sometimes
@given(st.lists(labelled_rows, max_size=3))
def test_labelled_lists_come_back(rows: list[Json]) -> None:
    check_rows("st-labelled", rows)


candidates = st.builds(
    Candidate,
    doc_id=ids,
    text=nullable_text,
    title=nullable_text,
    label=nullable_float,
    rank=st.none() | st.integers(0, 2**31 - 1),
    score=nullable_float,
    teacher_score=nullable_float,
    source=nullable_text,
    flags=st.lists(texts, max_size=2).map(tuple),
    meta=extras,
)
groups = st.builds(
    Group,
    query_id=ids,
    query=texts,
    docs=st.lists(candidates, max_size=3).map(tuple),
    lang=nullable_text,
    split=nullable_text,
    meta=extras,
)


@pytest.mark.parametrize("name", ["groups", "groups-jsonl"])
@sometimes
@given(st.lists(groups, max_size=3))
def test_groups_come_back_with_everything_they_had(name: str, made: list[Group]) -> None:
    form, rejected = FORMATS[name], list[Rejected]()
    assert form.read is not None
    assert form.write is not None
    with tempfile.TemporaryDirectory() as folder:
        form.write(f"{folder}/groups", made, rejected.append)
        by_ranks = [replace(each, docs=by_rank(each.docs)) for each in made]
        assert list(form.read(f"{folder}/groups", rejected.append)) == list(enumerate(by_ranks, start=1))
    assert rejected == []


@sometimes
@given(st.lists(st.tuples(texts, texts, st.just("") | ids, texts, texts), max_size=4))
def test_question_rows_come_back(cells: list[tuple[str, ...]]) -> None:
    def quoted(row: tuple[str, ...]) -> str:
        return ",".join('"' + cell.replace('"', '""') + '"' for cell in row)

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.csv"), Path(folder, "out.csv")
        rows = [("question", "answer", "doc_id", "doc", "더"), *cells]
        source.write_bytes("".join(quoted(row) + "\n" for row in rows).encode())
        first, second, rejected = through("qa-csv", source, target)
    assert rejected == []
    assert first == second
    assert [(group.query, group.meta["answer"], group.docs[0].text, group.meta["더"]) for group in first] == [
        (question, answer, doc, more) for question, answer, _, doc, more in cells
    ]


@sometimes
@given(
    st.lists(st.tuples(odd_ids, odd_ids, st.integers(0, 10**6), odd_ids), max_size=8, unique_by=lambda row: row[:2]),
    fallen,
)
def test_run_lines_come_back(cells: list[tuple[str, str, int, str]], scores: list[float]) -> None:
    ranks = sorted(rank for _, _, rank, _ in cells)
    rows = [
        (word_of(query), word_of(doc), rank, score, word_of(tag))
        for (query, doc, _, tag), rank, score in zip(cells, ranks, scores, strict=False)
    ]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.trec"), Path(folder, "out.trec")
        lines = [f"{query} Q0 {doc} {rank} {np.float32(score)!s} {tag}" for query, doc, rank, score, tag in rows]
        source.write_bytes("".join(line + "\n" for line in lines).encode())
        first, second, rejected = through("trec-run", source, target)
        written = target.read_bytes().decode().split("\n")[:-1]
    assert rejected == []
    assert first == second
    assert written == lines


@sometimes
@given(
    st.lists(
        st.tuples(odd_ids, st.sampled_from(["0", "Q0", "7"]), odd_ids, floats),
        max_size=8,
        unique_by=lambda row: (row[0], row[2]),
    )
)
def test_judgements_come_back(rows: list[tuple[str, str, str, float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.qrels"), Path(folder, "out.qrels")
        source.write_bytes(
            "".join(f"{word_of(query)} {it} {word_of(doc)} {label!r}\n" for query, it, doc, label in rows).encode()
        )
        first, second, rejected = through("trec-qrels", source, target)
    assert rejected == []
    assert first == second
    assert [(group.query_id, doc.doc_id, doc.label) for group in second for doc in group.docs] == [
        (query, doc, label) for query, _, doc, label in rows
    ]


@st.composite
def beir_parts(
    draw: st.DrawFn,
) -> tuple[Json, Json, dict[str, list[tuple[str, str, float]]]]:
    corpus = draw(
        st.dictionaries(
            ids,
            st.fixed_dictionaries({"text": texts}, optional={"title": texts, "metadata": json_values}),
            min_size=1,
            max_size=3,
        )
    )
    queries = draw(
        st.dictionaries(
            ids, st.fixed_dictionaries({"text": texts}, optional={"metadata": json_values}), min_size=1, max_size=3
        )
    )
    judgement = st.tuples(
        st.sampled_from(sorted(queries)), st.sampled_from(sorted(corpus)), st.integers(-1, 3) | floats
    )
    splits = st.dictionaries(
        st.sampled_from(["qrels.tsv", "qrels/dev.tsv", "qrels/시험.tsv"]),
        st.lists(judgement, min_size=1, max_size=5, unique_by=lambda row: row[:2]),
        min_size=1,
    )
    return corpus, queries, draw(splits)


@sometimes
@given(beir_parts())
def test_beir_folders_come_back(parts: tuple[Json, Json, dict[str, list[tuple[str, str, float]]]]) -> None:
    corpus, queries, splits = parts
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        (source / "qrels").mkdir(parents=True)
        for name, rows in (("corpus.jsonl", corpus), ("queries.jsonl", queries)):
            lines = [json.dumps({"_id": row_id, **row}, ensure_ascii=False) + "\n" for row_id, row in rows.items()]
            (source / name).write_bytes("".join(lines).encode())
        for name, judged in splits.items():
            lines = ["query-id\tcorpus-id\tscore\n", *("\t".join(map(str, row)) + "\n" for row in judged)]
            (source / name).write_bytes("".join(lines).encode())
        first, second, rejected = through("beir", source, target)
        judged_docs = {doc_id for rows in splits.values() for _, doc_id, _ in rows}
        out_corpus = {
            row.pop("_id"): row for row in map(json.loads, (target / "corpus.jsonl").read_bytes().split(b"\n")[:-1])
        }
    assert rejected == []
    assert first == second
    assert out_corpus == {doc_id: corpus[doc_id] for doc_id in judged_docs}
    assert sum(len(group.docs) for group in first) == sum(map(len, splits.values()))
