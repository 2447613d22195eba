"""Groups as training reads them: what is kept, what is set aside and why, and that it is converted once."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossrank.corpus.source import CorpusSource
from crossrank.errors import InputError
from crossrank.formats.group_files import fingerprint_of_groups
from crossrank.formats.groups_parquet import write_groups
from crossrank.records import Candidate, Group, Reason
from crossrank.training import groups as groups_module
from crossrank.training.groups import GroupSource, GroupStore
from tests.unit.training.conftest import Source, doc, good, group

CORPUS = (
    '{"_id": "c1", "title": "Cats", "text": "sleep"}\n{"_id": "c2", "text": "a blue dog"}\n{"_id": "c3", "text": " "}\n'
)


@pytest.fixture
def corpus(tmp_path: Path) -> CorpusSource:
    """Three documents, the last of them empty."""
    (tmp_path / "c.jsonl").write_text(CORPUS)
    return CorpusSource(str(tmp_path / "c.jsonl"), CorpusSource.fingerprint_of(str(tmp_path / "c.jsonl")))


def texts_of(store: GroupStore, group: int) -> list[str]:
    return store.texts(store.documents(group).rows_D.tolist())


def ids_of(store: GroupStore) -> list[str]:
    return store.query_ids(range(len(store)))


def aside(store: GroupStore) -> list[tuple[int | None, str | None, Reason, str]]:
    return [(row.line, row.record_id, row.reason, row.detail) for row in store.rejected()]


# what is kept


def test_groups_keep_their_order_and_documents_theirs(source: Source) -> None:
    first = group("q2", doc("a", 0), doc("b", 1), doc("c", 0), query="red cat")
    second = group("q1", doc("d", 2, "rot", title="Die Katze"), doc("e", 0), query="고양이")
    store = source(first + second).open()
    assert (len(store), store.num_documents) == (2, 5)
    assert ids_of(store) == ["q2", "q1"]
    assert store.queries([1, 0]) == ["고양이", "red cat"]
    assert texts_of(store, 0) == ["text of a", "text of b", "text of c"]
    assert texts_of(store, 1) == ["Die Katze rot", "text of e"]
    assert store.documents(0).labels_D.tolist() == [0, 1, 0]
    assert store.documents(1).labels_D.tolist() == [2, 0]
    assert list(store.rejected()) == []


def test_teacher_scores_are_kept_with_nan_where_there_is_none(source: Source) -> None:
    store = source(group("q", doc("a", 1, teacher_score=2.5), doc("b", 0), doc("c", 0, teacher_score=-7))).open()
    teachers = store.documents(0).teachers_D.tolist()
    assert (teachers[0], math.isnan(teachers[1]), teachers[2]) == (2.5, True, -7)


def test_documents_with_their_text_and_rows_of_the_corpus_are_mixed(source: Source, corpus: CorpusSource) -> None:
    mixed = group("q1", doc("c2", 0, None), doc("own", 1), doc("c1", 0, None))
    store = source(
        mixed + group("q2", doc("c1", 1, None), doc("c2", 0, "other text"), query="dog"), corpus=corpus
    ).open()
    assert texts_of(store, 0) == ["a blue dog", "text of own", "Cats sleep"]
    assert texts_of(store, 1) == ["Cats sleep", "other text"], "a text of its own wins over the corpus"
    assert (store.documents(0).rows_D >= 0).tolist() == [True, False, True]
    # Asked for together and twice, in any order, they come as they were asked for.
    rows = [*store.documents(1).rows_D.tolist(), *store.documents(0).rows_D.tolist(), store.documents(1).rows_D[0]]
    assert store.texts(rows) == [
        "Cats sleep",
        "other text",
        "a blue dog",
        "text of own",
        "Cats sleep",
        "Cats sleep",
    ]


def test_a_folder_of_parquet_and_json_lines_is_one_set_of_groups(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    parquet = Group("g1", "cat", (Candidate("x", "text", label=1.0), Candidate("y", "other", label=0.0)))
    write_groups(str(tmp_path / "in" / "a.parquet"), [parquet])
    (tmp_path / "in" / "b.jsonl").write_text(good("g2"))
    uri = str(tmp_path / "in")
    store = GroupSource(uri, fingerprint_of_groups(uri), "train").open()
    assert ids_of(store) == ["g1", "g2"]


def test_a_document_that_a_filter_flagged_is_never_trained_on(source: Source) -> None:
    flagged = [doc("bad+", 1, flags=["err"]), doc("bad-", 0, flags=["too_close"]), doc("fine", 1), doc("poor", 0)]
    assert texts_of(source(group("q", *flagged)).open(), 0) == ["text of fine", "text of poor"]


def test_a_group_whose_only_positive_is_flagged_is_set_aside(source: Source) -> None:
    store = source(group("q", doc("p", 1, flags=["err"]), doc("n", 0)) + good("g")).open()
    detail = "no document that can be used is labelled above 0"
    assert aside(store) == [(1, "q", Reason.NO_POSITIVE, detail)]


def test_an_unjudged_document_is_kept_to_validate_and_never_to_train(source: Source) -> None:
    lines = group("q", doc("p", 1), doc("unjudged", None), doc("n", 0))
    assert texts_of(source(lines).open(), 0) == ["text of p", "text of n"]
    store = source(lines, "validate").open()
    assert sorted(texts_of(store, 0)) == ["text of n", "text of p", "text of unjudged"]
    assert np.isnan(store.documents(0).labels_D).sum() == 1


def test_what_is_wrong_with_an_unjudged_document_does_not_matter_to_train(source: Source) -> None:
    assert aside(source(group("q", doc("p", 1), doc("empty", None, " "), doc("n", 0))).open()) == []


def test_to_validate_a_group_needs_no_negative(source: Source) -> None:
    lines = group("q", doc("p", 1), doc("other", None)) + group("r", doc("p", 1))
    assert ids_of(source(lines, "validate").open()) == ["q", "r"]


def test_all_are_ranked_only_where_every_document_says_its_rank(source: Source) -> None:
    ranked = group("q", doc("p", 1, rank=2), doc("n", 0, rank=1))
    assert source(ranked, "validate").open().all_ranked
    assert not source(ranked + good("g"), "validate").open().all_ranked
    # One that is set aside does not count, be it a document or a group.
    flagged = group("r", doc("p", 1, rank=2), doc("n", 0, rank=1), doc("x", 0, flags=["err"]))
    assert source(ranked + flagged + group("s", doc("n", 0)), "validate").open().all_ranked


def test_the_hash_of_a_group_is_of_its_query_id_alone(source: Source) -> None:
    alone = source(good("b")).open().hashes([0])
    assert (
        source(good("a") + good("c") + group("b", doc("x", 0), doc("y", 1), query="other")).open().hashes([2]) == alone
    )


# what is set aside


def test_each_group_that_cannot_be_trained_on_is_set_aside_with_its_reason_and_line(
    source: Source, tmp_path: Path
) -> None:
    lines = [
        good("g1"),
        group("no+", doc("a", 0), doc("b", 0)),
        group("no-", doc("a", 1), doc("b", 0.5)),
        group("void", doc("a", 1), doc("b", 0), query=" \t"),
        good("g1"),
        group("none"),
        "{}\n",
        "not json\n",
        group("unjudged", doc("a", 1), doc("b", None)),
        good("g2"),
    ]
    store = source("".join(lines)).open()
    assert ids_of(store) == ["g1", "g2"]
    file = tmp_path / "g.jsonl"
    found = {line: (record_id, reason, detail) for line, record_id, reason, detail in aside(store)}
    assert found == {
        2: ("no+", Reason.NO_POSITIVE, "no document that can be used is labelled above 0"),
        3: ("no-", Reason.NO_NEGATIVE, "no document that can be used is labelled 0"),
        4: ("void", Reason.EMPTY_QUERY, "the query is empty or white space"),
        5: ("g1", Reason.DUPLICATE_ID, f"the id stands in line 1 of {file} already; that one is kept"),
        6: ("none", Reason.NO_POSITIVE, "no document that can be used is labelled above 0"),
        7: (None, Reason.MALFORMED, "query_id is missing, and a string or a whole number is wanted"),
        8: (None, Reason.MALFORMED, "not JSON: Expecting value at column 1"),
        9: ("unjudged", Reason.NO_NEGATIVE, "no document that can be used is labelled 0"),
    }
    assert {row.source for row in store.rejected()} == {str(file)}
    assert store.rejected_counts() == {
        "no_positive": 2,
        "no_negative": 2,
        "empty_query": 1,
        "duplicate_id": 1,
        "malformed": 2,
    }


def test_of_groups_with_one_id_the_first_is_kept_whole_and_those_after_it_stay_right(source: Source) -> None:
    # The documents of a duplicate are in the middle of all: were they left there, those after it would be shifted.
    twice = group("a", doc("x", 0, "other"), doc("y", 1, "other"), doc("z", 0, "other"), query="other")
    store = source(good("a") + twice + good("b")).open()
    assert ids_of(store) == ["a", "b"]
    assert store.queries([0]) == ["red a"]
    assert [texts_of(store, number) for number in (0, 1)] == [
        ["text of a+", "text of a-"],
        ["text of b+", "text of b-"],
    ]
    assert [store.documents(number).labels_D.tolist() for number in (0, 1)] == [[1, 0], [1, 0]]


def test_a_document_that_cannot_be_used_is_set_aside_alone(source: Source, corpus: CorpusSource) -> None:
    docs = [
        doc("p", 1),
        doc("void", 0, " "),
        doc("no", 0, None),
        doc("c3", 0, None),
        doc("c2", 0, None),
        doc("n", 0),
        doc("p", 0, "again"),
    ]
    store = source(group("q", *docs), corpus=corpus).open()
    assert texts_of(store, 0) == ["text of p", "a blue dog", "text of n"]
    assert sorted(aside(store), key=lambda row: row[3]) == [
        (1, "q", Reason.EMPTY_DOCUMENT, "document c3 has no text in the corpus"),
        (1, "q", Reason.UNKNOWN_DOCUMENT, "document no has no text, and the corpus lacks it"),
        (1, "q", Reason.DUPLICATE_ID, "document p stands twice in the group; the one labelled above 0 is kept"),
        (1, "q", Reason.EMPTY_DOCUMENT, "document void has no text"),
    ]


@pytest.mark.parametrize("use", ["train", "validate"])
def test_a_document_is_never_its_own_negative(source: Source, use: str) -> None:
    # A passage that is among the positives and among the mined negatives.
    store = source(group("q", doc("p", 1), doc("n", 0), doc("p", 0), doc("p", 1)), use).open()
    assert texts_of(store, 0) == ["text of p", "text of n"]
    assert store.documents(0).labels_D.tolist() == [1, 0]
    assert store.rejected_counts() == {"duplicate_id": 2}


def test_a_group_that_loses_its_positive_is_set_aside_with_both_reasons(source: Source) -> None:
    store = source(group("q", doc("p", 1, ""), doc("n", 0)).replace("text of p", " ") + good("g")).open()
    assert [(line, reason) for line, _, reason, _ in aside(store)] == [
        (1, Reason.EMPTY_DOCUMENT),
        (1, Reason.NO_POSITIVE),
    ]


def test_a_title_is_text_enough(source: Source) -> None:
    assert texts_of(source(group("q", doc("p", 1, " ", title="Cats"), doc("n", 0))).open(), 0)[0] == "Cats"


def test_where_a_teacher_is_read_every_document_needs_its_score(source: Source) -> None:
    def scored(query_id: str, *scores: float | None) -> str:
        return group(query_id, *(doc(f"d{n}", int(n == 0), teacher_score=score) for n, score in enumerate(scores)))

    lines = scored("all", 1.0, 0.0, -1.0) + scored("some", 1.0, None, -1.0) + scored("none", None, None)
    assert ids_of(source(lines).open()) == ["all", "some", "none"]
    store = source(lines, needs_teacher=True).open()
    assert ids_of(store) == ["all"]
    assert aside(store) == [
        (2, "some", Reason.NO_TEACHER_SCORE, "document d1 has no teacher_score"),
        (3, "none", Reason.NO_TEACHER_SCORE, "document d0 has no teacher_score"),
    ]


def test_a_document_that_is_not_trained_on_needs_no_teacher_score(source: Source) -> None:
    docs = [doc("p", 1, teacher_score=1), doc("n", 0, teacher_score=0), doc("x", 0, flags=["err"]), doc("u", None)]
    assert len(source(group("q", *docs), needs_teacher=True).open()) == 1


# what is refused


def test_where_nothing_can_be_used_the_counts_say_why(source: Source, tmp_path: Path) -> None:
    lines = group("a", doc("x", 0)) + group("b", doc("x", 1)) + group("c", doc("x", 1)) + "{}\n"
    with pytest.raises(InputError) as refused:
        source(lines).open()
    assert str(refused.value) == (
        f"{tmp_path / 'g.jsonl'} holds no group that can be used to train (1 malformed, 2 no_negative, 1 no_positive; "
        f"the first, {tmp_path / 'g.jsonl'} line 1 a: no document that can be used is labelled above 0); a group has a "
        f"document labelled above 0 and one labelled 0"
    )


@pytest.mark.parametrize(
    ("use", "needs_teacher", "told"),
    [
        ("train", True, "above 0 and one labelled 0, each with a teacher_score"),
        ("validate", False, "a group has a document labelled above 0"),
    ],
)
def test_what_a_group_has_to_have_depends_on_its_use(source: Source, use: str, needs_teacher: bool, told: str) -> None:
    with pytest.raises(InputError, match=rf"used to {use} \(1 no_positive; the first, .* line 1 .*\); .*{told}$"):
        source(group("q", doc("x", 0)), use, needs_teacher=needs_teacher).open()


def test_an_empty_file_is_called_empty(source: Source) -> None:
    with pytest.raises(InputError, match=r"used to train \(it is empty\); a group has"):
        source("\n").open()


def test_a_document_without_text_and_no_corpus_is_one_sentence(source: Source, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(InputError) as refused:
        source(good("g") + group("q", doc("p", 1), doc("d7", 0, None))).open()
    assert str(refused.value) == (
        f"{tmp_path / 'g.jsonl'} line 2 names document d7 without its text; give the --corpus that has it"
    )
    assert [path.name for path in (cache / "groups").iterdir() if path.is_dir()] == [], "and nothing is left behind"


def test_a_document_without_text_that_is_not_trained_on_needs_no_corpus(source: Source) -> None:
    docs = [doc("p", 1), doc("n", 0), doc("u", None, None), doc("f", 0, None, flags=["err"])]
    assert len(source(group("q", *docs)).open()) == 1


def test_a_file_that_changed_since_its_fingerprint_is_refused(source: Source, tmp_path: Path, cache: Path) -> None:
    given_ = source(good("a"))
    (tmp_path / "g.jsonl").write_text(good("b"))
    with pytest.raises(InputError, match=r"g\.jsonl changed while it was read; leave it unchanged and run the same"):
        given_.open()
    assert [path.name for path in (cache / "groups").iterdir() if path.is_dir()] == []


# converting


def test_groups_are_converted_once(source: Source, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given_ = source(good("a"))
    given_.open()
    (tmp_path / "g.jsonl").unlink()
    monkeypatch.setattr(groups_module, "read_group_files", lambda *_: pytest.fail("read again"))
    assert ids_of(given_.open()) == ["a"]


def test_every_other_way_to_take_them_is_another_store(source: Source, corpus: CorpusSource) -> None:
    ways: list[dict[str, Any]] = [
        {},
        {"use": "validate"},
        {"corpus": corpus},
        {"needs_teacher": True},
        {"low": 0.1},
        {"high": 0.1},
        {"limit": 3},
    ]
    keys = [source(good("a"), **way).key for way in ways]
    assert len(set(keys)) == len(ways)
    assert source(good("a")).key == keys[0]
    assert source(good("b")).key != keys[0], "another content"


def test_numbers_and_texts_stay_on_disk_until_they_are_read(source: Source) -> None:
    store = source(good("a")).open()
    assert isinstance(store.rows_N, np.memmap)
    kept = store.documents(0)
    assert not isinstance(kept.rows_D, np.memmap), "what is given out is a copy"


# held out


def in_parts(source: Source, lines: str, fraction: float, limit: int | None = None) -> tuple[GroupStore, GroupStore]:
    return (
        source(lines, low=fraction, limit=limit).open(),
        source(lines, "validate", high=fraction, limit=limit).open(),
    )


def test_held_out_groups_and_those_trained_on_are_all_and_none_is_both(source: Source) -> None:
    lines = "".join(good(f"q{number}") for number in range(2000))
    train, held_out = in_parts(source, lines, 0.1)
    assert sorted(ids_of(train) + ids_of(held_out)) == sorted(f"q{number}" for number in range(2000))
    # 200 of 2,000 are wanted, and 13.4 is one standard deviation (2,000 x 0.1 x 0.9, the root of it).
    assert abs(len(held_out) - 200) < 4 * 13.4


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=15)
@given(st.sets(st.text(min_size=1, max_size=5).filter(str.strip), min_size=20, max_size=40), st.floats(0.2, 0.8))
def test_whatever_the_ids_and_the_part_none_is_lost(source: Source, query_ids: set[str], fraction: float) -> None:
    train, held_out = in_parts(source, "".join(map(good, sorted(query_ids))), fraction)
    assert sorted(ids_of(train) + ids_of(held_out)) == sorted(query_ids)


def test_the_part_depends_on_the_query_and_not_on_the_place(source: Source) -> None:
    ids = [f"q{number}" for number in range(50)]
    _, held_out = in_parts(source, "".join(map(good, ids)), 0.3)
    _, backwards = in_parts(source, "".join(map(good, reversed(ids))), 0.3)
    assert set(ids_of(held_out)) == set(ids_of(backwards))
    # And a larger part has all that a smaller one has.
    assert set(ids_of(held_out)) < set(ids_of(in_parts(source, "".join(map(good, ids)), 0.6)[1]))


def test_the_query_with_the_highest_hash_is_in_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    # (2^64 - 1) / 2^64 is 1.0 in a float, and 1.0 is not below 1.0: such a group would be in neither part.
    monkeypatch.setattr(groups_module, "hash_id", lambda _: 2**64 - 1)
    assert GroupSource("u", "f", "train", low=0.02).takes("q")
    assert not GroupSource("u", "f", "validate", high=0.02).takes("q")


def test_a_limit_takes_the_first_groups_and_then_holds_out_of_those(source: Source) -> None:
    lines = "".join(good(f"q{number}") for number in range(100))
    train, held_out = in_parts(source, lines, 0.3, limit=40)
    assert sorted(ids_of(train) + ids_of(held_out)) == sorted(f"q{number}" for number in range(40))


def test_what_is_set_aside_is_told_by_one_part_alone(source: Source) -> None:
    lines = "".join(good(f"q{number}") for number in range(30))
    wrong = '{"query_id": "r1"}\n{"query_id": "r2"}\n{"query_id": "r3"}\n{"query_id": "r4"}\n{}\nnot json\n'
    train, held_out = in_parts(source, lines + wrong, 0.5)
    told = [line for store in (train, held_out) for line, *_ in aside(store)]
    assert sorted(line or 0 for line in told) == list(range(31, 37)), "each once"
    assert not aside(held_out), "what is no group is of no part"


def test_groups_of_one_query_are_in_one_part_whatever_their_ids(source: Source) -> None:
    # Or a model would be measured on questions that it was trained on.
    docs = (doc("p", 1), doc("n", 0))
    ways = ("Where is {}?", "  where IS\t{}? ", "Ｗhere is {}?")  # the last begins with a full-width letter
    lines = [
        group(f"{number}-{n}", *docs, query=way.format(number)) for number in range(30) for n, way in enumerate(ways)
    ]
    train, held_out = in_parts(source, "".join(lines), 0.5)
    parts = [{name.split("-")[0] for name in ids_of(store)} for store in (train, held_out)]
    assert parts[0]
    assert parts[1]
    assert not parts[0] & parts[1]


def test_groups_of_one_id_are_in_one_part(source: Source) -> None:
    lines = "".join(good(f"q{number}") for number in range(20))
    train, held_out = in_parts(source, lines + lines, 0.5)
    assert sorted(ids_of(train) + ids_of(held_out)) == sorted(f"q{number}" for number in range(20))
    assert train.rejected_counts()["duplicate_id"] + held_out.rejected_counts()["duplicate_id"] == 20


def test_a_part_that_gets_no_group_says_how_to_mend_it(source: Source, tmp_path: Path) -> None:
    # With few groups a small part is empty as likely as not; the file is not.
    lines = "".join(good(f"q{number}") for number in range(5))
    with pytest.raises(InputError) as refused:
        source(lines, "validate", high=0.0001).open()
    assert str(refused.value) == (
        f"--eval-fraction leaves none of the 5 groups of {tmp_path / 'g.jsonl'} for validation; raise it, or give "
        f"--eval-groups"
    )
    with pytest.raises(InputError, match=r"leaves none of the 5 groups of .* to train on; lower it$"):
        source(lines, low=0.9999).open()


def test_a_part_whose_groups_are_all_wrong_says_what_there_is_beside_them(source: Source) -> None:
    held_out = next(f"q{n}" for n in range(100) if GroupSource("u", "f", "validate", high=0.5).takes(f"red q{n}"))
    trained = [f"r{n}" for n in range(100) if GroupSource("u", "f", "train", low=0.5).takes(f"red r{n}")]
    lines = group(held_out, doc("x", 0), query=f"red {held_out}") + good(trained[0]) + good(trained[1])
    with pytest.raises(InputError, match=r"\(1 no_positive; .*, 2 on the other side of --eval-fraction\); a group has"):
        source(lines, "validate", high=0.5).open()


# a model of it


DOCS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sampled_from([1.0, 0.0, None]),
        st.sampled_from(["x", "X ", "y", "z", " "]),
        st.booleans(),
    ),
    max_size=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from(["q1", "q2", "q3"]), st.sampled_from(["red", "Red ", "cat"]), DOCS), max_size=5),
    st.sampled_from(["train", "validate"]),
)
def test_every_group_is_kept_or_set_aside(source: Source, drawn: list[tuple[str, str, list[Any]]], use: str) -> None:
    sure = ("sure", "sure", [("a", 1.0, "x", False), ("b", 0.0, "y", False)])
    lines = [
        group(
            query_id,
            *(doc(d, label, text, flags=["f"] if flagged else []) for d, label, text, flagged in docs),
            query=query,
        )
        for query_id, query, docs in [*drawn, sure]
    ]
    store = source("".join(lines), use).open()
    kept = ids_of(store)
    assert len(set(kept)) == len(kept)
    whole = [row for row in store.rejected() if not row.detail.startswith("document ")]
    assert len(kept) + len(whole) == len(lines)
    for number in range(len(store)):
        labels = store.documents(number).labels_D
        assert (labels > 0).any()
        if use == "train":
            assert (labels <= 0).any()
            assert not np.isnan(labels).any()
        assert all(texts_of(store, number))
    if use == "train":
        ways: dict[tuple[str, str], set[bool]] = {}
        for number in range(len(store)):
            [query] = store.queries([number])
            for text, label in zip(texts_of(store, number), store.documents(number).labels_D, strict=True):
                ways.setdefault((query.strip().lower(), text.strip().lower()), set()).add(bool(label > 0))
        assert all(len(found) == 1 for found in ways.values()), ways


def test_a_line_of_the_test_is_a_group_as_users_write_it() -> None:
    assert json.loads(good("q")) == {
        "query_id": "q",
        "query": "red q",
        "docs": [
            {"doc_id": "q+", "label": 1, "text": "text of q+"},
            {"doc_id": "q-", "label": 0, "text": "text of q-"},
        ],
    }
