"""Mining on real Korean: the paragraph that answers is never a negative, whatever ids its copies have."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossrank.mining.job import mine
from crossrank.mining.near_duplicates import text_hash
from crossrank.mining.settings import MineSettings
from crossrank.records import document_text
from tests.unit.in_process import InProcess
from tests.unit.mining.in_process import (
    corpus_file,
    dropped,
    group,
    mined_groups,
    positive,
    write_lines,
)

KORQUAD = Path(__file__).parents[4] / "shared/data/korquad"
EVERY = 40
"""Of the questions; all of them are in benchmarks/mine.py."""

pytestmark = pytest.mark.skipif(not KORQUAD.is_dir(), reason="the KorQuAD data is not beside the repository")


def edited(text: str, rng: random.Random) -> str:
    """A text with one word in twelve written backwards."""
    return " ".join(word[::-1] if rng.random() * 12 < 1 else word for word in text.split())


def test_no_negative_is_the_paragraph_that_answers_under_another_id(
    tmp_path: Path, use_ray: Callable[[Any], Any]
) -> None:
    rows = [json.loads(line) for line in (KORQUAD / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = {row["_id"]: document_text(row["title"], row["text"]) for row in rows}
    rng = random.Random(5)
    copies = {f"{doc_id}-exact": text for doc_id, text in texts.items()}
    copies |= {f"{doc_id}-laid-out": text.upper().replace(" ", " \n") for doc_id, text in texts.items()}
    copies |= {f"{doc_id}-edited": edited(text, rng) for doc_id, text in texts.items()}
    right = dict(line.split("\t")[:2] for line in (KORQUAD / "qrels.tsv").read_text().splitlines()[1:])
    queries = [json.loads(line) for line in (KORQUAD / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    groups = [group(row["_id"], row["text"], positive(right[row["_id"]])) for row in queries[::EVERY]]
    use_ray(InProcess())
    settings = MineSettings(
        groups=write_lines(tmp_path / "groups.jsonl", groups),
        corpus=corpus_file(tmp_path / "corpus.jsonl", texts | copies),
        output=str(tmp_path / "out"),
    )
    manifest = mine(settings)

    all_texts = texts | copies
    num_negatives = 0
    for found in mined_groups(settings):
        answer = right[found.query_id]
        for doc in found.docs[1:]:
            num_negatives += 1
            assert doc.doc_id.partition("-")[0] != answer
            assert text_hash(all_texts[doc.doc_id]) != text_hash(texts[answer])
    assert num_negatives == 15 * len(groups)
    # The copies were found, high up, and dropped: nearly every question finds all three of its paragraph.
    reasons = dropped(settings)
    for kind, reason in (("exact", "exact_copy"), ("laid-out", "exact_copy"), ("edited", "near_duplicate")):
        times = sum(found.get(f"{right[query]}-{kind}") == reason for query, found in reasons.items())
        assert times > 0.95 * len(groups), kind
    assert manifest["chosen"]["language"].startswith("ko (auto")
