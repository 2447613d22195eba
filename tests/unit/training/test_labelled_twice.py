"""A document that is labelled both ways for one query is trained on as a positive alone, and counted."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from crossrank.corpus.source import CorpusSource
from crossrank.formats.group_files import fingerprint_of_groups
from crossrank.formats.groups_parquet import write_groups
from crossrank.records import Candidate, Group, Reason
from crossrank.training.groups import GroupSource, GroupStore
from crossrank.training.labelled_twice import Positives
from tests.unit.training.conftest import Source, doc, good, group

TEXT = "Charging takes 4.5 hours."


def trained_on(store: GroupStore) -> dict[str, dict[str, float]]:
    """The label of each text, by query id."""
    found = {}
    for number, query_id in enumerate(store.query_ids(range(len(store)))):
        documents = store.documents(number)
        texts = store.texts(documents.rows_D.tolist())
        found[query_id] = dict(zip(texts, documents.labels_D.tolist(), strict=True))
    return found


def aside(store: GroupStore) -> list[tuple[int | None, str, str]]:
    return [(row.line, str(row.reason), row.detail) for row in store.rejected()]


@pytest.mark.parametrize(
    "copy",
    [
        TEXT,
        f"  {TEXT}\n",
        "Charging\u00a0takes\t4.5  hours.",
        "charging takes 4.5 HOURS.",
        "Ｃｈａｒｇｉｎｇ takes 4.5 hours.",
    ],
    ids=["same", "white space around", "white space inside", "case", "full width"],
)
def test_a_copy_of_the_positive_under_another_id_is_no_negative(source: Source, copy: str) -> None:
    store = source(group("q", doc("p", 1, TEXT), doc("n7", 0, copy), doc("n", 0))).open()
    assert trained_on(store) == {"q": {TEXT: 1, "text of n": 0}}
    detail = "document n7 is labelled 0, and its text is labelled above 0 for this query"
    assert aside(store) == [(1, "labelled_both_ways", detail)]
    assert store.rejected_counts() == {"labelled_both_ways": 1}


def test_hangul_in_parts_is_the_same_text_as_hangul_in_one(source: Source) -> None:
    store = source(group("q", doc("p", 1, "충전"), doc("c", 0, "충전"), doc("n", 0))).open()
    assert trained_on(store) == {"q": {"충전": 1, "text of n": 0}}


def test_a_title_belongs_to_the_text(source: Source) -> None:
    docs = [doc("p", 1, "sleep", title="Cats"), doc("c", 0, "Cats sleep"), doc("n", 0, "sleep")]
    assert trained_on(source(group("q", *docs)).open()) == {"q": {"Cats sleep": 1, "sleep": 0}}


def test_two_positives_of_one_text_and_two_negatives_are_left_as_they_are(source: Source) -> None:
    docs = [doc("p", 1, "a"), doc("p2", 2, "a"), doc("n", 0, "b"), doc("n2", 0, "b")]
    store = source(group("q", *docs)).open()
    assert store.documents(0).labels_D.tolist() == [1, 2, 0, 0]
    assert aside(store) == []


@pytest.mark.parametrize("labels", [(1, 0), (0, 1)], ids=["positive first", "negative first"])
def test_of_a_document_that_stands_twice_the_positive_is_kept_wherever_it_stands(
    source: Source, labels: tuple[int, int]
) -> None:
    first, second = labels
    store = source(group("q", doc("p", first), doc("n", 0), doc("p", second))).open()
    assert trained_on(store) == {"q": {"text of p": 1, "text of n": 0}}
    detail = "document p stands twice in the group; the one labelled above 0 is kept"
    assert aside(store) == [(1, "duplicate_id", detail)]


@pytest.mark.parametrize("is_positive_first", [True, False])
def test_groups_of_one_query_that_contradict_each_other_agree_on_the_positive(
    source: Source, is_positive_first: bool
) -> None:
    # Two collections that were put together: what one mined as a negative, the other has as the answer.
    yes = group("a", doc("1", 1, TEXT), doc("2", 0, "x"), query="How long?")
    no = group("b", doc("9", 1, "y"), doc("8", 0, f"{TEXT} "), doc("7", 0, "z"), query=" how  LONG?")
    store = source(yes + no if is_positive_first else no + yes).open()
    assert trained_on(store) == {"a": {TEXT: 1, "x": 0}, "b": {"y": 1, "z": 0}}
    assert [(line, reason) for line, reason, _ in aside(store)] == [(1 + is_positive_first, "labelled_both_ways")]


def test_a_group_that_is_left_without_a_negative_is_set_aside_and_says_both(source: Source) -> None:
    yes = group("a", doc("1", 1, TEXT), doc("2", 0, "x"), query="long?")
    no = group("b", doc("9", 1, "y"), doc("8", 0, TEXT), query="long?")
    store = source(yes + no).open()
    assert trained_on(store) == {"a": {TEXT: 1, "x": 0}}
    assert [(line, reason) for line, reason, _ in aside(store)] == [(2, "labelled_both_ways"), (2, "no_negative")]


def test_another_query_may_have_the_text_as_its_negative(source: Source) -> None:
    lines = group("a", doc("1", 1, TEXT), doc("2", 0, "x"), query="long?") + group(
        "b", doc("3", 1, "y"), doc("4", 0, TEXT), query="colour?"
    )
    store = source(lines).open()
    assert trained_on(store) == {"a": {TEXT: 1, "x": 0}, "b": {"y": 1, TEXT: 0}}
    assert aside(store) == []


def test_a_positive_of_a_group_whose_id_came_before_counts_all_the_same(source: Source) -> None:
    store = source(group("a", doc("1", 1, "y"), doc("2", 0, TEXT), doc("3", 0)) + group("a", doc("4", 1, TEXT))).open()
    assert trained_on(store) == {"a": {"y": 1, "text of 3": 0}}


def test_a_positive_that_a_filter_flagged_wins_over_nothing(source: Source) -> None:
    store = source(group("q", doc("p", 1), doc("bad", 1, TEXT, flags=["err"]), doc("n", 0, TEXT))).open()
    assert trained_on(store) == {"q": {"text of p": 1, TEXT: 0}}


def test_files_of_every_kind_are_looked_at_together(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    docs = (Candidate("1", TEXT, label=1.0), Candidate("2", "x", label=0.0))
    write_groups(str(tmp_path / "in" / "a.parquet"), [Group("a", "long?", docs)])
    line = group("b", doc("9", 1, "y"), doc("8", 0, TEXT), doc("7", 0, "z"), query="long?")
    (tmp_path / "in" / "b.jsonl.gz").write_bytes(gzip.compress(line.encode()))
    uri = str(tmp_path / "in")
    store = GroupSource(uri, fingerprint_of_groups(uri), "train").open()
    assert trained_on(store) == {"a": {TEXT: 1, "x": 0}, "b": {"y": 1, "z": 0}}
    assert [row.source for row in store.rejected()] == [f"{uri}/b.jsonl.gz"]


def test_documents_that_the_corpus_holds_are_told_by_their_text_too(source: Source, tmp_path: Path) -> None:
    corpus = tmp_path / "c.jsonl"
    corpus.write_text(f'{{"_id": "c1", "text": "{TEXT}"}}\n{{"_id": "c2", "text": "{TEXT} "}}\n')
    there = CorpusSource(str(corpus), CorpusSource.fingerprint_of(str(corpus)))
    docs = [doc("c1", 1, None), doc("c2", 0, None), doc("own", 0, TEXT), doc("n", 0)]
    store = source(group("q", *docs), corpus=there).open()
    assert trained_on(store) == {"q": {TEXT: 1, "text of n": 0}}
    assert store.rejected_counts() == {"labelled_both_ways": 2}


def test_a_positive_that_the_corpus_lacks_wins_over_nothing(source: Source, tmp_path: Path) -> None:
    corpus = tmp_path / "c.jsonl"
    corpus.write_text('{"_id": "c1", "text": "one"}\n')
    there = CorpusSource(str(corpus), CorpusSource.fingerprint_of(str(corpus)))
    store = source(group("q", doc("c1", 1, None), doc("gone", 1, None), doc("n", 0)), corpus=there).open()
    assert trained_on(store) == {"q": {"one": 1, "text of n": 0}}


def test_only_the_lines_that_a_limit_takes_are_looked_at(source: Source) -> None:
    lines = group("a", doc("1", 1, "y"), doc("2", 0, TEXT), query="q") + group("b", doc("3", 1, TEXT), query="q")
    assert trained_on(source(lines, limit=1).open()) == {"a": {"y": 1, TEXT: 0}}


def test_what_is_measured_on_is_left_as_it_was_given(source: Source) -> None:
    store = source(group("q", doc("p", 1, TEXT), doc("n", 0, TEXT)), "validate").open()
    assert store.documents(0).labels_D.tolist() == [1, 0]
    assert aside(store) == []


def test_groups_without_contradictions_are_what_they_were(source: Source) -> None:
    store = source("".join(good(f"g{number}") for number in range(50))).open()
    assert (len(store), store.num_documents, aside(store)) == (50, 100, [])


def test_among_many_positives_each_is_found_and_nothing_else() -> None:
    positives = Positives()
    draw = random.Random(1)
    pairs = [(f"q{draw.randrange(300)}", f"text {number}") for number in range(2000)]
    for query, text in pairs:
        positives.add(query, [text])
    for query, text in pairs[::17]:
        assert positives.among(query, [text, f"{text}0", text.upper()]) == [True, False, True]
        assert positives.among(f"{query} x", [text]) == [False]


def test_without_a_positive_nothing_is_among_them() -> None:
    assert Positives().among("q", ["a", "b"]) == [False, False]
    assert Positives().among("q", []) == []


def test_the_reason_is_what_the_file_of_rejected_rows_holds() -> None:
    assert Reason("labelled_both_ways") is Reason.LABELLED_BOTH_WAYS
