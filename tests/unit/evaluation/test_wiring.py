"""Every measure from scores to figures, against formulas written by hand: ids, order, ties, missing queries."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrank.evaluation.candidates import WrittenCandidates, write_candidates
from crossrank.evaluation.facts import INJECTED, Facts
from crossrank.evaluation.lists import Lists
from crossrank.evaluation.rows import Row, first_stage_row, folder_of, model_row
from crossrank.evaluation.server_system import PlainTextEncoder
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.formats import groups_parquet
from crossrank.records import Group, Rejected
from crossrank.reranking.block import Keep, rerank_block
from crossrank.reranking.prepare import GroupWork, blocks
from crossrank.resumable.layout import Layout, write_table
from crossrank.scoring.interfaces import EncodedText, PlainText, Scored, Scorer
from tests.unit.evaluation.test_measures import NAMES, by_hand
from tests.unit.stand_ins import OverlapSpec

NUM_QUERIES = 200
RETRIEVED = 12


class Says(Scorer):
    """A document says its score. A query that is called mute gets none."""

    def __init__(self) -> None:
        self._encoder = PlainTextEncoder()

    @property
    def encoder(self) -> PlainTextEncoder:
        return self._encoder

    def describe(self) -> dict[str, Any]:
        return {}

    def score_encoded(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> Scored:
        texts = [document.text for document in documents if isinstance(document, PlainText)]
        is_mute = ["mute" in query.text for query in queries if isinstance(query, PlainText)]
        scores = [
            np.nan if is_mute[q] else float(texts[d])
            for q, d in zip(query_P.tolist(), document_P.tolist(), strict=True)
        ]
        nothing_P = np.zeros(len(scores), dtype=np.int32)
        return Scored(np.array(scores, dtype=np.float32), nothing_P, nothing_P, nothing_P)


class Drawn:
    """Groups of up to 20 documents in the order of a first stage, some judged; and what each row is worth by hand."""

    def __init__(self, folder: Path, tied: bool) -> None:
        draw = random.Random(7)
        self.docs: dict[str, list[dict[str, Any]]] = {}
        lines = []
        for number in range(NUM_QUERIES):
            names = draw.sample([f"d{n}" for n in range(100)], draw.randint(2, 20))
            scores = [draw.choice([-1, 0, 2]) if tied else score for score in draw.sample(range(-500, 500), len(names))]
            labels = [draw.choice([None, None, 0, 1, 2, 3]) for _ in names]
            labels[draw.randrange(len(names))] = 1
            self.docs[f"q{number}"] = [
                {"doc_id": name, "text": f"{score}", "label": label, "rank": rank}
                for rank, (name, score, label) in enumerate(zip(names, scores, labels, strict=True), start=1)
            ]
            query = "mute" if number % 50 == 49 else f"question {number}"
            lines.append({"query_id": f"q{number}", "query": query, "docs": self.docs[f"q{number}"]})
        (folder / "g.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        settings = EvaluateSettings(
            models=("m=model",), groups=str(folder / "g.jsonl"), output=str(folder / "out"), depth=RETRIEVED
        )
        self.written = write_candidates(settings, str(folder / "groups.parquet"), refuse)
        self.output = str(folder)
        self._score(self.written)

    def _score(self, written: WrittenCandidates) -> None:
        """As a rerank job does, without its workers."""
        layout = Layout(folder_of(self.output, "m"))
        work = GroupWork(written.groups, None, 1000, None)
        for number, block in enumerate(blocks(work.rows(refuse), 37)):
            write_table(layout.part(number), rerank_block(block, Says(), None, Keep(0, "none", with_text=False)))

    def by_hand(self, name: str, table: str, reranked: bool) -> list[float]:
        found = []
        for query_id, docs in self.docs.items():
            kept = [
                doc for doc in docs if doc["rank"] <= RETRIEVED or (table == "injected" and doc["label"] is not None)
            ]
            if reranked:
                kept.sort(key=lambda doc: (-float(doc["text"]), doc["rank"]))
                kept = [] if int(query_id[1:]) % 50 == 49 else kept
            labels = {doc["doc_id"]: doc["label"] for doc in docs if doc["label"] is not None}
            found.append(by_hand(name, [doc["doc_id"] for doc in kept], labels))
        return found

    def tie_rate(self) -> float:
        """Documents with a twin, of all that have a score."""
        twins = total = 0
        for group, _ in read_candidates(self.written):
            scores = [] if group.query == "mute" else [doc.text for doc in group.docs]
            twins += sum(scores.count(score) > 1 for score in scores)
            total += len(scores)
        return twins / total

    def row(self, reranked: bool) -> Row:
        lists = Lists.read(self.written)
        if not reranked:
            return first_stage_row("none", lists, NAMES)
        return model_row("m", "model", OverlapSpec(), lists, self.output, {}, NAMES)


def refuse(row: Rejected) -> None:
    raise AssertionError(row)


def read_candidates(written: WrittenCandidates) -> Iterator[tuple[Group, Facts]]:
    """The groups that were written, with their facts."""
    for _, group in groups_parquet.read_groups(written.groups, refuse):
        yield group, Facts.of(group)


@pytest.fixture(scope="module", params=[False, True], ids=["tie-free", "tied"])
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return Drawn(tmp_path_factory.mktemp("drawn"), request.param)


@pytest.mark.parametrize("reranked", [False, True], ids=["first stage", "model"])
@pytest.mark.parametrize("table", ["retrieved", "injected"])
def test_a_row_is_its_formula_over_two_hundred_queries_and_ties_keep_the_order_of_the_first_stage(
    drawn: Drawn, table: str, reranked: bool
) -> None:
    row = drawn.row(reranked)
    for name in NAMES:
        assert row.values[table][name] == pytest.approx(drawn.by_hand(name, table, reranked), abs=1e-9), name
    assert row.incomplete == (NUM_QUERIES // 50 if reranked else 0)
    assert row.tie_rate == pytest.approx(drawn.tie_rate() if reranked else 0)


def test_what_stands_behind_the_depth_was_injected(drawn: Drawn) -> None:
    for group, facts in read_candidates(drawn.written):
        assert [doc.source == INJECTED for doc in group.docs[facts.retrieved :]] == [True] * (
            len(group.docs) - facts.retrieved
        )
    assert sum(len(group.docs) - facts.retrieved for group, facts in read_candidates(drawn.written)) > 100
