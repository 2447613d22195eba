"""The report: counts that add up, and samples that are the same every time."""

from __future__ import annotations

import json
from pathlib import Path

from crossrank.filtering.report import as_json, write_report
from crossrank.filtering.tally import Tally, tally_of
from crossrank.records import Candidate, Group
from tests.unit.filtering.made import JUDGE, NEGATIVE, OTHER, POSITIVE, doc, group

ERR = ("Tigers hunt at night.", "err")
SEVEN = ("It has 7 cubs.", "새끼를 낳는다.")


def judged(*groups: Group) -> list[Group]:
    return [JUDGE.judged(each) for each in groups]


def test_groups_and_documents_add_up() -> None:
    mined = Candidate("m", text="바다", label=0.0)
    groups = judged(
        group(),  # clean
        group(doc(POSITIVE, 1.0), doc(ERR), doc(NEGATIVE), mined),  # usable
        group(doc(POSITIVE, 1.0), doc(ERR), doc(NEGATIVE, flags=("toxic",))),  # no negative is left
        group(query=("12 pandas", "판다")),  # nothing is left
        group(doc(POSITIVE, None), doc(ERR, None)),  # never was one to train on
        Group("q", "판다", (doc(ERR),)),  # was not translated
    )

    tally = tally_of(0, groups, JUDGE, 10, 0)

    assert tally.groups == {"clean": 1, "usable": 2, "unusable": 2, "no_origin": 1}
    assert tally.documents == {"clean": 6, "flagged": 5, "flagged_by_others": 1, "not_judged": 2}
    assert tally.reasons == {"backend_error": 3, "query_lost_number": 2}
    assert tally.reasons_together == {"backend_error": 3, "query_lost_number": 2}
    assert tally.queries == {"lost_number": 1}
    assert tally.groups.total() == len(groups)
    assert tally.documents.total() == sum(len(each.docs) for each in groups)
    assert tally.reasons_together.total() == tally.documents["flagged"]


def test_a_document_with_two_reasons_is_one_document() -> None:
    tally = tally_of(0, judged(group(doc(SEVEN, 1.0), query=("12 pandas", "판다"))), JUDGE, 10, 0)

    assert tally.reasons == {"lost_number": 1, "query_lost_number": 1}
    assert tally.reasons_together == {"lost_number+query_lost_number": 1}


def test_parts_add_up_to_the_same_whatever_their_order_and_size() -> None:
    groups = judged(*(group(doc(POSITIVE, 1.0), doc(ERR, doc_id=f"d{n}"), query_id=f"q{n}") for n in range(40)))
    whole = tally_of(0, groups, JUDGE, 3, 7)

    added = Tally()
    for start in (20, 0, 30, 10):
        part = tally_of(start, groups[start : start + 10], JUDGE, 3, 7)
        added.add(Tally.from_json(json.loads(json.dumps(part.to_json()))), 3)

    assert as_json(added, ("en", "ko"), {}) == as_json(whole, ("en", "ko"), {})
    [samples] = [found for reason, found in whole.samples.items() if reason == "backend_error"]
    assert len(samples) == 3
    assert [sample["query_id"] for _, sample in samples] == [f"q{sample['row']}" for _, sample in samples]


def test_another_seed_draws_others_and_the_draw_is_spread_over_the_input() -> None:
    groups = judged(*(group(doc(POSITIVE, 1.0), doc(ERR)) for _ in range(200)))

    drawn = {
        seed: [sample["row"] for _, sample in tally_of(0, groups, JUDGE, 10, seed).samples["backend_error"]]
        for seed in (0, 1)
    }

    assert drawn[0] != drawn[1]
    assert all(min(rows) < 100 <= max(rows) for rows in drawn.values()), "not the first ten, nor the last"


def test_a_sample_shows_the_origin_beside_the_translation_and_a_query_is_shown_once() -> None:
    groups = judged(group(doc(POSITIVE, 1.0), doc(SEVEN, 0.0), query=("12 pandas", "판다")))

    samples = as_json(tally_of(5, groups, JUDGE, 10, 0), ("en", "ko"), {})["samples"]

    assert samples["query_lost_number"] == [{"row": 5, "query_id": "q1", "origin": "12 pandas", "translation": "판다"}]
    assert samples["lost_number"] == [
        {
            "row": 5,
            "query_id": "q1",
            "doc_id": "d-It has 7",
            "label": 0.0,
            "query": "판다",
            "origin": SEVEN[0],
            "translation": SEVEN[1],
        }
    ]


def test_the_report_can_be_read_whatever_the_texts_hold(tmp_path: Path) -> None:
    nasty = ("Seven ``` fences | and\n# a heading with 7", "펜스 ```` | \u0007 \u202e 그리고\n# 제목")
    tally = tally_of(0, judged(group(doc(POSITIVE, 1.0), doc(nasty), doc(OTHER))), JUDGE, 10, 0)

    write_report(str(tmp_path), tally, ("en", "ko"), {"malformed": 2})

    text = (tmp_path / "report.md").read_text()
    assert "| malformed | 2 |" in text
    assert "| flagged | 1 |" in text
    assert "\n# 제목" not in text
    assert "\u202e" not in text
    assert json.loads((tmp_path / "report.json").read_text())["rejected"] == {"malformed": 2}
