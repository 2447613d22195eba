import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from crossrank.formats import trec
from crossrank.formats.trec import Qrel, RunRow
from crossrank.records import Candidate, Group, Reason, Rejected

WriteFile = Callable[[str, str | bytes], str]


def test_run_lines_are_read_in_order_with_any_white_space(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("bm25.trec", "q1 Q0 d1 1 12.50 bm25\r\n\nq1\tQ0\t 문서\u30002\t2  -1e-3\tbm25 \n")
    assert list(trec.read_run(uri, rejected.append)) == [
        RunRow("q1", "d1", 1, 12.5, "bm25", 1),
        RunRow("q1", "문서\u30002", 2, -0.001, "bm25", 3),
    ]
    assert rejected == []


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (
            "q1 Q0 d1 1 2.0",
            Reason.MALFORMED,
            "5 columns, and 6 are wanted (qid Q0 docid rank score tag)",
        ),
        ("q1 Q0 d1 1 2.0 a b", Reason.MALFORMED, "7 columns, and 6 are wanted (qid Q0 docid rank score tag)"),
        ("q1 Q0 d1 1.0 2.0 a", Reason.MALFORMED, "the rank '1.0' is not a whole number up to 2147483647"),
        ("q1 Q0 d1 3000000000 2.0 a", Reason.MALFORMED, "the rank '3000000000' is not a whole number up to 2147483647"),
        ("q1 Q0 d1 1 high a", Reason.MALFORMED, "the score 'high' is not a number"),
        ("q1 Q0 d1 1 1_0 a", Reason.MALFORMED, "the score '1_0' is not a number"),
        ("q1 Q0 d1 1 nan a", Reason.SCORE_NOT_FINITE, "the score is nan, which is not finite"),
        ("q1 Q0 d1 1 -inf a", Reason.SCORE_NOT_FINITE, "the score is -inf, which is not finite"),
    ],
)
def test_a_malformed_run_line_is_rejected_and_the_others_are_read(
    write: WriteFile, rejected: list[Rejected], line: str, reason: Reason, detail: str
) -> None:
    uri = write("bm25.trec", f"q1 Q0 d0 1 3 a\n{line}\nq1 Q0 d2 2 1 a\n")
    assert [row.doc_id for row in trec.read_run(uri, rejected.append)] == ["d0", "d2"]
    assert rejected == [Rejected(uri, 2, "q1", reason, detail)]


def test_judgements_may_be_negative_or_have_a_fraction(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("qrels.txt", "q1 0 d1 1\nq1 0 d2 -2\nq2 0 d1 0.5\nq2 0 d2\nq2 0 d2 one\n")
    assert list(trec.read_qrels(uri, rejected.append)) == [
        Qrel("q1", "d1", 1.0, "0", 1),
        Qrel("q1", "d2", -2.0, "0", 2),
        Qrel("q2", "d1", 0.5, "0", 3),
    ]
    assert [(row.line, row.detail) for row in rejected] == [
        (4, "3 columns, and 4 are wanted (qid iter docid rel)"),
        (5, "the relevance 'one' is not a number"),
    ]


def test_a_run_becomes_one_group_a_query_ordered_by_rank(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("bm25.trec", "q1 Q0 d2 2 1.5 a\nq1 Q0 d1 1 2.5 a\nq2 Q0 d9 1 7 b\nq2 Q0 d9 2 6 c\n")
    assert list(trec.read_run_groups(uri, rejected.append)) == [
        (
            1,
            Group(
                "q1",
                "",
                (Candidate("d1", rank=1, score=2.5), Candidate("d2", rank=2, score=1.5)),
                meta={"run_tag": "a"},
            ),
        ),
        (
            3,
            Group(
                "q2",
                "",
                (Candidate("d9", rank=1, score=7.0), Candidate("d9", rank=2, score=6.0, meta={"run_tag": "c"})),
                meta={"run_tag": "b"},
            ),
        ),
    ]


def test_a_query_that_comes_back_in_a_run_is_a_second_group(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("bm25.trec", "q1 Q0 a 1 2 t\nq2 Q0 a 1 2 t\nq1 Q0 b 2 1 t\n")
    found = trec.read_run_groups(uri, rejected.append)
    assert [(line, group.query_id, len(group.docs)) for line, group in found] == [
        (1, "q1", 1),
        (2, "q2", 1),
        (3, "q1", 1),
    ]


def test_groups_without_ranks_are_ranked_by_their_order(tmp_path: Path, rejected: list[Rejected]) -> None:
    docs = Candidate("b", "text", score=5.0, rank=9), Candidate("a", score=0.1 + 0.2)
    uri = tmp_path / "out.trec"
    assert trec.write_run(str(uri), [Group("q1", "x", docs)], rejected.append) == 1
    assert uri.read_text() == "q1 Q0 b 1 5.0 crossrank\nq1 Q0 a 2 0.30000000000000004 crossrank\n"


def test_groups_without_ranks_are_ranked_by_score_and_ties_by_a_hash_that_knows_no_label(
    tmp_path: Path, rejected: list[Rejected]
) -> None:
    uri = tmp_path / "out.trec"
    tied = [Candidate(f"d{n}", "x", label=float(n == 0), score=1.0) for n in range(8)]
    groups = [Group(f"q{n}", "x", (*tied, Candidate("best", "x", label=0.0, score=2.0))) for n in range(400)]
    assert trec.write_run(str(uri), groups, rejected.append) == 400
    lines = [line.split() for line in uri.read_text().splitlines()]
    assert [line[2:5] for line in lines[::9]] == [["best", "1", "2.0"]] * 400, "2.0 was put below 1.0 by its place"
    firsts = [line[2] for line in lines[1::9]]
    assert 400 / 8 - 30 < firsts.count("d0") < 400 / 8 + 30, "the positive, which is listed first"


def test_a_document_that_a_run_names_again_contradicts_nothing(
    write: WriteFile, rejected: list[Rejected], capsys: pytest.CaptureFixture[str]
) -> None:
    uri = write("in.trec", "q1 Q0 a 1 9 t\nq1 Q0 b 2 8 t\nq1 Q0 a 1 7 t\n")
    [(_, group)] = trec.read_run_groups(uri, rejected.append)
    assert [(doc.doc_id, doc.rank) for doc in group.docs] == [("a", 1), ("b", 2), ("a", 1)]
    assert "contradict" not in capsys.readouterr().err


def test_a_ranking_without_scores_falls_by_its_places(tmp_path: Path, rejected: list[Rejected]) -> None:
    docs = Candidate("b", rank=0), Candidate("a", rank=4), Candidate("c", rank=5, score=-7.5)
    uri = tmp_path / "out.trec"
    assert trec.write_run(str(uri), [Group("q1", "x", docs)], rejected.append) == 1
    assert uri.read_text() == "q1 Q0 b 0 -1.0 crossrank\nq1 Q0 a 4 -2.0 crossrank\nq1 Q0 c 5 -7.5 crossrank\n"


def test_training_data_with_its_positives_first_is_no_run(tmp_path: Path, rejected: list[Rejected]) -> None:
    docs = Candidate("positive", "x", label=1.0), Candidate("negative", "x", label=0.0)
    assert trec.write_run(str(tmp_path / "out.trec"), [Group("q1", "x", docs)], rejected.append) == 0
    assert "has neither a score nor a rank among others" in rejected[0].detail


def test_a_run_is_ordered_by_score_and_ranks_that_contradict_it_are_counted_anew_and_told(
    write: WriteFile, rejected: list[Rejected], capsys: pytest.CaptureFixture[str]
) -> None:
    uri = write("bm25.trec", "q1 Q0 a 1 0.5 t\nq1 Q0 b 2 9 t\nq2 Q0 a 7 3 t\nq2 Q0 b 3 3 t\nq3 Q0 a 1 1 t\n")
    found = [group for _, group in trec.read_run_groups(uri, rejected.append)]
    assert [[(doc.doc_id, doc.rank) for doc in group.docs] for group in found] == [
        [("b", 1), ("a", 2)],
        [("b", 3), ("a", 7)],
        [("a", 1)],
    ]
    told = f"{uri}: in 1 of 3 queries the ranks contradict the scores; the scores decide, as in trec_eval"
    assert told in capsys.readouterr().err


def test_ranks_below_0_become_ranks_that_groups_have_and_contradict_nothing(
    write: WriteFile, rejected: list[Rejected], capsys: pytest.CaptureFixture[str]
) -> None:
    uri = write("bm25.trec", "q1 Q0 a -2 9 t\nq1 Q0 b -1 5 t\nq2 Q0 a 0 3 t\nq2 Q0 b 1 2 t\n")
    found = [[(doc.doc_id, doc.rank) for doc in group.docs] for _, group in trec.read_run_groups(uri, rejected.append)]
    assert found == [[("a", 1), ("b", 2)], [("a", 0), ("b", 1)]]
    assert "contradict" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        (Group("q", "x"), Reason.NO_CANDIDATES),
        (Group("q", "x", (Candidate("d"),)), Reason.MALFORMED),
        (Group("q", "x", (Candidate("d", score=math.inf),)), Reason.SCORE_NOT_FINITE),
        (Group("q", "x", (Candidate("d", score=1.0),), meta={"run_tag": 7}), Reason.MALFORMED),
    ],
)
def test_a_group_that_a_run_cannot_hold_is_rejected_with_none_of_its_lines_written(
    tmp_path: Path, rejected: list[Rejected], group: Group, reason: Reason
) -> None:
    uri = tmp_path / "out.trec"
    good = Group("ok", "x", (Candidate("d", score=1.0),))
    assert trec.write_run(str(uri), [group, good], rejected.append) == 1
    assert uri.read_text() == "ok Q0 d 1 1.0 crossrank\n"
    assert [(row.record_id, row.reason) for row in rejected] == [(group.query_id, reason)]


def test_judgements_keep_their_iteration_and_leave_unjudged_documents_out(
    tmp_path: Path, write: WriteFile, rejected: list[Rejected]
) -> None:
    content = "q1 0 d1 1\nq1 Q7 d2 0\nq2 0 d1 2.5\n"
    groups = [group for _, group in trec.read_qrels_groups(write("in.qrels", content), rejected.append)]
    assert groups[0].docs == (Candidate("d1", label=1.0), Candidate("d2", label=0.0, meta={"iter": "Q7"}))
    groups[1] = Group("q2", "", (*groups[1].docs, Candidate("unjudged")))
    uri = tmp_path / "out.qrels"
    assert trec.write_qrels(str(uri), [*groups, Group("q3", "", (Candidate("d"),))], rejected.append) == 2
    assert uri.read_text() == content
    assert [(row.record_id, row.reason) for row in rejected] == [("q3", Reason.NO_CANDIDATES)]


def test_twice_the_documents_of_a_group_take_twice_the_work_to_be_written(
    tmp_path: Path, rejected: list[Rejected]
) -> None:
    """Work is counted as calls of Python, which know no time: a look at the whole group for each document would be four
    times as many."""

    def calls_of(num_docs: int) -> int:
        group = Group("q", "x", tuple(Candidate(f"d{n}", "x", rank=n) for n in range(num_docs)))
        num_calls = 0

        def count(frame: FrameType, event: str, argument: object) -> None:
            nonlocal num_calls
            num_calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            assert trec.write_run(str(tmp_path / "out.trec"), [group], rejected.append) == 1
        finally:
            sys.setprofile(None)
        return num_calls

    calls_of(10)  # imports and caches
    assert calls_of(2000) / calls_of(1000) < 2.2
