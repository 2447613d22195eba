"""Groups that carry their candidates."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.formats.groups_parquet import write_groups
from crossrank.records import Candidate, Group, Reason, Rejected
from crossrank.reranking.prepare import GroupWork
from tests.unit.reranking.conftest import Prepare


def group(query_id: str, query: str, *docs: Any) -> str:
    """A line; a document is its id, ``(id, text)`` or a whole record."""
    records = [{"doc_id": doc} if isinstance(doc, str) else doc for doc in docs]
    records = [doc if isinstance(doc, dict) else {"doc_id": doc[0], "text": doc[1]} for doc in records]
    return json.dumps({"query_id": query_id, "query": query, "docs": records}) + "\n"


def test_documents_that_bring_their_text_need_no_corpus(prepare: Prepare, tmp_path: Path) -> None:
    document = {"doc_id": "b", "title": "Cats", "text": "sleep", "rank": 7, "score": 0.5, "label": 1}
    prepared = prepare(groups=group("g1", "red cat", ("a", "one"), document), corpus=None)
    [row] = prepared.rows
    assert row == {
        "row": 0,
        "source": str(tmp_path / "g.jsonl"),
        "line": 1,
        "query_id": "g1",
        "query": "red cat",
        "reason": None,
        "corpus_rows": [-1, -1],
        # A rank decides, and the document without one follows.
        "doc_ids": ["b", "a"],
        "texts": ["Cats sleep", "one"],
        "initial_ranks": [7, None],
        "initial_scores": [0.5, None],
        "labels": [1.0, None],
    }
    assert (prepared.rejected, prepared.work.num_pairs) == ([], 2)


def test_documents_without_text_are_looked_up_in_the_corpus(prepare: Prepare) -> None:
    prepared = prepare(groups=group("g1", "red cat", "d3", ("own", "text"), "d1"))
    [row] = prepared.rows
    assert row["corpus_rows"] == [2, -1, 0]
    assert row["texts"] == [None, "text", None]
    assert row["doc_ids"] == ["d3", "own", "d1"]


def test_a_documents_own_text_wins_over_that_of_the_corpus(prepare: Prepare) -> None:
    [row] = prepare(groups=group("g1", "red cat", ("d1", "other text"))).rows
    assert (row["corpus_rows"], row["texts"]) == ([-1], ["other text"])


def test_a_bad_document_is_set_aside_alone_and_ranks_stay(prepare: Prepare) -> None:
    prepared = prepare(groups=group("g1", "red cat", "d9", ("e", " "), "d1", "d1", ("x", "text")))
    [row] = prepared.rows
    assert row["doc_ids"] == ["d1", "x"]
    assert row["initial_ranks"] == [3, 5]
    assert [(each.line, each.record_id, each.reason, each.detail) for each in prepared.rejected] == [
        (1, "g1", Reason.UNKNOWN_DOCUMENT, "document d9 has no text, and the corpus does not have it"),
        (1, "g1", Reason.EMPTY_DOCUMENT, "document e has no text"),
        (1, "g1", Reason.DUPLICATE_ID, "document d1 stands twice in the group; the first is kept"),
    ]


def test_a_document_without_text_and_without_a_corpus_is_set_aside(prepare: Prepare) -> None:
    prepared = prepare(groups=group("g1", "red cat", "d1", ("x", "text")), corpus=None)
    assert prepared.docs == {"g1": ["x"]}
    [row] = prepared.rejected
    assert row.detail == "document d1 has no text, and there is no --corpus to look it up in"


def test_a_document_that_is_empty_in_the_corpus_is_set_aside(prepare: Prepare) -> None:
    prepared = prepare(
        groups=group("g1", "red cat", "d1", "d2"), corpus='{"_id": "d1", "text": ""}\n{"_id": "d2", "text": "x"}\n'
    )
    assert prepared.docs == {"g1": ["d2"]}
    assert [row.reason for row in prepared.rejected] == [Reason.EMPTY_DOCUMENT] * 2, "in the corpus and in the group"


def test_the_depth_counts_the_documents_that_are_scored(prepare: Prepare) -> None:
    # As with a run: what is set aside takes no place, and faults after the cut are told as well.
    prepared = prepare(groups=group("g1", "red cat", "no1", "d1", "d2", "d3", "no2"), depth=2)
    assert prepared.docs == {"g1": ["d1", "d2"]}
    assert [row.detail.split()[1] for row in prepared.rejected] == ["no1", "no2"]


def test_groups_without_query_or_documents_are_prepared_with_the_reason(prepare: Prepare) -> None:
    lines = group("g1", " ", "d1") + group("g2", "cat") + group("g3", "cat", "no") + group("g4", "cat", "d1")
    prepared = prepare(groups=lines)
    assert prepared.reasons == {
        "g1": Reason.EMPTY_QUERY,
        "g2": Reason.NO_CANDIDATES,
        "g3": Reason.NO_CANDIDATES,
        "g4": None,
    }
    assert prepared.docs["g1"] == []


def test_a_second_group_of_an_id_and_a_line_that_is_no_group_are_set_aside(prepare: Prepare) -> None:
    lines = group("g1", "cat", "d1") + "{}\n" + group("g1", "dog", "d2") + group("g2", "dog", "d2")
    prepared = prepare(groups=lines)
    assert prepared.docs == {"g1": ["d1"], "g2": ["d2"]}
    assert [row["row"] for row in prepared.rows] == [0, 1]
    assert [(row.line, row.record_id, row.reason) for row in prepared.rejected] == [
        (2, None, Reason.MALFORMED),
        (3, "g1", Reason.DUPLICATE_ID),
    ]


def test_a_limit_takes_the_first_groups(prepare: Prepare) -> None:
    lines = "".join(group(f"g{number}", "cat", "d1") for number in range(5))
    prepared = prepare(groups=lines, limit=2)
    assert list(prepared.docs) == ["g0", "g1"]
    assert prepared.work.num_queries == 2


def test_a_folder_of_parquet_and_json_lines_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    write_groups(str(tmp_path / "a.parquet"), [Group("g1", "cat", (Candidate("x", "text", label=0.0),))])
    (tmp_path / "b.jsonl").write_text(group("g2", "dog", ("y", "text")))
    (tmp_path / "_manifest.json").write_text("{}")
    work = GroupWork.read(str(tmp_path), None, depth=10, limit=None)
    rejected: list[Rejected] = []
    rows = list(work.rows(rejected.append))
    assert rejected == []
    assert [(row["query_id"], row["doc_ids"], row["labels"]) for row in rows] == [
        ("g1", ["x"], [0.0]),
        ("g2", ["y"], [None]),
    ]
    assert work.sample() == [("cat", "text"), ("dog", "text")]


def test_a_file_without_a_group_is_refused(prepare: Prepare) -> None:
    with pytest.raises(
        InputError,
        match=r"g\.jsonl holds no group that can be used \(1 malformed; the first, .*",
    ):
        prepare(groups="{}\n")


DOCS = st.lists(st.sampled_from(["d1", "d2", "no", ("own", "text"), ("d1", "text"), ("void", "")]), max_size=6)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from(["g1", "g2", "g3"]), st.sampled_from(["cat", " "]), DOCS), min_size=1, max_size=4
    ),
    st.integers(1, 4),
)
def test_every_group_and_document_is_used_cut_or_set_aside(
    prepare: Prepare, groups: list[tuple[str, str, list[Any]]], depth: int
) -> None:
    usable = {"d1", "d2", ("own", "text"), ("d1", "text")}
    assume(any(query.strip() and usable & {*docs} for _, query, docs in groups))  # else all of them are refused
    prepared = prepare(groups="".join(group(query_id, query, *docs) for query_id, query, docs in groups), depth=depth)
    first_of = {query_id: number for number, (query_id, _, _) in reversed(list(enumerate(groups, start=1)))}
    again = set(range(1, len(groups) + 1)) - set(first_of.values())
    rows = {row["query_id"]: row for row in prepared.rows}
    assert len(rows) == len(prepared.rows) == prepared.work.num_queries
    for query_id, query, docs in (groups[number - 1] for number in first_of.values()):
        aside = [row for row in prepared.rejected if row.line == first_of[query_id]]
        if not query.strip():
            assert (rows[query_id]["reason"], aside) == (Reason.EMPTY_QUERY, [])
            continue
        good = len(docs) - len(aside)
        assert len(rows[query_id]["doc_ids"]) == min(good, depth)
        assert rows[query_id]["reason"] == (None if good else Reason.NO_CANDIDATES)
    assert {(row.line, row.reason) for row in prepared.rejected if row.line in again} == {
        (line, Reason.DUPLICATE_ID) for line in again
    }


def test_the_depth_keeps_the_first_ranks_wherever_they_stand_in_the_list(
    prepare: Prepare, capsys: pytest.CaptureFixture[str]
) -> None:
    docs = [{"doc_id": f"d{place}", "text": "x", "rank": rank} for place, rank in enumerate([3, None, 2, 1, 0])]
    prepared = prepare(groups=group("g1", "red cat", *docs) + group("g2", "cat", ("a", "x")), corpus=None, depth=2)
    assert prepared.docs == {"g1": ["d4", "d3"], "g2": ["a"]}
    assert prepared.rows[0]["initial_ranks"] == [0, 1]
    told = "in 1 of 2 groups the documents stand in another order than their ranks say; the ranks decide"
    assert capsys.readouterr().err.count(told) == 1, "though the groups are read twice"


def test_labelled_documents_without_ranks_break_ties_in_an_order_that_no_label_made(prepare: Prepare) -> None:
    def lines(label: int | None) -> str:
        negatives = [{"doc_id": f"n{n}", "text": f"negative {n}", "label": 0 if label else None} for n in range(7)]
        positive = {"doc_id": "p", "text": "positive", "label": label}
        return "".join(group(f"g{n}", "q", positive, *negatives) for n in range(400))

    first = [docs[0] for docs in prepare(groups=lines(1), corpus=None).docs.values()]
    assert 400 / 8 - 30 < first.count("p") < 400 / 8 + 30
    assert {docs[0] for docs in prepare(groups=lines(None), corpus=None).docs.values()} == {"p"}, "a list as it is"
    cut = prepare(groups=lines(1), corpus=None, depth=2).docs.values()
    assert 400 / 4 - 35 < sum("p" in docs for docs in cut) < 400 / 4 + 35, "nor does the depth keep what stands first"


def test_where_some_documents_have_ranks_those_decide_and_the_others_follow_as_they_are_listed(
    prepare: Prepare,
) -> None:
    docs = [{"doc_id": f"d{n}", "text": "x", "label": int(n == 0), "rank": 1 if n == 3 else None} for n in range(5)]
    [row] = prepare(groups=group("g1", "q", *docs), corpus=None).rows
    assert row["doc_ids"] == ["d3", "d0", "d1", "d2", "d4"]
    assert row["initial_ranks"] == [1, None, None, None, None]


def test_labelled_documents_without_ranks_have_as_initial_rank_their_place_in_the_order_that_breaks_ties(
    prepare: Prepare,
) -> None:
    """Whoever measures the output against its initial ranks would find a first stage that is right each time."""
    docs = [{"doc_id": f"d{n}", "text": "x", "label": int(n == 0)} for n in range(9)]
    prepared = prepare(groups="".join(group(f"g{n}", "q", *docs) for n in range(20)), corpus=None)
    assert {tuple(row["initial_ranks"]) for row in prepared.rows} == {tuple(range(1, 10))}
    assert len({row["doc_ids"][0] for row in prepared.rows}) > 4


@pytest.mark.parametrize("is_first", [True, False])
def test_of_a_document_that_is_labelled_both_ways_the_positive_is_scored(prepare: Prepare, is_first: bool) -> None:
    docs = [
        {"doc_id": "a", "text": "no", "label": 0, "rank": 1, "score": 9.0},
        {"doc_id": "b", "text": "other", "label": 0, "rank": 2},
        {"doc_id": "a", "text": "yes", "label": 1, "rank": 3},
    ]
    prepared = prepare(groups=group("g1", "q", *(docs if is_first else docs[::-1])), corpus=None)
    [row] = prepared.rows
    assert (row["doc_ids"], row["texts"], row["labels"]) == (["a", "b"], ["yes", "other"], [1.0, 0.0])
    assert (row["initial_ranks"], row["initial_scores"]) == ([1, 2], [9.0, None])
    [aside] = prepared.rejected
    assert aside.reason == Reason.DUPLICATE_ID
    assert aside.detail == "document a stands twice in the group; the one labelled above 0 is kept"
