"""The model card, read as the hub reads it and as a person does."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from crossrank.evaluation.intervals import Mean
from crossrank.training.card import CardFacts, DataFacts, ResultRow, model_card, worse_than_before

BEFORE = ResultRow(
    name="no reranker", measures={"mrr@10": Mean(0.5813, (0.5404, 0.6222)), "success@3": Mean(0.6514, (0.6, 0.7))}
)
BASE = ResultRow(
    name="base model", measures={"mrr@10": Mean(0.6921, (0.6511, 0.7332)), "success@3": Mean(0.7632, (0.72, 0.81))}
)
STEP_200 = ResultRow(
    name="step 200", measures={"mrr@10": Mean(0.7011, (0.6623, 0.7434)), "success@3": Mean(0.7743, (0.73, 0.82))}
)
STEP_400 = ResultRow(
    name="step 400", measures={"mrr@10": Mean(0.7172, (0.6754, 0.7604)), "success@3": Mean(0.7912, (0.75, 0.83))}
)
FACTS = CardFacts(
    name="wikiqa reranker",
    location="someone/wikiqa-reranker",
    base_model="BAAI/bge-reranker-large",
    base_revision="55611d7bca2a",
    base_on_hub=True,
    command="crossrank train --base BAAI/bge-reranker-large --groups groups.parquet --output out",
    data=DataFacts(
        uri="s3://bucket/groups.parquet",
        fingerprint="0f1e2d3c",
        groups=12345,
        documents=67890,
        rejected={"no_positive": 11, "empty_query": 7},
        truncation_rate=0.0316,
    ),
    settings={"learning_rate": 5e-06, "schedule": "linear", "lora_rank": None},
    baselines=[BEFORE, BASE],
    checkpoints=[STEP_200, STEP_400],
    best="step 400",
    differences={"mrr@10": Mean(0.0251, (0.0043, 0.0462))},
    held_out_queries=1234,
    max_length=384,
    versions={"crossrank": "0.9.8", "torch": "2.13.0"},
    seed=77,
)


def front_matter_of(card: str) -> dict[str, Any]:
    """What the hub reads: YAML between the first two lines of dashes."""
    start, matter, _ = card.split("---\n", 2)
    assert start == ""
    found = yaml.safe_load(matter)
    assert isinstance(found, dict)
    return found


def rows_of(card: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = card.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


# the hub


def test_the_hub_reads_what_kind_of_model_it_is_and_what_it_came_from() -> None:
    assert front_matter_of(model_card(FACTS)) == {
        "library_name": "sentence-transformers",
        "pipeline_tag": "text-ranking",
        "tags": ["cross-encoder", "reranker", "crossrank"],
        "base_model": "BAAI/bge-reranker-large",
        "base_model_relation": "finetune",
        "model-index": [
            {
                "name": "wikiqa reranker",
                "results": [
                    {
                        "task": {"type": "text-ranking"},
                        "dataset": {"type": "held-out-groups", "name": "held-out groups"},
                        "metrics": [{"type": "mrr@10", "value": 0.7172}, {"type": "success@3", "value": 0.7912}],
                    }
                ],
            }
        ],
    }


def test_the_hubs_own_client_reads_the_measures_of_the_checkpoint_that_was_chosen() -> None:
    card: Any = ModelCard(model_card(FACTS))
    _, found = model_index_to_eval_results(card.data.to_dict()["model-index"])
    assert [(each.metric_type, each.metric_value) for each in found] == [("mrr@10", 0.7172), ("success@3", 0.7912)]


def test_without_held_out_groups_the_hub_is_told_no_measure() -> None:
    assert "model-index" not in front_matter_of(model_card(replace(FACTS, best=None)))


def test_where_the_base_stays_its_line_is_this_model_and_no_checkpoint_was_chosen() -> None:
    facts = replace(FACTS, best="base model", differences={}, warnings=["every checkpoint ties"])
    card = model_card(facts)
    assert "**base model, this model**" in card
    assert "The checkpoint was chosen" not in card
    [found] = front_matter_of(card)["model-index"][0]["results"]
    assert found["metrics"][0]["value"] == 0.6921, "what is shown is of the base"
    assert worse_than_before(facts) == []
    assert "every checkpoint ties" in card


def test_where_the_base_stays_the_card_calls_it_fine_tuned_nowhere() -> None:
    card = model_card(replace(FACTS, best="base model", differences={}))
    assert not {"base_model", "base_model_relation"} & front_matter_of(card).keys(), "the hub would show a fine-tune"
    assert "Fine-tuned" not in card
    assert "These are the weights of `BAAI/bge-reranker-large`, revision `55611d7bca2a`, as they were" in card
    assert "no checkpoint of the training became the model. It ran with seed 77, by" in card


def test_a_base_that_is_a_folder_is_no_link_on_the_hub() -> None:
    card = model_card(replace(FACTS, base_model="/models/base", base_on_hub=False))
    assert "base_model" not in front_matter_of(card)
    assert "Fine-tuned from `/models/base`, revision `55611d7bca2a`, with seed 77" in card


def test_a_base_with_a_name_that_yaml_would_take_apart_comes_through() -> None:
    card = model_card(replace(FACTS, base_model="a/b: #c"))
    assert front_matter_of(card)["base_model"] == "a/b: #c"


# the results


def test_the_results_are_a_line_for_each_start_and_checkpoint_with_intervals() -> None:
    card = model_card(FACTS)
    assert "On 1,234 held-out queries" in card
    assert "The checkpoint was chosen by mrr@10." in card
    assert rows_of(card, "Results") == [
        ["no reranker", "0.581 (0.540 to 0.622)", "0.651 (0.600 to 0.700)"],
        ["base model", "0.692 (0.651 to 0.733)", "0.763 (0.720 to 0.810)"],
        ["step 200", "0.701 (0.662 to 0.743)", "0.774 (0.730 to 0.820)"],
        ["**step 400, this model**", "0.717 (0.675 to 0.760)", "0.791 (0.750 to 0.830)"],
        ["step 400 less base model", "+0.025 (+0.004 to +0.046)", "–"],
    ]


def test_one_query_gives_a_mean_without_an_interval() -> None:
    lonely = ResultRow(name="base model", measures={"mrr@10": Mean(0.5, None)})
    card = model_card(replace(FACTS, baselines=[lonely], checkpoints=[], best=None, differences={}, held_out_queries=1))
    assert rows_of(card, "Results") == [["base model", "0.500"]]


def test_without_held_out_queries_the_card_says_that_nothing_is_known() -> None:
    card = model_card(replace(FACTS, baselines=[], checkpoints=[], best=None, differences={}, held_out_queries=0))
    assert "Nothing was held out, so nothing is known of how good this model is." in card
    assert "[!WARNING]" not in card


# the warnings


def test_a_model_that_is_better_than_its_base_has_no_warning() -> None:
    assert worse_than_before(FACTS) == []
    assert "[!WARNING]" not in model_card(FACTS)


def test_a_model_that_is_worse_than_its_base_says_so_before_anything_else() -> None:
    facts = replace(FACTS, checkpoints=[ResultRow(name="step 400", measures={"mrr@10": Mean(0.6402, (0.6, 0.68))})])
    card = model_card(facts)
    sentence = (
        "This model is worse than base model on the held-out queries: its mrr@10 is 0.640, and that of base model "
        "0.692."
    )
    assert worse_than_before(facts) == [sentence]
    assert f"# wikiqa reranker\n\n> [!WARNING]\n> - **{sentence}**\n\n" in card


def test_a_model_that_is_worse_than_no_reranker_says_both() -> None:
    facts = replace(FACTS, checkpoints=[ResultRow(name="step 400", measures={"mrr@10": Mean(0.4, None)})])
    assert [sentence.split(" on ")[0] for sentence in worse_than_before(facts)] == [
        "This model is worse than no reranker",
        "This model is worse than base model",
    ]


def test_a_guard_that_fired_is_in_the_warning() -> None:
    card = model_card(replace(FACTS, warnings=["3 steps were skipped,\nsince their gradients were not finite."]))
    assert "> [!WARNING]\n> - **3 steps were skipped, since their gradients were not finite.**\n" in card


# the rest


def test_the_command_is_there_to_be_copied() -> None:
    assert f"```sh\n{FACTS.command}\n```" in model_card(FACTS)


def test_a_command_with_a_fence_in_it_stays_one_block() -> None:
    assert "````sh\necho '```'\n````" in model_card(replace(FACTS, command="echo '```'"))


def test_the_data_is_told_with_what_was_rejected_and_cut() -> None:
    assert rows_of(model_card(FACTS), "Data") == [
        ["groups from", "`s3://bucket/groups.parquet`"],
        ["fingerprint", "`0f1e2d3c`"],
        ["groups", "12,345"],
        ["documents", "67,890"],
        ["rejected: empty_query", "7"],
        ["rejected: no_positive", "11"],
        ["pairs cut to fit the window", "3.16%"],
    ]


def test_data_of_which_nothing_was_rejected_says_so_and_a_rate_that_is_not_known_is_left_out() -> None:
    data = replace(FACTS.data, rejected={}, truncation_rate=None)
    assert rows_of(model_card(replace(FACTS, data=data)), "Data")[4:] == [["rejected", "none"]]


def test_the_recipe_and_the_versions_are_tables_in_their_order() -> None:
    card = model_card(FACTS)
    assert rows_of(card, "Settings") == [["learning_rate", "5e-06"], ["schedule", "linear"], ["lora_rank", "not set"]]
    assert rows_of(card, "Versions") == [["crossrank", "0.9.8"], ["torch", "2.13.0"]]


def test_a_value_with_a_bar_or_a_line_break_stays_in_its_cell() -> None:
    card = model_card(replace(FACTS, settings={"instruction": "a|b\nc"}))
    assert rows_of(card, "Settings") == [["instruction", r"a\|b c"]]


def test_every_snippet_is_python_that_loads_the_model_by_its_name() -> None:
    snippets = re.findall(r"```python\n(.*?)\n```", model_card(FACTS), re.DOTALL)
    assert len(snippets) == 3
    for snippet in snippets:
        compile(snippet, "card", "exec")
        assert '"someone/wikiqa-reranker"' in snippet
        assert "max_length=384" in snippet


def test_a_model_on_s3_tells_who_cannot_load_it_from_there() -> None:
    told = "The last two want a copy of the folder on this machine's disk."
    assert told in model_card(replace(FACTS, location="s3://bucket/model"))
    assert told not in model_card(FACTS)


def test_no_number_is_in_the_card_that_is_not_in_the_facts() -> None:
    card = model_card(FACTS)
    beside_the_snippets = re.sub(r"```python\n.*?```", "", card, flags=re.DOTALL)
    found = {number.replace(",", "") for number in re.findall(r"\d[\d.,]*\d|\d", beside_the_snippets)}
    given = re.findall(r"\d[\d.]*\d|\d", repr(FACTS))
    rounded = {f"{float(number):.3f}" for number in given if number.count(".") < 2} | {"3.16"}
    assert found - {*given} - rounded == {"95"}  # the confidence of the intervals


@pytest.mark.parametrize("best", ["step 300", None])
def test_a_best_checkpoint_that_is_not_in_the_table_is_not_judged(best: str | None) -> None:
    assert worse_than_before(replace(FACTS, best=best)) == []
