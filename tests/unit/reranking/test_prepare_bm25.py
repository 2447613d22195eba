"""Queries over a corpus with BM25 as first stage."""

import pytest

from crossrank.errors import SettingsError
from crossrank.records import Reason
from tests.unit.reranking.conftest import CORPUS, Prepare


def test_a_query_gets_the_documents_that_share_its_words_best_first(prepare: Prepare) -> None:
    prepared = prepare(language="en")
    # "cat" weighs more in "one cat" than in "a red cat", but the latter has "red" as well; so has d2.
    assert prepared.docs == {"q1": ["d1", "d3", "d2"], "q2": ["d2"], "q3": ["d4"]}
    [q1, _, _] = prepared.rows
    assert list(q1["initial_ranks"]) == [1, 2, 3]
    assert sorted(q1["initial_scores"], reverse=True) == list(q1["initial_scores"])
    assert prepared.rejected == []


def test_a_second_row_of_an_id_is_never_found_and_takes_no_place(prepare: Prepare) -> None:
    # The duplicate of d4 would be the best passage for q1 by far.
    twice = CORPUS + '{"_id": "d4", "text": "red cat red cat"}\n'
    prepared = prepare(corpus=twice, language="en", depth=2)
    assert prepared.docs["q1"] == ["d1", "d3"]
    assert [(row.line, row.reason) for row in prepared.rejected] == [(5, Reason.DUPLICATE_ID)]
    assert prepared.work.num_pairs == 3 * 2, "an upper bound"


def test_words_of_a_duplicate_do_not_count(prepare: Prepare) -> None:
    # "bird" is in no usable passage: a query of it alone has no candidates.
    prepared = prepare(corpus=CORPUS + '{"_id": "d1", "text": "bird"}\n', queries='{"_id": "q1", "text": "bird"}\n')
    assert prepared.reasons == {"q1": Reason.NO_CANDIDATES}


def test_an_empty_query_and_one_without_a_word_of_the_corpus(prepare: Prepare) -> None:
    prepared = prepare(
        queries='{"_id": "q1", "text": "zebra"}\n{"_id": "q2", "text": "  "}\n{"_id": "q3", "text": "cat"}\n'
    )
    assert prepared.reasons == {"q1": Reason.NO_CANDIDATES, "q2": Reason.EMPTY_QUERY, "q3": None}


def test_a_language_that_there_is_not_is_named(prepare: Prepare) -> None:
    with pytest.raises(SettingsError, match="the language is 'klingon'"):
        prepare(language="klingon")
