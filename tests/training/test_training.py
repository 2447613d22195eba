"""`crossrank train` on a real Ray: what comes out, what it refuses, and that two workers give what one gives."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from crossrank import Reranker
from crossrank.cli.main import main
from crossrank.errors import InputError, OutputError
from crossrank.formats.group_files import fingerprint_of_groups
from crossrank.training.groups import GroupSource
from crossrank.training.job import train
from crossrank.training.level import LEAST, SHARE
from crossrank.training.settings import TrainSettings
from tests.model import runs
from tests.model.tiny_models import TEXTS
from tests.training.trained import assert_close_weights, given, losses_of, weights_of

LOSS_TOLERANCE = 1e-4
NUM_HELD_OUT = 120
"""Of which 23 are the fifth that the bias of the head is fitted on: no fewer than it takes."""


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ragged groups: 1 positive and 2 to 6 negatives."""
    return runs.write_groups(tmp_path_factory.mktemp("groups") / "groups.jsonl", num_groups=84)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other groups, whose documents say their initial rank."""
    path = runs.write_groups(tmp_path_factory.mktemp("held-out") / "groups.jsonl", num_groups=NUM_HELD_OUT, seed=9)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        random.Random(row["query_id"]).shuffle(row["docs"])
        for rank, doc in enumerate(row["docs"], start=1):
            doc["rank"] = rank
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def undisturbed(
    cluster: None, tiny_model: str, groups: Path, held_out: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The output of one worker that nobody disturbed."""
    output = tmp_path_factory.mktemp("undisturbed") / "model"
    train(TrainSettings(**given(tiny_model, groups, output, eval_groups=str(held_out))))
    return output


def test_the_output_is_a_model_folder_with_its_card_and_its_curves(
    undisturbed: Path, tiny_model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {path.name for path in undisturbed.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "curves.png"} <= names
    assert {name for name in names if name.startswith("_")} == {
        "_checkpoint",
        "_curves",
        "_manifest.json",
        "_lock",
        "_rejected",
    }
    manifest = json.loads((undisturbed / "_manifest.json").read_text())
    assert manifest["state"] == "finished"
    assert manifest["steps"] == 55
    assert manifest["groups"]["train"] == {
        "groups": 84,
        "documents": manifest["groups"]["train"]["documents"],
        "set_aside": {},
    }
    assert set(manifest["baselines"]) == {"no reranker", "base model"}
    assert set(manifest["validations"]) == {"11", "22", "33", "44", "55"}
    best = max(manifest["validations"], key=lambda step: (manifest["validations"][step]["mrr@10"], -int(step)))
    assert manifest["chosen_step"] == int(best)
    card = (undisturbed / "README.md").read_text()
    assert "no reranker" in card
    assert "base model" in card
    assert manifest["base"]["revision"] in card


def test_the_bias_of_the_head_is_fitted_on_groups_that_no_figure_is_of_and_ranks_stay(
    undisturbed: Path, tiny_model: str, held_out: Path
) -> None:
    manifest = json.loads((undisturbed / "_manifest.json").read_text())
    level, counts = manifest["level"], manifest["groups"]
    assert level["why_not"] is None
    assert level["groups"] == counts["level"]["groups"] >= LEAST
    assert counts["level"]["groups"] + counts["validate"]["groups"] == NUM_HELD_OUT
    checkpoint = undisturbed / "_checkpoint" / f"step-{manifest['chosen_step']:08}"
    before, after = weights_of(checkpoint), weights_of(undisturbed)
    assert (
        [name for name in after if not torch.equal(before[name], after[name])] == [level["bias"]] == ["classifier.bias"]
    )
    assert torch.equal(before["classifier.bias"], weights_of(Path(tiny_model))["classifier.bias"]), "not trained"
    # By hand: sigmoids of the judged documents of those groups sum to their positives.
    middle = GroupSource(str(held_out), fingerprint_of_groups(str(held_out)), "validate", high=SHARE)
    store = middle.open()
    reranker = Reranker.load(str(undisturbed), device="cpu", max_length=96)
    logits, labels = [], []
    for number in range(len(store)):
        documents = store.documents(number)
        [query] = store.queries([number])
        logits.append(reranker.score([(query, text) for text in store.texts(documents.rows_D.tolist())]))
        labels.append(documents.labels_D > 0)
    probabilities = 1 / (1 + np.exp(-np.concatenate(logits).astype(np.float64)))
    assert len(probabilities) == level["documents"]
    assert level["standard_error"] >= 1 / math.sqrt((probabilities * (1 - probabilities)).sum()) * (1 - 1e-5)
    assert probabilities.sum() == pytest.approx(np.concatenate(labels).sum(), abs=1e-3)
    pairs = [(TEXTS[0], text) for text in TEXTS[1:9]]
    ours = reranker.score(pairs)
    theirs = Reranker.load(str(checkpoint), device="cpu", max_length=96).score(pairs)
    assert np.abs(ours - theirs - level["added"]).max() <= 1e-5
    assert abs(level["added"]) > 0.01
    assert ours.argsort().tolist() == theirs.argsort().tolist()
    card = (undisturbed / "README.md").read_text()
    assert "## Probabilities" in card
    assert f"({level['added']:+.4f}, standard error {level['standard_error']:.2f})" in card
    assert f"On {counts['validate']['groups']} held-out queries" in card


def test_on_a_few_held_out_groups_the_bias_is_not_fitted_and_the_figures_have_all_of_them(
    tiny_model: str, cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = runs.write_groups(tmp_path / "groups.jsonl", num_groups=16)
    held_out = runs.write_groups(tmp_path / "held-out.jsonl", num_groups=12, seed=9)
    output = tmp_path / "model"
    more = {"eval_groups": str(held_out), "num_train_epochs": 1, "save_steps": None}
    manifest = train(TrainSettings(**given(tiny_model, groups, output, **more)))
    counts, level = manifest["groups"], manifest["level"]
    assert (set(counts), counts["validate"]["groups"]) == ({"train", "validate"}, 12)
    assert (level["added"], level["groups"]) == (0.0, 0)
    reason = level["why_not"]
    assert "documents labelled above 0" in reason
    assert "it takes 20 of each; hold more out" in reason
    said = f"The bias of the head was left as it is: {reason}."
    assert said in (output / "README.md").read_text()
    assert said in capsys.readouterr().err
    assert torch.equal(weights_of(output)["classifier.bias"], weights_of(Path(tiny_model))["classifier.bias"])


def test_what_is_not_trained_on_is_told_with_its_line_and_its_reason(
    tiny_model: str, cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = runs.write_groups(tmp_path / "groups.jsonl", num_groups=8)
    rows = [json.loads(line) for line in groups.read_text().splitlines()]
    positive = rows[2]["docs"][0]
    rows[2]["docs"].append({"doc_id": "copy", "text": f" {positive['text']}", "label": 0})
    rows.append(rows[3] | {"query_id": "again", "docs": [dict(doc, label=1 - doc["label"]) for doc in rows[3]["docs"]]})
    groups.write_text("".join(json.dumps(row) + "\n" for row in rows))
    output = tmp_path / "model"
    manifest = train(TrainSettings(**given(tiny_model, groups, output, num_train_epochs=1, save_steps=None)))
    # Of the two groups of one query every document is a positive in one, so neither has a negative left.
    negatives = len(rows[3]["docs"]) - 1
    expected = {"labelled_both_ways": 1 + negatives + 1, "no_negative": 2}
    assert manifest["groups"]["train"]["groups"] == 7
    assert manifest["groups"]["train"]["set_aside"] == expected
    found = pq.read_table(output / "_rejected").to_pylist()
    assert Counter(row["reason"] for row in found) == expected
    assert [row["line"] for row in found if row["detail"].startswith("document copy ")] == [3]
    assert {row["source"] for row in found} == {str(groups)}
    assert "labelled_both_ways, 2 no_negative; see _rejected/" in capsys.readouterr().err
    assert "rejected: labelled_both_ways" in (output / "README.md").read_text()


def test_the_output_scores_alike_in_every_library(undisturbed: Path) -> None:
    from sentence_transformers import CrossEncoder
    from transformers import pipeline

    pairs = [(query, document) for query in TEXTS[:3] for document in TEXTS[3:6]]
    logits = Reranker.load(str(undisturbed), device="cpu", max_length=96).score(pairs)
    theirs = CrossEncoder(str(undisturbed), device="cpu").predict(pairs, activation_fn=torch.nn.Identity())
    assert np.abs(theirs - logits).max() <= 1e-5
    classify = pipeline("text-classification", model=str(undisturbed), device="cpu")
    asked = [{"text": query, "text_pair": document} for query, document in pairs]
    scores = [found["score"] for found in classify(asked, function_to_apply="none", truncation=True)]
    assert np.abs(np.array(scores) - logits).max() <= 1e-5
    assert np.ptp(logits) > 0.1, "equal scores would say nothing"


def test_two_workers_give_what_one_gives(
    undisturbed: Path, tiny_model: str, groups: Path, held_out: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model"
    manifest = train(TrainSettings(**given(tiny_model, groups, output, eval_groups=str(held_out), workers="2")))
    assert manifest["state"] == "finished"
    found, expected = losses_of(output, 55), losses_of(undisturbed, 55)
    assert len(found) == len(expected) == 55
    assert np.abs(np.array(found) - np.array(expected)).max() <= LOSS_TOLERANCE
    assert np.ptp(expected) > 0.1
    assert_close_weights(output / "_checkpoint" / "step-00000055", undisturbed / "_checkpoint" / "step-00000055")


def test_a_finished_run_does_nothing_and_says_so_before_ray(
    undisturbed: Path, tiny_model: str, groups: Path, held_out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (undisturbed / "model.safetensors").stat().st_mtime_ns
    settings = TrainSettings(**given(tiny_model, groups, undisturbed, eval_groups=str(held_out), workers="2"))
    assert train(settings)["state"] == "finished"
    assert (undisturbed / "model.safetensors").stat().st_mtime_ns == before
    said = capfd.readouterr().err
    assert "is finished: step" in said
    assert "groups;" not in said


def test_other_settings_are_refused_and_overwrite_starts_afresh(
    tiny_model: str, groups: Path, cluster: None, tmp_path: Path
) -> None:
    output = tmp_path / "model"
    short = {"num_train_epochs": 1, "save_steps": 6}
    train(TrainSettings(**given(tiny_model, groups, output, **short)))
    with pytest.raises(OutputError, match=r"holds a job with other settings \(learning_rate was 0.0005 and is 0.01\)"):
        train(TrainSettings(**given(tiny_model, groups, output, learning_rate=0.01, **short)))
    before = weights_of(output)
    (output / "mine.txt").write_text("not the run's")
    train(TrainSettings(**given(tiny_model, groups, output, learning_rate=0.01, overwrite=True, **short)))
    after = weights_of(output)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert (output / "mine.txt").exists()


def test_the_dry_run_says_steps_and_hours_and_writes_nothing(
    tiny_model: str, groups: Path, cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = train(TrainSettings(**given(tiny_model, groups, tmp_path / "model", dry_run=True)))
    assert plan["steps"] == 55
    assert plan["groups"] == 84
    assert plan["hours"] > 0
    assert "groups_per_second_of_a_worker" in capsys.readouterr().out
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(("num_groups", "groups_per_step", "steps"), [(1, 128, 1), (3, 128, 1), (20, 12, 2)])
def test_the_dry_run_of_one_step_and_of_two_has_a_speed_too(
    num_groups: int, groups_per_step: int, steps: int, tiny_model: str, cluster: None, tmp_path: Path
) -> None:
    path = runs.write_groups(tmp_path / "groups.jsonl", num_groups=num_groups)
    short = {"dry_run": True, "num_train_epochs": 1, "groups_per_step": groups_per_step, "save_steps": None}
    plan = train(TrainSettings(**given(tiny_model, path, tmp_path / "model", **short)))
    assert (plan["groups"], plan["steps"]) == (num_groups, steps)
    assert plan["groups_per_second_of_a_worker"] > 0
    assert plan["pairs"] >= 3 * num_groups, "each group has a positive and two negatives at least"
    assert plan["tokens"] > plan["pairs"]


def test_a_flag_that_is_wrong_ends_with_one_sentence_and_status_2(
    tiny_model: str, groups: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["train", "--base", tiny_model, "--groups", str(groups), "--output", str(tmp_path / "model")]
    with pytest.raises(SystemExit) as ended:
        main([*flags, "--gpus-per-worker", "1"])
    assert ended.value.code == 2
    assert "--gpus-per-worker is 1, and the largest node has 0 GPUs" in capsys.readouterr().err


def test_groups_without_a_positive_are_told_and_nothing_is_trained(
    tiny_model: str, cluster: None, tmp_path: Path
) -> None:
    path = tmp_path / "groups.jsonl"
    path.write_text('{"query_id": "q", "query": "q", "docs": [{"doc_id": "d", "text": "t", "label": 0}]}\n')
    with pytest.raises(InputError, match=r"holds no group that can be used to train \(1 no_positive; the first"):
        train(TrainSettings(**given(tiny_model, path, tmp_path / "model")))
