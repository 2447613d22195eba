"""One document that stands in a group more than once: what counts of it, and that files name it once.

How it could fail users: a positive that stands behind a 0 of the same document is lost in one verb and counts in
another; a run names one document twice, which trec_eval refuses.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from crossrank.formats import beir, trec
from crossrank.formats.conversion import convert
from crossrank.formats.groups_jsonl import write_groups
from crossrank.formats.repeated import each_once, highest_labels
from crossrank.records import Candidate, Group, Rejected

NO = Candidate("d", "no", label=0.0, rank=4, score=0.4)
YES = Candidate("d", "yes", label=2.0, rank=7, score=0.7)
ONE = Candidate("d", "one", label=1.0, rank=9)
UNJUDGED = Candidate("d", "unjudged", rank=1, score=0.1)
OTHER = Candidate("other", "other", label=0.0, rank=5)


@pytest.mark.parametrize("docs", list(itertools.permutations([NO, YES, ONE, UNJUDGED, OTHER])))
def test_the_highest_label_with_its_text_and_the_best_rank_with_its_score_count_in_any_order(
    docs: tuple[Candidate, ...],
) -> None:
    once = each_once(docs)
    found = {each.doc.doc_id: each for each in once.kept}
    assert found["d"].doc == Candidate("d", "yes", label=2.0, rank=1, score=0.1)
    assert found["other"].doc == OTHER
    assert (docs[found["d"].content], docs[found["d"].place]) == (YES, UNJUDGED)
    assert [each.place for each in once.kept] == sorted(each.place for each in once.kept)
    assert len(once.repeated) == 3


def test_what_is_left_out_is_told_with_what_is_kept() -> None:
    for docs, which in (
        ([NO, NO], "the first"),
        ([UNJUDGED, UNJUDGED], "the first"),
        ([NO, YES], "the one labelled above 0"),
        ([YES, UNJUDGED], "the one labelled above 0"),
        ([ONE, YES], "the one labelled 2"),
        ([UNJUDGED, NO], "the one labelled 0"),
    ):
        assert each_once(docs).repeated == [f"document d stands twice in the group; {which} is kept"]


def test_of_a_copy_that_cannot_be_used_the_label_counts_where_another_can() -> None:
    docs = [Candidate("d", "", label=1.0), Candidate("d", "text", label=0.0), Candidate("gone", "", label=1.0)]
    once = each_once(docs, usable=[1])
    assert [each.doc for each in once.kept] == [Candidate("d", "text", label=1.0)]
    assert once.repeated == [], "what cannot be used is set aside for its own reason"
    assert highest_labels(docs) == {"d": 1.0, "gone": 1.0}


def test_without_repeats_all_stands_as_it_is() -> None:
    docs = [NO, OTHER, Candidate("third")]
    assert [each.doc for each in each_once(docs).kept] == docs
    assert each_once([]) == ([], [])


def test_a_run_names_a_document_once_with_its_best_rank_and_says_how_many_were_left_out(
    tmp_path: Path, rejected: list[Rejected], capsys: pytest.CaptureFixture[str]
) -> None:
    docs = Candidate("a", "x", rank=3, score=1.0), Candidate("b", "x", rank=2, score=5.0), Candidate("a", "x", rank=1)
    source, target = str(tmp_path / "in.jsonl"), str(tmp_path / "out.trec")
    write_groups(source, [Group("q", "x", docs), Group("p", "x", docs[1:])], rejected.append)
    counts = convert("groups-jsonl", "trec-run", source, target, rejected.append)
    lines = [line.split()[:4] for line in Path(target).read_text().splitlines()]
    assert lines == [[query, "Q0", doc, rank] for query in ("q", "p") for doc, rank in (("a", "1"), ("b", "2"))]
    assert (counts, rejected) == ((2, 2, 0), [])
    assert f"{target}: documents that stood in their group again: 1; each is written once" in capsys.readouterr().err


@pytest.mark.parametrize("is_first", [True, False])
def test_judgements_name_a_document_once_with_its_highest_label(
    tmp_path: Path, rejected: list[Rejected], capsys: pytest.CaptureFixture[str], is_first: bool
) -> None:
    docs = Candidate("a", "x", label=0.0), Candidate("a", "x", label=1.0)
    groups = [Group("q", "question", docs[::-1] if is_first else docs)]
    assert trec.write_qrels(str(tmp_path / "out.qrels"), groups, rejected.append) == 1
    assert (tmp_path / "out.qrels").read_text() == "q 0 a 1\n"
    assert beir.write_groups(str(tmp_path / "beir"), groups, rejected.append) == 1
    assert (tmp_path / "beir" / "qrels.tsv").read_text() == "query-id\tcorpus-id\tscore\nq\ta\t1\n"
    assert capsys.readouterr().err.count("documents that stood in their group again: 1;") == 2
    assert rejected == []
