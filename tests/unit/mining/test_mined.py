"""What a mined group holds, by hand: who is found, who is dropped, and what is kept of each."""

from __future__ import annotations

import json
import math
import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossrank.corpus.source import CorpusSource
from crossrank.formats.document_order import by_rank
from crossrank.formats.group_files import fingerprint_of_groups, read_group_files
from crossrank.mining.job import mine
from crossrank.mining.settings import MineSettings
from crossrank.records import Candidate
from crossrank.training.groups import GroupSource
from tests.unit.in_process import InProcess
from tests.unit.mining.in_process import (
    WordSpec,
    corpus_file,
    dropped,
    group,
    mined_groups,
    negatives_of,
    positive,
    rejected,
    write_lines,
)
from tests.unit.stand_ins import OverlapSpec

TOWER = "The tower of London was begun by William the Conqueror and finished under his son, who kept prisoners there"
CORPUS = {
    "tower": TOWER,
    "bridge": "The bridge of London carries a road over the river",
    "paris": "A tower of iron was built in Paris for the fair",
    "castle": "A castle in Wales was begun by a king",
    "rain": "It rained for days",
    "river": "The river of London runs to the sea",
}


@pytest.fixture
def made(tmp_path: Path, use_ray: Callable[[Any], Any]) -> Callable[..., MineSettings]:
    """Mine in groups over texts, and return the settings that did it."""
    use_ray(InProcess())

    def made(
        groups: list[dict[str, Any]],
        texts: dict[str, str] = CORPUS,
        encoder: WordSpec | None = None,
        teacher: OverlapSpec | None = None,
        **more: Any,
    ) -> MineSettings:
        settings = MineSettings(
            **{
                "groups": write_lines(tmp_path / "groups.jsonl", groups),
                "corpus": corpus_file(tmp_path / "corpus.jsonl", texts),
                "output": str(tmp_path / "out"),
                "language": "en",
                "negatives": 2,
                **({"teacher": "stand-in"} if teacher else {}),
                **more,
            }
        )
        mine(settings, encoder, teacher)
        return settings

    return made


Made = Callable[..., MineSettings]
ASKED = group("q1", "tower of London", positive("tower"))


def test_negatives_come_best_first_behind_the_groups_own_documents_with_rank_score_and_source(made: Made) -> None:
    judged = {"doc_id": "rain", "label": 0.0, "rank": 4, "score": 2.5, "source": "hand", "meta": {"by": "me"}}
    settings = made([group("q1", "tower of London", positive("tower"), judged, meta={"batch": 7})])
    [found] = mined_groups(settings)
    also_own, own, *mined = found.docs  # by rank, as they were read: the one without a rank follows
    assert own == Candidate("tower", label=1.0)
    assert also_own == Candidate("rain", label=0.0, rank=4, score=2.5, source="hand", meta={"by": "me"})
    # "of" is a stop word: bridge and river share London, paris shares tower, and the shortest passage scores most.
    assert {doc.doc_id for doc in mined} < {"bridge", "river", "paris"}
    assert [doc.rank for doc in mined] == [2, 3]  # the positive is the first
    assert all(doc.label == 0.0 and doc.source == "bm25" and doc.text is None for doc in mined)
    scores = [doc.score or 0.0 for doc in mined]
    assert scores == sorted(scores, reverse=True)
    assert mined[0].meta["mined"] == {"bm25": {"rank": 2, "score": round(scores[0], 4)}}
    assert found.meta == {"batch": 7, "mined": {"language": "en"}}


def test_what_both_stages_find_comes_first_and_says_so(made: Made) -> None:
    settings = made([ASKED], encoder=WordSpec(), negatives=5)
    [found] = mined_groups(settings)
    by_id = {doc.doc_id: doc for doc in found.docs[1:]}
    assert by_id["bridge"].source == "bm25+dense"
    assert set(by_id["bridge"].meta["mined"]) == {"bm25", "dense"}
    assert by_id["castle"].source == "dense", "it shares no word that BM25 counts"
    ranks = by_id["bridge"].meta["mined"]
    expected = 1 / (60 + ranks["bm25"]["rank"]) + 1 / (60 + ranks["dense"]["rank"])
    assert by_id["bridge"].score == pytest.approx(expected, abs=1e-12)
    assert found.meta["mined"] == {"language": "en", "encoder": "", "encoder_revision": "words"}


@pytest.mark.parametrize("encoder", [None, WordSpec()])
def test_the_true_passage_under_another_id_is_never_a_negative(made: Made, encoder: WordSpec | None) -> None:
    copies = {
        "same": TOWER,
        "spaced": TOWER.replace(" ", "  \n"),
        "capitals": TOWER.upper(),
        "edited": TOWER.replace("kept prisoners", "held captives"),
        "longer": f"{TOWER}. Ravens live there today.",
    }
    settings = made([ASKED], CORPUS | copies, encoder, negatives=10)
    reasons = dropped(settings)["q1"]
    assert {name: reasons[name] for name in copies} == {
        "same": "exact_copy",
        "spaced": "exact_copy",
        "capitals": "exact_copy",
        "edited": "near_duplicate",
        "longer": "near_duplicate",
    }
    assert not set(copies) & set(negatives_of(settings)["q1"])


def test_a_positive_that_brings_its_text_is_known_under_whatever_id_the_corpus_has_it(made: Made) -> None:
    settings = made([group("q1", "tower of London", positive("my own id", TOWER))], negatives=5)
    assert dropped(settings)["q1"]["tower"] == "exact_copy"
    assert "tower" not in negatives_of(settings)["q1"]


def test_a_passage_that_holds_the_answer_is_dropped(made: Made) -> None:
    settings = made([group("q1", "tower of London", positive("tower"), meta={"answer": "PARIS"})], negatives=5)
    assert dropped(settings)["q1"] == {"tower": "in_group", "paris": "has_answer"}
    assert negatives_of(settings)["q1"] == ["bridge", "river"] or negatives_of(settings)["q1"] == ["river", "bridge"]


def test_what_another_group_with_the_same_query_has_as_a_positive_is_dropped(made: Made) -> None:
    groups = [
        ASKED,
        group("q2", "Tower of  LONDON?", positive("paris")),
        group("q3", "tower of London", positive("own", CORPUS["bridge"])),
        group("q4", "another tower", positive("rain")),
    ]
    settings = made(groups, negatives=5)
    reasons = dropped(settings)
    assert reasons["q1"] == {
        "tower": "in_group",
        "paris": "positive_of_same_query",
        "bridge": "positive_of_same_query",
    }
    assert reasons["q2"]["tower"] == "positive_of_same_query"
    assert "tower" in negatives_of(settings)["q4"], "of another query it may be a negative"


def test_a_negative_that_stands_in_the_corpus_twice_is_taken_once(made: Made) -> None:
    settings = made([ASKED], CORPUS | {"again": CORPUS["bridge"].upper()}, negatives=5)
    assert dropped(settings)["q1"]["again"] == "repeated"
    assert negatives_of(settings)["q1"].count("bridge") == 1


def test_an_unjudged_document_of_the_group_stays_unjudged_and_is_not_added_again(made: Made) -> None:
    settings = made([group("q1", "tower of London", positive("tower"), {"doc_id": "bridge"})], negatives=5)
    [found] = mined_groups(settings)
    assert [(doc.doc_id, doc.label) for doc in found.docs[:2]] == [("tower", 1.0), ("bridge", None)]
    assert dropped(settings)["q1"]["bridge"] == "in_group"


def test_the_window_leaves_out_the_top_ranks_and_ends_at_the_depth(made: Made, tmp_path: Path) -> None:
    everything = made([ASKED], negatives=5)
    by_rank = {doc.rank: doc.doc_id for doc in mined_groups(everything)[0].docs[1:]}
    assert sorted(rank or 0 for rank in by_rank) == [2, 3, 4]
    settings = made([ASKED], output=str(tmp_path / "window"), negatives=1, skip_top=2, depth=3)
    assert negatives_of(settings)["q1"] == [by_rank[3]]


def test_with_text_every_document_of_the_corpus_brings_its_text(made: Made) -> None:
    settings = made([ASKED], with_text=True)
    [found] = mined_groups(settings)
    assert [doc.text for doc in found.docs] == [CORPUS[doc.doc_id] for doc in found.docs]


def test_a_row_of_the_corpus_that_is_empty_or_repeats_an_id_is_never_a_negative(made: Made, tmp_path: Path) -> None:
    lines = [{"_id": identifier, "text": text} for identifier, text in CORPUS.items()]
    lines += [{"_id": "bridge", "text": "tower of London tower of London"}, {"_id": "void", "text": " "}]
    corpus = write_lines(tmp_path / "other.jsonl", lines)
    settings = made([ASKED], encoder=WordSpec(), corpus=corpus, negatives=10)
    [found] = mined_groups(settings)
    assert "void" not in {doc.doc_id for doc in found.docs}
    assert [doc.doc_id for doc in found.docs].count("bridge") == 1
    assert ("bridge", "duplicate_id") in rejected(settings)
    assert ("void", "empty_document") in rejected(settings)


# The stand-in teacher scores a pair by the number of words they share, as they are written.
TAUGHT = group("q1", "The tower of London", positive("tower"))
# tower: The tower of London = 4; bridge, river: The of London = 3; paris: tower of = 2; castle: 0.


def test_a_teacher_drops_what_it_scores_too_near_to_the_positive(made: Made) -> None:
    settings = made([TAUGHT], teacher=OverlapSpec(), absolute_margin=1.5, negatives=5)
    # Under 4 - 1.5 = 2.5.
    assert dropped(settings)["q1"] == {"tower": "in_group", "bridge": "over_margin", "river": "over_margin"}
    [found] = mined_groups(settings)
    assert [(doc.doc_id, doc.teacher_score) for doc in found.docs] == [("tower", 4.0), ("paris", 2.0)]
    assert found.meta["mined"]["teacher_revision"] == "overlap-512-None"


def test_the_lowest_of_several_positives_sets_the_margin(made: Made) -> None:
    two = group("q1", "The tower of London", positive("tower"), positive("river"))
    settings = made([two], teacher=OverlapSpec(), absolute_margin=0.5, negatives=5)
    # river scores 3, so negatives are under 2.5: bridge with 3 is not, though it is under tower's 4.
    assert dropped(settings)["q1"]["bridge"] == "over_margin"
    assert negatives_of(settings)["q1"] == ["paris"]


def test_a_relative_margin_is_the_default(made: Made) -> None:
    settings = made([TAUGHT], teacher=OverlapSpec(), negatives=5)
    # sigmoid(4) = 0.982, 95 % of it is 0.933, a logit of 2.63: 3 is over it, 2 is under.
    assert negatives_of(settings)["q1"] == ["paris"]
    assert "2.63" in json.dumps(json.loads((Path(settings.output) / "_report.json").read_text()))


def test_more_are_scored_until_there_are_enough(made: Made) -> None:
    # One is wanted: first bridge or river is scored and dropped, then the other, then paris is taken.
    settings = made([TAUGHT], teacher=OverlapSpec(), absolute_margin=1.5, negatives=1)
    assert negatives_of(settings)["q1"] == ["paris"]


def test_judged_documents_get_a_teacher_score_and_keep_the_one_they_bring(made: Made) -> None:
    judged = {"doc_id": "rain", "label": 0.0, "teacher_score": -7.0}
    unjudged = {"doc_id": "castle"}
    settings = made([group("q1", "The tower of London", positive("tower"), judged, unjudged)], teacher=OverlapSpec())
    [found] = mined_groups(settings)
    assert [doc.teacher_score for doc in found.docs[:3]] == [4.0, -7.0, None]


def test_a_positive_without_a_finite_score_gives_no_negatives_and_is_counted(made: Made) -> None:
    poisoned = OverlapSpec(poison=TOWER, poison_score=math.nan)
    settings = made([TAUGHT], teacher=poisoned, negatives=5)
    [found] = mined_groups(settings)
    assert [doc.doc_id for doc in found.docs] == ["tower"]
    manifest = json.loads((Path(settings.output) / "_manifest.json").read_text())
    assert manifest["rows"]["whose_positives_got_no_score"] == 1


def test_a_flagged_positive_sets_no_margin_and_its_copies_are_no_negatives(made: Made) -> None:
    flagged = positive("paris", flags=["untranslated"])
    texts = CORPUS | {"copy": CORPUS["paris"].upper()}
    two = group("q1", "The tower of London", positive("tower"), flagged)
    settings = made([two], texts, teacher=OverlapSpec(), absolute_margin=0.5, negatives=5)
    # paris would score 2 and leave nothing under it; tower's 4 lets bridge and river in.
    assert sorted(negatives_of(settings)["q1"]) == ["bridge", "river"]
    assert dropped(settings)["q1"]["copy"] == "exact_copy"
    [found] = mined_groups(settings)
    assert found.docs[1].flags == ("untranslated",)


def test_the_manifest_adds_up_and_the_report_shows_what_was_dropped(made: Made) -> None:
    groups = [ASKED, group("q2", "a castle in Wales", positive("castle")), group("q3", "no label", {"doc_id": "rain"})]
    settings = made(groups, CORPUS | {"copy": TOWER})
    manifest = json.loads((Path(settings.output) / "_manifest.json").read_text())
    rows = manifest["rows"]
    assert (rows["in"], rows["out"], rows["set_aside"]) == (3, 2, 1)
    assert manifest["mined"] == sum(map(len, negatives_of(settings).values()))
    assert manifest["positives"] == {"labelled": 2, "in_corpus": 2}
    assert manifest["recall_at_10"]["bm25"] == 1.0
    report = json.loads((Path(settings.output) / "_report.json").read_text())
    assert report["exact_copy"]["count"] == manifest["dropped"]["exact_copy"] == 1
    [sample] = report["exact_copy"]["samples"]
    assert (sample["query"], sample["doc_id"]) == ("tower of London", "copy")
    assert report["exact_copy"]["probably_answers"]
    assert not report["in_group"]["probably_answers"]


def test_training_reads_the_output_with_its_corpus_and_finds_every_negative(made: Made) -> None:
    settings = made([ASKED], encoder=WordSpec(), negatives=3)
    corpus = CorpusSource(settings.corpus, CorpusSource.fingerprint_of(settings.corpus))
    source = GroupSource(settings.output, fingerprint_of_groups(settings.output), "train", corpus)
    store = source.open()
    assert (len(store), store.num_documents) == (1, 4)
    assert store.rejected_counts() == {}


def test_on_a_cluster_the_vectors_lie_where_every_node_finds_them_and_readers_do_not(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "somewhere:6379")
    settings = made([ASKED], encoder=WordSpec())
    assert list(Path(settings.output).glob("_embeddings/*/vectors-000000.npy"))
    assert len(mined_groups(settings)) == 1


def test_a_report_shows_the_beginning_of_what_was_dropped(made: Made) -> None:
    long_copy = f"{TOWER} {'and ' * 200}"
    settings = made([group("q1", "tower of London", positive("tower", long_copy))], CORPUS | {"copy": long_copy})
    [sample] = json.loads((Path(settings.output) / "_report.json").read_text())["exact_copy"]["samples"]
    assert sample["text"].startswith(TOWER)
    assert sample["text"].endswith("and and ...")
    assert len(sample["text"]) <= 300 + len(" ...")


def test_the_recipe_in_jobs_does_what_the_command_does(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = made([ASKED])
    flags = {"groups": settings.groups, "corpus": settings.corpus, "language": "en", "negatives": "2"}
    flags["output"] = str(tmp_path / "by the recipe")
    recipe = Path(__file__).parents[3] / "jobs" / "mine_negatives.py"
    monkeypatch.setattr(sys, "argv", [str(recipe), *(part for name in flags for part in (f"--{name}", flags[name]))])
    runpy.run_path(str(recipe), run_name="__main__")
    [found] = read_group_files(flags["output"], lambda row: None)
    [expected] = mined_groups(settings)
    assert found[2] == replace(expected, docs=by_rank(expected.docs))


def test_the_query_itself_is_no_negative_by_its_id_or_its_text(made: Made) -> None:
    texts = CORPUS | {"q1": "Who kept prisoners in the tower of London", "copy": "TOWER of  London"}
    settings = made([group("q1", "tower of London", positive("tower"))], texts)
    assert not {"q1", "copy"} & set(negatives_of(settings)["q1"])
    reasons = dropped(settings)["q1"]
    assert (reasons["q1"], reasons["copy"]) == ("query_itself", "query_itself")
    manifest = json.loads((Path(settings.output) / "_manifest.json").read_text())
    assert manifest["dropped"]["query_itself"] == 2
    report = json.loads((Path(settings.output) / "_report.json").read_text())
    assert report["query_itself"]["probably_answers"] is False
    details = {each["doc_id"]: each["detail"] for each in report["query_itself"]["samples"]}
    assert details == {"q1": "the query itself, by its id", "copy": "the query itself, by its text"}


def test_the_query_itself_under_a_title_is_no_negative_either(made: Made, tmp_path: Path) -> None:
    settings = made([ASKED])
    titled = [{"_id": doc_id, "text": text} for doc_id, text in CORPUS.items()]
    titled += [{"_id": "copy", "title": "Sights", "text": "tower of London"}]
    titled += [{"_id": "answer", "title": "tower of", "text": "London has many, and this is the oldest"}]
    corpus = write_lines(tmp_path / "titled.jsonl", titled)
    settings = replace(settings, corpus=corpus, output=str(tmp_path / "of titled"))
    mine(settings)
    assert dropped(settings)["q1"]["copy"] == "query_itself"
    assert negatives_of(settings)["q1"][0] == "answer", "the title and the beginning of the text are not the query"


def test_a_switch_lets_the_query_itself_be_a_negative(made: Made) -> None:
    texts = CORPUS | {"copy": "TOWER of  London"}
    settings = made([ASKED], texts, keep_query_document=True)
    assert "copy" in negatives_of(settings)["q1"]
