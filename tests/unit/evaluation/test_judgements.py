"""Judgements as users have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossrank.errors import InputError
from crossrank.evaluation.judgements import file_of, read_judgements
from crossrank.records import Reason, Rejected


def refused(row: Rejected) -> None:
    raise AssertionError(row)


@pytest.mark.parametrize(
    "content", ["q1 0 a 1\nq1 0 b 0\nq2 0 c 2\n", "query-id\tcorpus-id\tscore\nq1\ta\t1\nq1\tb\t0\nq2\tc\t2\n"]
)
def test_trec_judgements_and_those_of_beir_are_told_apart(tmp_path: Path, content: str) -> None:
    file = tmp_path / "qrels.tsv"
    file.write_text(content)
    assert read_judgements(str(file), refused) == {"q1": {"a": 1, "b": 0}, "q2": {"c": 2}}


def test_a_beir_folder_has_them_in_its_one_split_or_in_test(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "dev.tsv").write_text("q\td\t1\n")
    assert file_of(str(tmp_path)).endswith("/qrels/dev.tsv")
    (tmp_path / "qrels" / "test.tsv").write_text("q\td\t1\n")
    assert file_of(str(tmp_path)).endswith("/qrels/test.tsv")
    (tmp_path / "qrels" / "test.tsv").rename(tmp_path / "qrels" / "train.tsv")
    with pytest.raises(
        InputError, match=r"has the judgements dev, train; name the file itself, such as .*/qrels/test\.tsv"
    ):
        file_of(str(tmp_path))


def test_a_folder_without_judgements_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no judgements; name the file itself"):
        file_of(str(tmp_path))


def test_one_document_judged_twice_is_refused_where_the_two_disagree(tmp_path: Path) -> None:
    file = tmp_path / "qrels.txt"
    file.write_text("q 0 a 1\nq 0 b 1\nq 0 a 1\n")
    assert read_judgements(str(file), refused) == {"q": {"a": 1, "b": 1}}
    file.write_text("q 0 a 1\nq 0 b 1\nq 0 a 0\n")
    with pytest.raises(InputError) as error:
        read_judgements(str(file), refused)
    assert (
        str(error.value) == f"{file} judges document a for query q as 1 in line 1 and as 0 in line 3; leave one of them"
    )


def test_judgements_without_a_relevant_document_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "qrels.txt"
    file.write_text("q 0 a 0\n")
    with pytest.raises(InputError, match="judges no document as relevant, so every measure would be 0; check the file"):
        read_judgements(str(file), refused)


def test_a_line_that_is_no_judgement_is_set_aside_with_its_number(tmp_path: Path) -> None:
    file = tmp_path / "qrels.txt"
    file.write_text("q 0 a 1\nq 0 b\nq 0 c many\n")
    aside: list[Rejected] = []
    assert read_judgements(str(file), aside.append) == {"q": {"a": 1}}
    assert [(row.line, row.reason) for row in aside] == [(2, Reason.MALFORMED), (3, Reason.MALFORMED)]


@pytest.mark.parametrize(
    "rows", ["query-id\tcorpus-id\tscore\nq1\td1\t1\n", "q1\td1\t1\n", "q1 0 d1 1\n", "q1\t0\td1\t1\n"]
)
def test_a_line_above_the_judgements_does_not_decide_which_form_they_have(tmp_path: Path, rows: str) -> None:
    (tmp_path / "q.tsv").write_text(f"# judged in May\n{rows}")
    rejected: list[Rejected] = []
    assert read_judgements(str(tmp_path / "q.tsv"), rejected.append) == {"q1": {"d1": 1.0}}
    assert [row.line for row in rejected] == [1]
