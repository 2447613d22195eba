"""Queries over a corpus with a TREC run: which candidates a query gets, and what is set aside."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.formats import run_columns
from crossrank.records import Reason, Rejected
from crossrank.reranking import candidates
from crossrank.reranking import prepare as prepare_module
from crossrank.reranking.layout import PREPARED_SCHEMA
from crossrank.reranking.prepare import blocks
from tests.unit.reranking.conftest import CORPUS, QUERIES, Prepare


def aside(rejected: list[Rejected]) -> list[tuple[str, int | None, str | None, Reason]]:
    return [(Path(row.source).name, row.line, row.record_id, row.reason) for row in rejected]


def test_candidates_go_by_score_then_rank_then_their_order_in_the_file(prepare: Prepare) -> None:
    prepared = prepare(
        run="""\
q1 Q0 d1 4 1.5 bm25
q1 Q0 d2 2 7.0 bm25
q1 Q0 d3 1 7.0 bm25
q2 Q0 d4 1 0.5 bm25
q2 Q0 d3 1 0.5 bm25
"""
    )
    # q1: 7.0 twice, so the better rank of d3 decides. q2: score and rank are equal, so d4 stays before d3.
    assert prepared.docs == {"q1": ["d3", "d2", "d1"], "q2": ["d4", "d3"], "q3": []}
    [q1, q2, _] = prepared.rows
    assert list(q1["initial_scores"]) == [7.0, 7.0, 1.5]
    assert list(q1["initial_ranks"]) == [1, 2, 3]
    assert list(q2["initial_scores"]) == [0.5, 0.5]
    assert prepared.work.num_pairs == 5


def test_only_the_best_of_a_query_are_kept(prepare: Prepare) -> None:
    prepared = prepare(
        run="q1 Q0 d1 3 1 x\nq1 Q0 d2 2 2 x\nq1 Q0 d3 1 3 x\nq2 Q0 d1 1 -1 x\nq2 Q0 d2 2 -2 x\nq2 Q0 d4 3 -3 x\n",
        depth=2,
    )
    assert prepared.docs == {"q1": ["d3", "d2"], "q2": ["d1", "d2"], "q3": []}
    assert (prepared.work.num_pairs, prepared.rejected) == (4, [])


def test_lines_of_queries_may_be_mixed_and_in_any_order(prepare: Prepare) -> None:
    lines = [f"q{q} Q0 d{d} {d} {10 - d} x\n" for d in (4, 1, 3, 2) for q in (2, 3, 1)]
    prepared = prepare(run="".join(lines))
    assert prepared.docs == {f"q{q}": ["d1", "d2", "d3", "d4"] for q in (1, 2, 3)}


def test_a_line_that_names_what_is_not_there_is_set_aside_alone(prepare: Prepare) -> None:
    prepared = prepare(run="q1 Q0 d1 1 3 x\nq9 Q0 d1 1 3 x\nq1 Q0 d9 2 2 x\nq1 Q0 d2 3 1 x\nq1 Q0 d3\n")
    assert prepared.docs["q1"] == ["d1", "d2"]
    assert sorted(aside(prepared.rejected), key=lambda row: row[1] or 0) == [
        ("bm25.trec", 2, "q9", Reason.UNKNOWN_QUERY),
        ("bm25.trec", 3, "q1", Reason.UNKNOWN_DOCUMENT),
        ("bm25.trec", 5, "q1", Reason.MALFORMED),
    ]
    assert {row.detail for row in prepared.rejected} >= {"the queries have no q9", "the corpus has no d9"}


def test_of_two_lines_for_one_document_the_better_place_is_kept(prepare: Prepare) -> None:
    prepared = prepare(run="q1 Q0 d1 3 1.0 x\nq1 Q0 d2 2 2.0 x\nq1 Q0 d1 1 3.0 x\n")
    assert prepared.docs["q1"] == ["d1", "d2"]
    assert list(prepared.rows[0]["initial_scores"]) == [3.0, 2.0]
    assert aside(prepared.rejected) == [("bm25.trec", 1, "q1", Reason.DUPLICATE_ID)]


def test_ranks_that_contradict_the_scores_of_a_run_are_counted_and_told(
    prepare: Prepare, capsys: pytest.CaptureFixture[str]
) -> None:
    run = "q1 Q0 d1 1 1.0 x\nq1 Q0 d2 2 2.0 x\nq2 Q0 d1 0 2.0 x\nq2 Q0 d2 1 1.0 x\nq3 Q0 d1 1 1 x\n"
    prepared = prepare(run=run)
    assert prepared.docs["q1"] == ["d2", "d1"]
    assert "in 1 of 3 queries the ranks contradict the scores; the scores decide" in capsys.readouterr().err


def test_a_run_that_names_ids_with_white_space_as_we_write_them_is_read(prepare: Prepare) -> None:
    corpus = CORPUS + '{"_id": "d 5", "title": "", "text": "five"}\n'
    queries = QUERIES + '{"_id": "q\u3000x", "text": "cat"}\n'
    prepared = prepare(queries=queries, corpus=corpus, run="%%q%E3%80%80x Q0 %%d%205 1 2 x\nq1 Q0 d1 1 2 x\n")
    assert (prepared.docs["q\u3000x"], prepared.docs["q1"]) == (["d 5"], ["d1"])
    assert prepared.rejected == []


def test_a_repeated_document_takes_no_place_of_the_depth(prepare: Prepare) -> None:
    prepared = prepare(run="q1 Q0 d1 1 3 x\nq1 Q0 d1 2 2 x\nq1 Q0 d2 3 1 x\n", depth=2)
    assert prepared.docs["q1"] == ["d1", "d2"]


def test_an_empty_document_is_set_aside_alone(prepare: Prepare) -> None:
    prepared = prepare(
        corpus=CORPUS + '{"_id": "d5", "title": " ", "text": ""}\n', run="q1 Q0 d5 1 2 x\nq1 Q0 d1 2 1 x\n"
    )
    assert prepared.docs["q1"] == ["d1"]
    assert aside(prepared.rejected) == [
        ("c.jsonl", 5, "d5", Reason.EMPTY_DOCUMENT),
        ("bm25.trec", 1, "q1", Reason.EMPTY_DOCUMENT),
    ]


def test_a_document_that_a_run_names_again_contradicts_nothing(
    prepare: Prepare, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared = prepare(run="q1 Q0 d1 1 9 x\nq1 Q0 d2 2 8 x\nq1 Q0 d1 1 7 x\nq2 Q0 d1 1 9 x\n")
    assert prepared.docs["q1"] == ["d1", "d2"]
    assert [row.reason for row in prepared.rejected] == [Reason.DUPLICATE_ID]
    assert "contradict" not in capsys.readouterr().err


def test_a_document_that_stands_twice_is_the_first_of_them(prepare: Prepare) -> None:
    prepared = prepare(corpus=CORPUS + '{"_id": "d1", "text": "another"}\n', run="q1 Q0 d1 1 2 x\n")
    assert list(prepared.rows[0]["corpus_rows"]) == [0]
    assert aside(prepared.rejected) == [("c.jsonl", 5, "d1", Reason.DUPLICATE_ID)]


def test_every_query_is_prepared_with_the_reason_why_it_cannot_be_scored(prepare: Prepare) -> None:
    prepared = prepare(queries=QUERIES + '{"_id": "q4", "text": " "}\n', run="q1 Q0 d1 1 2 x\nq4 Q0 d1 1 2 x\n")
    assert prepared.reasons == {
        "q1": None,
        "q2": Reason.NO_CANDIDATES,
        "q3": Reason.NO_CANDIDATES,
        "q4": Reason.EMPTY_QUERY,
    }
    assert prepared.docs["q4"] == []
    assert prepared.rejected == [], "those queries reach the output with their reason"


def test_a_query_that_was_not_read_or_stands_twice_is_set_aside(prepare: Prepare) -> None:
    prepared = prepare(
        queries=QUERIES + 'not json\n{"_id": "q1", "text": "again"}\n{"_id": "q2", "text": ""}\n{"text": "no id"}\n',
        run="q1 Q0 d1 1 2 x\n",
    )
    assert [row["query_id"] for row in prepared.rows] == ["q1", "q2", "q3"]
    assert [row["row"] for row in prepared.rows] == [0, 1, 2]
    assert prepared.rows[0]["query"] == "red cat"
    assert sorted(aside(prepared.rejected)) == [
        ("q.jsonl", 4, None, Reason.MALFORMED),
        ("q.jsonl", 5, "q1", Reason.DUPLICATE_ID),
        ("q.jsonl", 6, "q2", Reason.DUPLICATE_ID),
        ("q.jsonl", 7, None, Reason.MALFORMED),
    ]


def test_a_limit_leaves_later_queries_out_without_calling_their_lines_faulty(prepare: Prepare) -> None:
    prepared = prepare(run="q3 Q0 d1 1 2 x\nq1 Q0 d1 1 2 x\nq2 Q0 d2 1 2 x\nq9 Q0 d1 1 2 x\n", limit=2)
    assert prepared.docs == {"q1": ["d1"], "q2": ["d2"]}
    assert prepared.work.num_pairs == 2
    assert aside(prepared.rejected) == [("bm25.trec", 4, "q9", Reason.UNKNOWN_QUERY)]


def test_more_lines_and_queries_than_are_held_at_once(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_columns, "CHUNK_BYTES", 60)
    monkeypatch.setattr(candidates, "SPILL_QUERIES", 3)
    monkeypatch.setattr(prepare_module, "CHUNK_QUERIES", 4)
    queries = "".join(f'{{"_id": "q{q}", "text": "query {q}"}}\n' for q in range(14))
    # Query q has the documents d1 to d4 but the one of number q % 5; q 7 has none. The lines run backwards.
    expected = {f"q{q}": [f"d{d}" for d in range(1, 5) if d != q % 5 and q != 7] for q in range(14)}
    lines = [f"{query_id} Q0 {doc_id} 1 {-int(doc_id[1])} x\n" for query_id, ids in expected.items() for doc_id in ids]
    prepared = prepare(queries=queries, run="".join(reversed(lines)))
    assert prepared.docs == expected
    assert prepared.work.num_pairs == len(lines)


def test_what_a_run_is_measured_with_are_texts_of_both_sides(prepare: Prepare) -> None:
    sample = prepare(run="q1 Q0 d1 1 2 x\n").work.sample()
    assert len(sample) == prepare_module.SAMPLE_PAIRS
    assert {query for query, _ in sample} == {"red cat", "blue dog", "green bird"}
    assert {document for _, document in sample} == {
        "a red cat",
        "a blue dog and a red dog",
        "one cat",
        "green green grass",
    }


def test_blocks_hold_every_query_once_in_order(prepare: Prepare, tmp_path: Path) -> None:
    prepared = prepare(run="q1 Q0 d1 1 2 x\nq1 Q0 d3 2 1 x\nq3 Q0 d4 1 0.25 x\n")
    tables = list(blocks(iter(prepared.rows), 2))
    assert [len(table) for table in tables] == [2, 1]
    assert all(table.schema == PREPARED_SCHEMA for table in tables)
    rows = pa.concat_tables(tables).to_pylist()
    assert [row["query_id"] for row in rows] == ["q1", "q2", "q3"]
    assert [row["corpus_rows"] for row in rows] == [[0, 2], [], [3]]
    assert rows[2] == {
        "row": 2,
        "source": str(tmp_path / "q.jsonl"),
        "line": 3,
        "query_id": "q3",
        "query": "green bird",
        "reason": None,
        "corpus_rows": [3],
        "doc_ids": None,
        "texts": None,
        "initial_ranks": [1],
        "initial_scores": [0.25],
        "labels": None,
    }


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            {"queries": '{"_id": "q1", "text": " "}\n'},
            r"holds no queries that can be used \(1 empty_query; the first, .* line 1 q1: ",
        ),
        (
            {"corpus": "nonsense\n"},
            r"no documents that can be used \(1 malformed; the first, .* line 1: not JSON",
        ),
        ({"corpus": ""}, r"holds no documents that can be used \(it is empty\); check the file"),
    ],
)
def test_inputs_without_anything_to_use_are_refused(prepare: Prepare, texts: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepare(run="q1 Q0 d1 1 2 x\n", **texts)


QUERY_LINES = st.sampled_from(
    ["not json", '{"_id": "q1", "text": " "}', '{"_id": "q2", "text": ""}']
    + [f'{{"_id": "q{number}", "text": "cat"}}' for number in (1, 2, 3, 4)]
)
DOCUMENT_LINES = st.sampled_from(
    ["{}", '{"_id": "d1", "text": ""}'] + [f'{{"_id": "d{number}", "text": "cat"}}' for number in (1, 2, 3)]
)
RUN_LINES = st.sampled_from(
    ["q1 Q0 d1 1", "q1 Q0 d1 1 nan x"]
    + [f"q{q} Q0 d{d} 1 {score} x" for q in (1, 2, 3, 9) for d in (1, 2, 3, 9) for score in (1, 2)]
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(QUERY_LINES, max_size=6),
    st.lists(DOCUMENT_LINES, max_size=5),
    st.lists(RUN_LINES, max_size=12),
    st.integers(1, 3),
)
def test_every_line_is_used_or_set_aside_and_none_is_both(
    prepare: Prepare, query_lines: list[str], document_lines: list[str], run_lines: list[str], depth: int
) -> None:
    queries = ['{"_id": "q0", "text": "cat"}', *query_lines]
    corpus = ['{"_id": "d0", "text": "cat"}', *document_lines]
    prepared = prepare(
        queries="".join(f"{line}\n" for line in queries),
        corpus="".join(f"{line}\n" for line in corpus),
        run="".join(f"{line}\n" for line in run_lines),
        depth=depth,
    )
    lines_aside = {
        name: [row.line for row in prepared.rejected if row.source.endswith(name)]
        for name in ("q.jsonl", "c.jsonl", "bm25.trec")
    }
    assert all(len(lines) == len(set(lines)) for lines in lines_aside.values()), "a line is set aside once"

    query_ids = [row["query_id"] for row in prepared.rows]
    assert len(query_ids) == len(set(query_ids)) == prepared.work.num_queries
    assert len(query_ids) + len(lines_aside["q.jsonl"]) == len(queries)

    # What is left of the run belongs to a query: its best `depth` are candidates, but of an empty query none.
    good = [line.split() for number, line in enumerate(run_lines, start=1) if number not in lines_aside["bm25.trec"]]
    for row in prepared.rows:
        mine = [doc_id for query_id, _, doc_id, *_ in good if query_id == row["query_id"]]
        expected = 0 if row["reason"] == Reason.EMPTY_QUERY else min(len(mine), depth)
        assert len(prepared.docs[row["query_id"]]) == expected
        assert set(prepared.docs[row["query_id"]]) <= set(mine)
    assert {query_id for query_id, *_ in good} <= set(query_ids)
