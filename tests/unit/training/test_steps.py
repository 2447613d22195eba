"""From a step's groups to micro-batches, with a stand-in that takes words for tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrank.corpus.source import CorpusSource
from crossrank.errors import UnitOverBudget
from crossrank.scoring.encoding import EncodedPairs
from crossrank.scoring.interfaces import EncodedText, PlainText, Tokens
from crossrank.training.groups import GroupStore
from crossrank.training.sampler import Sampler
from crossrank.training.steps import Batcher, MicroBatch
from tests.unit.stand_ins import OverlapEncoder, words_of
from tests.unit.training.conftest import Source, doc, group

SEED = 42


class PairEncoder(OverlapEncoder):
    """A pair is the words of its query and then those of its document, up to the window."""

    def pairs(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> EncodedPairs:
        ids_P, first, truncated = [], [], []
        for q, d in zip(query_P.tolist(), document_P.tolist(), strict=True):
            query, document = cast(Tokens, queries[q]), documents[d]
            if isinstance(document, PlainText):
                document = words_of(document.text, self.max_length)
            kept = document.ids[: self.max_length - len(query.ids)]
            ids_P.append(np.concatenate([query.ids, kept]))
            first.append(len(query.ids))
            truncated.append(document.total - len(kept))
        return EncodedPairs(ids_P, np.array(first, dtype=np.int32), np.array(truncated, dtype=np.int32))


def batcher(store: GroupStore, **more: Any) -> Batcher:
    """Of steps of 100 groups, unless told otherwise."""
    given = {"groups_per_step": 100, "size": 0, "budget": 1000, "cost": "padded", "encoder": PairEncoder(), **more}
    sampler = Sampler(len(store), given.pop("groups_per_step"), SEED)
    return Batcher(
        store, given.pop("encoder"), sampler, given.pop("size"), given.pop("budget"), given.pop("cost"), **given
    )


def words(*counts: int) -> list[str]:
    """Texts of so many words each, all different."""
    return [" ".join(f"w{place}x{number}" for number in range(count)) for place, count in enumerate(counts)]


def ragged(query_id: str, *counts: int, query: str = "one two") -> str:
    """A group whose documents have so many words; the first is the positive."""
    return group(query_id, *(doc(f"d{n}", int(n == 0), text) for n, text in enumerate(words(*counts))), query=query)


def pair(query: str, text: str) -> list[int]:
    return [*words_of(query, 512).ids.tolist(), *words_of(text, 512).ids.tolist()]


def pairs_in(batches: list[MicroBatch]) -> list[tuple[int, ...]]:
    return sorted(tuple(ids.tolist()) for batch in batches for ids in batch.ids_P)


# what is in them


def test_a_pair_is_the_query_and_one_document_and_the_positive_is_first(source: Source) -> None:
    docs = [doc("a", 0, "red"), doc("b", 1, "big cat", teacher_score=3.0), doc("c", 0.0, "dog dog dog")]
    [batch] = batcher(source(group("q", *docs, query="which cat")).open()).micro_batches(0)
    assert (batch.number, batch.sizes_S) == (0, [3])
    assert batch.ids_P[0].tolist() == pair("which cat", "big cat")
    assert pairs_in([batch]) == sorted(tuple(pair("which cat", text)) for text in ("red", "big cat", "dog dog dog"))
    assert batch.first_P.tolist() == [2, 2, 2]
    assert batch.labels_P.tolist() == [1, 0, 0]
    assert batch.teachers_P[0] == 3.0
    assert np.isnan(batch.teachers_P[1:]).all()
    assert batch.tokens == 3 * 2 + 1 + 2 + 3
    assert batch.truncated == 0


def test_every_group_of_a_step_is_in_one_micro_batch_with_its_own_documents(source: Source) -> None:
    lines = [ragged(f"q{number}", *range(1, 3 + number % 5), query=f"query {number}") for number in range(30)]
    store = source("".join(lines)).open()
    made = batcher(store, groups_per_step=12, budget=60)
    assert made.sampler.steps_per_epoch == 3
    together: list[tuple[int, ...]] = []
    for step in range(3):
        batches = made.micro_batches(step)
        assert [batch.number for batch in batches] == list(range(len(batches)))
        assert len(batches) > 1
        assert sum(len(batch.sizes_S) for batch in batches) == (12 if step < 2 else 6)
        for batch in batches:
            assert sum(batch.sizes_S) == len(batch.ids_P) == len(batch.first_P) == len(batch.labels_P)
            ends = np.cumsum(batch.sizes_S)
            for start, end in zip(ends - batch.sizes_S, ends, strict=True):
                assert batch.labels_P[start:end].tolist() == [1, *[0] * (end - start - 1)]
                queries = {tuple(batch.ids_P[p][:2].tolist()) for p in range(start, end)}
                assert len(queries) == 1, "a group has one query"
        together += pairs_in(batches)
    expected = [
        tuple(pair(f"query {number}", text)) for number in range(30) for text in words(*range(1, 3 + number % 5))
    ]
    assert sorted(together) == sorted(expected)


def test_micro_batches_by_hand(source: Source) -> None:
    # With two words of the query, the groups are 3 x 10, 2 x 8 and 2 x 4 slots. Budget 40: the first alone (with the
    # second (3 + 2) x 10 = 50); then the second with the third, (2 + 2) x 8 = 32.
    store = source(ragged("a", 2, 1) + ragged("b", 8, 3, 3) + ragged("c", 6, 5)).open()
    batches = batcher(store, budget=40).micro_batches(0)
    assert [batch.sizes_S for batch in batches] == [[3], [2, 2]]
    assert [sorted(map(len, batch.ids_P)) for batch in batches] == [[5, 5, 10], [3, 4, 7, 8]]
    # Packed they cost their tokens: 10 + 5 + 5 = 20, 8 + 7 = 15 and 4 + 3 = 7.
    packed = batcher(store, budget=40, cost="packed").micro_batches(0)
    assert [batch.tokens for batch in packed] == [35, 7]


def test_a_smaller_group_size_draws_other_negatives_in_another_epoch(source: Source) -> None:
    store = source(ragged("q", *range(1, 12))).open()
    made = batcher(store, size=4)
    epochs = [pairs_in(made.micro_batches(epoch)) for epoch in range(10)]
    assert {len(pairs) for pairs in epochs} == {4}
    assert len({tuple(pairs) for pairs in epochs}) > 5
    positive = tuple(pair("one two", words(1)[0]))
    assert all(positive in pairs for pairs in epochs)


def test_what_a_group_draws_does_not_depend_on_its_place_in_the_data(source: Source) -> None:
    alone = pairs_in(batcher(source(ragged("q", *range(1, 12))).open(), size=4).micro_batches(0))
    among = source(ragged("a", 1, 1) + ragged("b", 1, 1) + ragged("q", *range(1, 12))).open()
    assert set(alone) <= set(pairs_in(batcher(among, size=4).micro_batches(0)))


def test_a_step_is_the_same_for_every_rank_and_after_a_kill(source: Source) -> None:
    store = source("".join(ragged(f"q{number}", *range(1, 9)) for number in range(20))).open()
    first, second = (batcher(store, groups_per_step=6, size=3, budget=80) for _ in range(2))
    first.micro_batches(2)
    for left, right in zip(first.micro_batches(5), second.micro_batches(5), strict=True):
        assert left.number == right.number
        assert [ids.tolist() for ids in left.ids_P] == [ids.tolist() for ids in right.ids_P]


# documents


def test_documents_come_from_the_groups_and_from_the_corpus(source: Source, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"_id": "c1", "text": "blue dog"}\n{"_id": "c2", "title": "A", "text": "B"}\n')
    corpus = CorpusSource(str(tmp_path / "c.jsonl"), CorpusSource.fingerprint_of(str(tmp_path / "c.jsonl")))
    docs = [doc("c2", 0, None), doc("own", 1, "red cat"), doc("c1", 0, None)]
    store = source(group("q", *docs, query="which"), corpus=corpus).open()
    expected = sorted(tuple(pair("which", text)) for text in ("A B", "red cat", "blue dog"))
    for keeps_tokens in (True, False):  # a model with a prompt keeps none
        found = batcher(store, encoder=PairEncoder(keeps_tokens=keeps_tokens)).micro_batches(0)
        assert pairs_in(found) == expected


def test_a_document_is_tokenised_once_on_a_machine(source: Source) -> None:
    store = source(ragged("a", 3, 4) + ragged("b", 5, 6)).open()
    encoders = [PairEncoder(), PairEncoder()]
    for encoder in encoders:
        made = batcher(store, encoder=encoder)
        for step in range(3):
            made.micro_batches(step)
    assert [encoder.num_texts for encoder in encoders] == [4, 0]


# what is cut


def test_a_pair_of_which_the_document_or_the_query_was_cut_is_counted(source: Source) -> None:
    # Window 8: a query keeps 4 words, a document what is left.
    def truncated(lines: str) -> int:
        return sum(b.truncated for b in batcher(source(lines).open(), encoder=PairEncoder(8)).micro_batches(0))

    assert truncated(ragged("q", 4, 4, query="a b c d")) == 0
    assert truncated(ragged("q", 4, 5, query="a b c d")) == 1
    # A reranker with half a question is wrong quietly: all its pairs count.
    assert truncated(ragged("q", 1, 1, query="a b c d e")) == 2
    assert truncated(ragged("q", 1, 9, query="a b c d e")) == 2, "a pair counts once"
    assert truncated(ragged("q", 1, 1, query="a b c d e") + ragged("r", 1, 1, query="a b")) == 2


# a group over the budget


@pytest.mark.parametrize(("cost", "tokens"), [("padded", 36), ("packed", 30)])
def test_a_group_over_the_budget_is_named_with_the_way_out(source: Source, cost: str, tokens: int) -> None:
    # Three pairs of 2 + 10, 2 + 8 and 2 + 6: 36 slots, 30 tokens.
    store = source(ragged("small", 1, 1) + ragged("large", 10, 8, 6)).open()
    with pytest.raises(UnitOverBudget) as refused:
        batcher(store, budget=29, cost=cost).micro_batches(0)
    assert str(refused.value) == (
        f"the group of query large takes {tokens} tokens, over micro_batch_tokens (29); raise it, or lower "
        f"train_group_size or --max-length"
    )
    assert len(batcher(store, budget=tokens, cost=cost).micro_batches(0)[0].sizes_S) == 1


@pytest.mark.parametrize("cost", ["padded", "packed"])
def test_where_the_budget_was_worked_out_a_group_over_it_gets_a_micro_batch_of_its_size(
    source: Source, cost: str
) -> None:
    store = source(ragged("small", 1, 1) + ragged("large", 10, 8, 6) + ragged("other", 1, 1)).open()
    batches = batcher(store, budget=20, cost=cost, stretches=True).micro_batches(0)
    assert sorted(size for batch in batches for size in batch.sizes_S) == [2, 2, 3]
    assert batches[0].sizes_S[0] == 3, "the costliest first, where running out of memory is cheap"
