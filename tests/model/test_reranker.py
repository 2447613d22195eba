"""What a caller of `Reranker` relies on beside the scores themselves."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from crossrank import Reranker
from crossrank.errors import InputError, SettingsError
from crossrank.scoring import pair_scorer
from crossrank.scoring import reranker as reranker_module
from crossrank.scoring.float32_head import lower_backbone
from crossrank.scoring.interfaces import PlainText, Scored, Tokens
from crossrank.scoring.pair_scorer import PairScorer
from tests.model.reference import assert_same_scores, plain
from tests.model.tiny_models import FAMILIES, TEXTS, WINDOW

Tiny = Callable[[str], Path]

QUERY = "How long does it take to charge?"


@pytest.fixture(scope="module")
def bert(tiny: Tiny) -> Reranker:
    return Reranker.load(str(tiny("bert")), device="cpu", max_length=64)


@pytest.fixture(scope="module")
def qwen3(tiny: Tiny) -> Reranker:
    return Reranker.load(str(tiny("qwen3")), device="cpu", max_length=320)


def answering(monkeypatch: pytest.MonkeyPatch, reranker: Reranker, logits: list[float]) -> None:
    """Let the model give these logits, in input order."""
    none = np.zeros(len(logits), dtype=np.int32)
    scored = Scored(np.array(logits, dtype=np.float32), none, none, none)
    monkeypatch.setattr(reranker._scorer, "score_windows", lambda windows: [scored for _ in windows])


# rank


def test_rank_gives_the_best_first_with_its_place_and_its_text(bert: Reranker) -> None:
    ranked = bert.rank(QUERY, TEXTS)
    assert sorted(document.index for document in ranked) == list(range(len(TEXTS)))
    assert [document.text for document in ranked] == [TEXTS[document.index] for document in ranked]
    scores = [document.score for document in ranked]
    assert scores == sorted(scores, reverse=True)
    assert_same_scores(scores, bert.score([(QUERY, document.text) for document in ranked]))


def test_ties_keep_the_order_they_came_in(bert: Reranker, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, bert, [1.0, 3.0, 1.0, 3.0, 2.0, 1.0])
    assert [document.index for document in bert.rank(QUERY, list("abcdef"))] == [1, 3, 4, 0, 2, 5]


def test_scores_that_a_sigmoid_cannot_tell_apart_are_still_ranked(
    bert: Reranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, bert, [20.0, 30.0, 25.0])
    ranked = bert.rank(QUERY, list("abc"), normalize="sigmoid")
    assert [document.index for document in ranked] == [1, 2, 0]
    assert [document.score for document in ranked] == [1.0, 1.0, 1.0]


def test_a_score_that_is_not_a_number_ranks_last(bert: Reranker, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, bert, [float("nan"), -3.0, 2.0])
    assert [document.index for document in bert.rank(QUERY, list("abc"))] == [2, 1, 0]


def test_top_n_keeps_the_best(bert: Reranker) -> None:
    assert bert.rank(QUERY, TEXTS, top_n=3) == bert.rank(QUERY, TEXTS)[:3]
    assert len(bert.rank(QUERY, TEXTS[:2], top_n=10)) == 2


def test_softmax_is_taken_over_all_documents_not_over_the_top(bert: Reranker) -> None:
    ranked = bert.rank(QUERY, TEXTS, normalize="softmax")
    assert sum(document.score for document in ranked) == pytest.approx(1, abs=1e-6)
    assert bert.rank(QUERY, TEXTS, top_n=3, normalize="softmax") == ranked[:3]


def test_ranking_no_documents_gives_none(bert: Reranker) -> None:
    assert bert.rank(QUERY, []) == []
    assert bert.rank(QUERY, [], normalize="softmax") == []


@pytest.mark.parametrize("top_n", [0, -1])
def test_a_top_n_under_one_is_refused(bert: Reranker, top_n: int) -> None:
    with pytest.raises(SettingsError, match=f"top_n is {top_n}; use at least 1"):
        bert.rank(QUERY, TEXTS, top_n=top_n)


def test_one_text_in_place_of_a_list_is_refused_not_ranked_by_letters(bert: Reranker) -> None:
    with pytest.raises(InputError, match="documents is one text, 'a passage'; pass a list"):
        bert.rank(QUERY, "a passage")


# normalize


def test_softmax_sums_to_one_per_run_of_equal_queries(bert: Reranker) -> None:
    runs = [("a", 3), ("b", 1), ("a", 4)]  # the second run of "a" is a list of its own
    pairs = [(query, document) for query, num in runs for document in TEXTS[:num]]
    scores = bert.score(pairs, normalize="softmax")
    assert [float(part.sum()) for part in np.split(scores, [3, 4])] == pytest.approx([1, 1, 1], abs=1e-6)


def test_a_run_of_equal_queries_may_span_windows(bert: Reranker, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(QUERY, document) for document in TEXTS]
    whole = bert.score(pairs, normalize="softmax")
    monkeypatch.setattr(reranker_module, "CHUNK_PAIRS", 3)
    monkeypatch.setattr(pair_scorer, "WINDOW_PAIRS", 3)
    assert_same_scores(bert.score(pairs, normalize="softmax"), whole)
    assert whole.sum() == pytest.approx(1, abs=1e-6)


def test_the_sigmoid_of_a_thousand_is_one_and_of_minus_a_thousand_zero_without_a_warning(
    bert: Reranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, bert, [-1000.0, 1000.0, 0.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ranked = bert.rank(QUERY, list("abc"), normalize="sigmoid")
    assert [(document.text, document.score) for document in ranked] == [("b", 1.0), ("c", 0.5), ("a", 0.0)]


def test_an_unknown_normalize_is_refused_before_anything_is_scored(bert: Reranker) -> None:
    def pairs() -> Iterator[tuple[str, str]]:
        raise AssertionError("a pair was asked for")
        yield ("", "")

    with pytest.raises(SettingsError, match="normalize is 'minmax'; use none, sigmoid or softmax"):
        bert.score(pairs(), normalize="minmax")  # type: ignore[arg-type]


# truncation


@pytest.mark.parametrize("family", FAMILIES)
def test_a_document_of_100000_tokens_is_cut_and_every_cut_token_counted(family: str, tiny: Tiny) -> None:
    reranker = Reranker.load(str(tiny(family)), device="cpu", max_length=320)
    encoder = reranker._scorer.encoder
    long = "battery " * 100_000
    (whole,) = encoder.tokenizer([f" {long}" if family == "qwen3" else long])
    assert len(whole) >= 100_000
    queries, documents = encoder.queries([QUERY]), encoder.documents([long, "short"])
    scored = reranker._scorer.score_encoded(queries, documents, np.array([0, 0]), np.array([0, 1]))
    # The empty document shows what the window spends on all but the document.
    around = len(encoder.pairs(queries, encoder.documents([""]), np.array([0]), np.array([0])).ids_P[0])
    assert scored.tokens_P[0] == 320
    assert scored.truncated_P[1] == 0
    # Inside the Qwen3 prompt a first or last space may belong to a token of the other side.
    assert abs(int(scored.truncated_P[0]) - (len(whole) - (320 - around))) <= (2 if family == "qwen3" else 0)
    assert np.isfinite(scored.logits_P).all()


def test_a_query_over_half_the_window_is_cut_to_exactly_half_and_counted(bert: Reranker) -> None:
    long = "battery " * 50
    (query,) = bert._scorer.encoder.queries([long])
    assert isinstance(query, Tokens)
    whole = bert._scorer.encoder.tokenizer([long])[0]
    assert len(query.ids) == 32
    assert query.ids.tolist() == whole[:32]
    assert query.overflow == len(whole) - 32
    assert bert._scorer.encoder.queries(["battery " * 3])[0].overflow == 0


def test_a_cut_query_scores_as_if_it_had_been_that_short(bert: Reranker, tiny: Tiny) -> None:
    tokenizer, model = plain(tiny("bert"))
    long, document = "battery " * 50, TEXTS[1]
    kept = tokenizer(long, add_special_tokens=False)["input_ids"][:32]
    rest = tokenizer(document, add_special_tokens=False)["input_ids"][: 64 - 32 - 3]
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    ids = torch.tensor([[cls, *kept, sep, *rest, sep]])
    types = torch.tensor([[0] * 34 + [1] * (len(rest) + 1)])
    with torch.inference_mode():
        expected = model(input_ids=ids, token_type_ids=types).logits[0].numpy()
    assert_same_scores(bert.score([(long, document)]), expected)


def test_a_long_query_in_a_prompt_is_cut_to_half_and_leaves_the_document_room(qwen3: Reranker) -> None:
    long = "battery " * 500
    (query,) = qwen3._scorer.encoder.queries([long])
    assert isinstance(query, PlainText)
    assert len(qwen3._scorer.encoder.tokenizer([query.text])[0]) == 160
    assert query.overflow == len(qwen3._scorer.encoder.tokenizer([long])[0]) - 160
    scores = qwen3.score([(long, TEXTS[1]), (long, TEXTS[2])])
    assert scores[0] != scores[1]


@pytest.mark.parametrize("start", ["", "a", "ab"])
def test_a_query_is_cut_between_characters_and_never_over_half(qwen3: Reranker, start: str) -> None:
    # Three byte-level tokens a character, so that half the window, 160, falls inside one: 2 x 80, 1 + 3 x 53, ...
    long = start + "뷁" * 200
    assert len(qwen3._scorer.encoder.tokenizer([long])[0]) == len(start) + 600
    (query,) = qwen3._scorer.encoder.queries([long])
    assert isinstance(query, PlainText)
    assert query.text == start + "뷁" * ((160 - len(start)) // 3)
    assert query.overflow == len(start) + 600 - 160


def test_what_was_cut_is_logged(bert: Reranker, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="crossrank"):
        bert.score([("battery " * 50, TEXTS[1]), (QUERY, "battery " * 100), (QUERY, "short")])
    assert "cut to the window of 64 tokens: 1 documents, 1 queries" in caplog.text


# input


def test_no_pairs_give_an_empty_array(bert: Reranker) -> None:
    for normalize in ("none", "sigmoid", "softmax"):
        scores = bert.score([], normalize=normalize)
        assert scores.shape == (0,)
        assert scores.dtype == np.float32


def test_scores_are_float32_in_input_order(bert: Reranker) -> None:
    scores = bert.score([(QUERY, "a"), (QUERY, TEXTS[1])])
    assert scores.dtype == np.float32
    assert scores.shape == (2,)


@pytest.mark.parametrize(
    "pair",
    [
        "ab",
        b"ab",
        5,
        None,
        ("only one",),
        ("one", "two", "three"),
        ("query", None),
        (1, "document"),
        {"query": "a", "document": "b"},  # would unpack into its keys
        {"a", "b"},  # would unpack in any order
    ],
    ids=repr,
)
def test_a_pair_that_is_not_two_strings_is_named(bert: Reranker, pair: Any) -> None:
    with pytest.raises(InputError, match=r"pair 2 is .*; a pair is two strings, the query and the document"):
        bert.score([(QUERY, "a"), (QUERY, "b"), pair])


def test_the_number_of_a_bad_pair_counts_through_all_windows(bert: Reranker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reranker_module, "CHUNK_PAIRS", 2)
    monkeypatch.setattr(pair_scorer, "WINDOW_PAIRS", 2)
    pairs: list[Any] = [(QUERY, "a")] * 7 + ["oops"]
    with pytest.raises(InputError, match="pair 7 is 'oops'"):
        bert.score(pairs)


def test_half_a_surrogate_pair_is_named_not_a_traceback(bert: Reranker) -> None:
    with pytest.raises(InputError, match="pair 1 holds half a surrogate pair"):
        bert.score([(QUERY, "a"), (QUERY, "broken \ud800 text")])


@pytest.mark.parametrize(("runs_ahead", "most"), [(False, 4), (True, 8)], ids=["as on a CPU", "as on a GPU"])
def test_a_generator_is_read_a_window_at_a_time(
    bert: Reranker, monkeypatch: pytest.MonkeyPatch, runs_ahead: bool, most: int
) -> None:
    monkeypatch.setattr(reranker_module, "CHUNK_PAIRS", 4)
    monkeypatch.setattr(pair_scorer, "WINDOW_PAIRS", 4)
    monkeypatch.setattr(PairScorer, "runs_ahead", runs_ahead)
    num_read, num_scored, furthest_ahead = 0, 0, 0
    score_window = bert._scorer._score_window

    def pairs() -> Iterator[tuple[str, str]]:
        nonlocal num_read, furthest_ahead
        for place in range(50):
            num_read += 1
            furthest_ahead = max(furthest_ahead, num_read - num_scored)
            yield QUERY, TEXTS[place % len(TEXTS)]

    def counted(encoded: Any) -> Any:
        nonlocal num_scored
        scored = score_window(encoded)
        num_scored += 4 if num_scored < 48 else 2
        return scored

    monkeypatch.setattr(bert._scorer, "_score_window", counted)
    scores = bert.score(pairs())
    assert num_read == num_scored == 50
    # The window being scored; on a GPU the one being tokenised meanwhile, too.
    assert furthest_ahead <= most
    monkeypatch.undo()
    assert_same_scores(scores, bert.score([(QUERY, TEXTS[place % len(TEXTS)]) for place in range(50)]))


@pytest.mark.parametrize("window_pairs", [1, 2, 7, 33, 34, 35])
@pytest.mark.parametrize("family", ["bert", "modernbert", "qwen3"])
def test_scores_do_not_depend_on_the_window_of_pairs(
    family: str, window_pairs: int, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    reranker = Reranker.load(str(tiny(family)), device="cpu", max_length=320)
    pairs = [(query, document) for query in (QUERY, "초기화") for document in TEXTS[:17]]
    whole = reranker.score(pairs)
    monkeypatch.setattr(reranker_module, "CHUNK_PAIRS", window_pairs)
    monkeypatch.setattr(pair_scorer, "WINDOW_PAIRS", window_pairs)
    assert_same_scores(reranker.score(pairs), whole)
    encoder = reranker._scorer.encoder
    queries, documents = encoder.queries([QUERY, "초기화"]), encoder.documents(TEXTS[:17])
    scored = reranker._scorer.score_encoded(queries, documents, np.repeat([0, 1], 17), np.tile(np.arange(17), 2))
    assert_same_scores(scored.logits_P, whole)


def test_scoring_no_encoded_pairs_gives_empty_arrays(bert: Reranker) -> None:
    nothing = np.zeros(0, dtype=np.int64)
    scored = bert._scorer.score_encoded([], [], nothing, nothing)
    assert [len(values) for values in (scored.logits_P, scored.tokens_P, scored.padding_P, scored.truncated_P)] == [
        0
    ] * 4


def test_padding_is_what_the_padded_forward_computed_beyond_the_tokens(tiny: Tiny) -> None:
    reranker = Reranker.load(str(tiny("modernbert")), device="cpu", max_length=320, budget=320)
    encoder = reranker._scorer.encoder
    queries, documents = encoder.queries([QUERY]), encoder.documents(["battery " * 60, "battery " * 55, "battery " * 2])
    scored = reranker._scorer.score_encoded(queries, documents, np.zeros(3, dtype=int), np.arange(3))
    # The three fit the budget's 320 slots together, as wide as the longest.
    assert 3 * scored.tokens_P.max() < 320
    assert scored.padding_P.tolist() == (scored.tokens_P.max() - scored.tokens_P).tolist()
    assert scored.padding_P[2] > 50


def test_the_packed_forward_computes_no_padding(bert: Reranker) -> None:
    queries, documents = bert._scorer.encoder.queries([QUERY]), bert._scorer.encoder.documents(TEXTS)
    scored = bert._scorer.score_encoded(queries, documents, np.zeros(len(TEXTS), dtype=int), np.arange(len(TEXTS)))
    assert not scored.padding_P.any()


# instruction


def test_an_instruction_changes_the_scores_of_a_model_with_a_prompt(qwen3: Reranker, tiny: Tiny) -> None:
    told = Reranker.load(str(tiny("qwen3")), device="cpu", max_length=320, instruction="find the {manual} page")
    pairs = [(QUERY, document) for document in TEXTS[:6]]
    assert np.abs(told.score(pairs) - qwen3.score(pairs)).min() > 1e-3


def test_the_default_instruction_spelled_out_changes_nothing(qwen3: Reranker, tiny: Tiny) -> None:
    default = "Given a web search query, retrieve relevant passages that answer the query"
    told = Reranker.load(str(tiny("qwen3")), device="cpu", max_length=320, instruction=default)
    pairs = [(QUERY, document) for document in TEXTS[:6]]
    assert told.score(pairs).tolist() == qwen3.score(pairs).tolist()


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"qwen3"}))
def test_an_instruction_is_refused_by_a_model_without_a_prompt(family: str, tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match="has no prompt, so an instruction has no place; leave --instruction out"):
        Reranker.load(str(tiny(family)), device="cpu", instruction="find the manual")


# settings


@pytest.mark.parametrize(("family", "least"), [("bert", 5), ("xlm-roberta", 6), ("deberta-v2", 5)])
def test_a_window_without_room_for_a_pair_is_refused(family: str, least: int, tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match=f"max_length is {least - 1}.*use at least {least}"):
        Reranker.load(str(tiny(family)), device="cpu", max_length=least - 1)
    smallest = Reranker.load(str(tiny(family)), device="cpu", max_length=least)
    assert len(smallest.score([("battery", "battery battery")])) == 1


def test_a_window_without_room_for_the_prompt_is_refused(tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match="max_length is 64, and the prompt with its instruction takes"):
        Reranker.load(str(tiny("qwen3")), device="cpu", max_length=64)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"qwen3"}))
def test_a_window_over_the_models_positions_is_refused(family: str, tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match=f"max_length is {WINDOW + 1}, over the {WINDOW} positions"):
        Reranker.load(str(tiny(family)), device="cpu", max_length=WINDOW + 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_position_of_the_model_can_be_used(family: str, tiny: Tiny) -> None:
    reranker = Reranker.load(str(tiny(family)), device="cpu", max_length=WINDOW)
    assert np.isfinite(reranker.score([(QUERY, "battery " * 1000)])).all()


def test_a_budget_under_the_window_is_refused(tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match=r"budget is 100, under max_length \(128\)"):
        Reranker.load(str(tiny("bert")), device="cpu", max_length=128, budget=100)


@pytest.mark.parametrize("setting", [{"max_length": "512"}, {"max_length": 64.0}, {"budget": True}], ids=repr)
def test_a_number_of_tokens_that_is_none_is_refused(setting: dict[str, Any], tiny: Tiny) -> None:
    [(name, value)] = setting.items()
    with pytest.raises(SettingsError, match=f"{name} is {value!r}; use a whole number of tokens"):
        Reranker.load(tiny("bert"), device="cpu", **setting)


def test_the_budget_says_why_it_is_what_it_is(bert: Reranker, tiny: Tiny) -> None:
    assert (
        str(bert._scorer.budget) == "2048 (packed batches on CPU: activations that fit the caches, at least one window)"
    )
    given = Reranker.load(str(tiny("bert")), device="cpu", max_length=64, budget=64)
    assert given.describe()["token_budget"] == "64 (as given)"


# precision


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_runs_in_float32_under_a_bfloat16_backbone(family: str, tiny: Tiny) -> None:
    reranker = Reranker.load(str(tiny(family)), device="cpu", dtype="bf16", max_length=320)
    assert reranker.describe()["dtype"] == "bfloat16"
    logits = reranker.score([(query, document) for query in TEXTS for document in TEXTS])
    assert logits.dtype == np.float32
    # A bfloat16 has 8 significant bits; logits of a bfloat16 head would not change by being rounded to one.
    assert (rounded_to_bfloat16(logits) != logits).mean() > 0.9


@pytest.mark.parametrize("family", FAMILIES)
def test_all_that_follows_the_layers_runs_in_float32(family: str, tiny: Tiny) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny(family), dtype=torch.float32).eval()
    head_before = {name: weight.clone() for name, weight in model.named_parameters() if "layer" not in name}
    lower_backbone(model, torch.bfloat16)
    outputs: dict[str, torch.dtype] = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda _, __, output, name=name: outputs.update({name: output.dtype}))
    model(input_ids=torch.tensor([[2, 9, 3, 10, 3]]))
    in_layers = {name for name in outputs if ".layer" in name}
    assert in_layers
    assert {outputs[name] for name in in_layers} == {torch.bfloat16}
    head = outputs.keys() - in_layers
    assert head
    assert {outputs[name] for name in head} == {torch.float32}
    weights = dict(model.named_parameters())
    kept = [name for name in head_before if name.removesuffix(".weight") in head]
    assert kept
    assert all(torch.equal(weights[name], head_before[name]) for name in kept)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bfloat16_head_would_tie_documents_that_a_float32_head_tells_apart(family: str, tiny: Tiny) -> None:
    reranker = Reranker.load(str(tiny(family)), device="cpu", dtype="bf16", max_length=320)
    logits = reranker.score([(query, document) for query in TEXTS for document in TEXTS])
    assert len(np.unique(logits)) > len(np.unique(rounded_to_bfloat16(logits)))


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_scores_stay_near_those_in_float32(family: str, tiny: Tiny) -> None:
    pairs = [(query, document) for query in TEXTS[:6] for document in TEXTS]
    exact = Reranker.load(str(tiny(family)), device="cpu", max_length=320).score(pairs)
    short = Reranker.load(str(tiny(family)), device="cpu", dtype=torch.bfloat16, max_length=320).score(pairs)
    assert np.corrcoef(exact, short)[0, 1] > 0.98
    assert not np.array_equal(exact, short)


def rounded_to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.float32]:
    rounded: NDArray[np.float32] = torch.from_numpy(values).bfloat16().float().numpy()
    return rounded
