"""Steps: equal to the recipe's, whatever the micro-batches, and equal after a kill."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from crossrank import Reranker
from crossrank.errors import JobFailed, OutputError
from crossrank.resumable.earlier import Earlier
from crossrank.resumable.job import Job, Run
from crossrank.scoring.loading import find_model
from crossrank.scoring.runtimes.packed import PackedForward
from crossrank.scoring.runtimes.padded import TransformersForward
from crossrank.storage.lease import Lease
from crossrank.training.checkpoint import Checkpoints
from crossrank.training.distributed import World
from crossrank.training.groups import GroupStore
from crossrank.training.guards import TrainingStopped
from crossrank.training.inputs import inputs_of
from crossrank.training.job import _apart_for_level
from crossrank.training.level import Level
from crossrank.training.model import TrainedModel
from crossrank.training.rank_run import Ended, loop_of, run
from crossrank.training.result import finish
from crossrank.training.sampler import Sampler, documents_of
from crossrank.training.schedule import factor
from crossrank.training.validation import Measured
from tests.model import runs
from tests.model.runs import CPU, Killed, Listener, SaidValidator, settings_of, task_of
from tests.model.tiny_models import TEXTS

Tiny = Callable[[str], Path]
STEPS = 50


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    return runs.write_groups(tmp_path / "groups.jsonl")


def reference_losses(base: Path, store: GroupStore, settings: Any, num_steps: int) -> list[float]:
    """The recipe's loop, written from its formula: one batch a step, `CE(logits.view(B, G), 0)`, AdamW, linear rate."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForSequenceClassification.from_pretrained(base, dtype=torch.float32).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    decayed = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}],
        lr=settings.learning_rate,
    )
    sampler = Sampler(len(store), settings.groups_per_step, settings.seed)
    total = sampler.steps_per_epoch * settings.num_train_epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (total - step) / total)
    losses = []
    for step in range(num_steps):
        queries, documents = [], []
        chosen = sampler.groups(step).tolist()
        for group, query, group_hash in zip(chosen, store.queries(chosen), store.hashes(chosen), strict=True):
            found = store.documents(group)
            size = settings.train_group_size
            places = documents_of(found.labels_D, size, settings.seed, sampler.epoch(step), group_hash)
            queries += [query] * len(places)
            documents += store.texts(found.rows_D[places].tolist())
        batch = tokenizer(
            queries,
            documents,
            truncation=settings.truncation,
            max_length=settings.max_length,
            padding=True,
            return_tensors="pt",
        )
        logits = model(**batch).logits
        target = torch.zeros(len(chosen), dtype=torch.long)
        loss = torch.nn.functional.cross_entropy(logits.view(len(chosen), -1), target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("family", ["xlm-roberta", "bert"])
def test_the_first_fifty_losses_equal_those_of_the_recipe(family: str, tiny: Tiny, tmp_path: Path) -> None:
    groups = runs.write_groups(tmp_path / "groups.jsonl", negatives=(3, 6))  # enough that every group has three
    settings = settings_of(
        tiny(family),
        groups,
        tmp_path / "out",
        train_group_size=3,
        truncation="longest_first",
        max_length=64,
        warmup_ratio=0.0,
        learning_rate=2e-4,
        num_train_epochs=10,
    )
    expected = reference_losses(tiny(family), task_of(settings).groups.open(), settings, STEPS)
    found = runs.losses_of(settings, STEPS)
    assert np.abs(np.array(found) - np.array(expected)).max() <= 1e-5
    assert np.ptp(expected) > 0.05, "nothing was learnt, so equal losses would say nothing"


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_packed_gradients_equal_those_of_transformers(family: str, tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    settings = settings_of(tiny(family), groups, tmp_path / "out")
    gradients = []
    for make in (lambda model, _: PackedForward(model, trains=True), TransformersForward):
        trained = TrainedModel(settings, find_model(settings.base), CPU)
        forward = make(trained.model, trained.tokenizer.pad_token_id)
        loop = loop_of(task_of(settings), trained, CPU, World())
        [batch, *_] = loop._batcher.micro_batches(0)
        forward.logits(batch.ids_P, batch.first_P).pow(2).sum().backward()
        trains = [(name, each) for name, each in trained.model.named_parameters() if each.requires_grad]
        gradients.append({name: each.grad.clone() for name, each in trains})
    packed, padded = gradients
    largest = max(float(gradient.abs().max()) for gradient in padded.values())
    for name, gradient in padded.items():
        torch.testing.assert_close(packed[name], gradient, rtol=0, atol=1e-5 * largest, msg=name)


def test_the_size_of_micro_batches_does_not_matter(tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    found = [
        runs.losses_of(settings_of(tiny("bert"), groups, tmp_path / "out", micro_batch_tokens=tokens), 10)
        for tokens in (400, 100_000)
    ]
    assert np.abs(np.array(found[0]) - np.array(found[1])).max() <= 1e-5


def test_dropout_is_the_same_whoever_computes_a_micro_batch(tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    settings = settings_of(tiny("bert"), groups, tmp_path / "out", dropout=0.3)
    first, second = runs.losses_of(settings, 6), runs.losses_of(settings, 6)
    assert first == second
    assert first != runs.losses_of(settings_of(tiny("bert"), groups, tmp_path / "out", dropout=0.0), 6)


@pytest.mark.parametrize("family", ["modernbert", "deberta-v2", "gte", "qwen3"])
def test_every_family_trains(family: str, tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    settings = settings_of(
        tiny(family),
        groups,
        tmp_path / "out",
        max_length=320 if family == "qwen3" else 96,
        micro_batch_tokens=2000,
        num_train_epochs=4,
        warmup_ratio=0.0,
    )
    losses = runs.losses_of(settings, 20)
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


@pytest.mark.parametrize("how", ["recomputed", "bf16", "fp16", "frozen", "adapters", "distilled"])
def test_every_way_of_training_learns(how: str, tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    ways: dict[str, dict[str, Any]] = {
        "recomputed": {"gradient_checkpointing": True},
        "bf16": {"precision": "bf16"},
        "fp16": {"precision": "fp16"},
        "frozen": {"freeze_embeddings": True},
        "adapters": {"lora_rank": 4, "learning_rate": 1e-2},
        "distilled": {"weight_group_ce": 0.0, "weight_kl": 1.0, "weight_margin_mse": 0.1},
    }
    more = {"num_train_epochs": 6, "warmup_ratio": 0.0} | ways[how]
    settings = settings_of(tiny("bert"), groups, tmp_path / "out", **more)
    ended = run(task_of(settings), CPU, None, Listener())
    losses = [row["loss"] for row in ended.history]
    assert losses[-1] < losses[0]
    assert ended.steps == 30
    base, result = load_file(tiny("bert") / "model.safetensors"), weights_of(ended, settings)
    assert base.keys() == result.keys(), "it is saved as a plain model"
    moved = {name for name in base if not torch.equal(base[name], result[name])}
    embeddings = {name for name in base if ".embeddings." in name}
    assert moved.isdisjoint(embeddings) == (how in ("frozen", "adapters"))
    assert Reranker.load(Checkpoints(settings.output, 1).uri(30), max_length=96).score([("a", "b")]).shape == (1,)


TERMS: dict[str, dict[str, float]] = {
    "bce": {"weight_group_ce": 0.0, "weight_bce": 1.0},
    "kl": {"weight_group_ce": 0.0, "weight_kl": 1.0},
    "margin_mse": {"weight_group_ce": 0.0, "weight_margin_mse": 1.0},
    "mixture": {"weight_group_ce": 0.5, "weight_bce": 0.2, "weight_kl": 1.0, "weight_margin_mse": 0.1},
}


@pytest.mark.parametrize("term", TERMS)
def test_a_model_that_learns_nothing_is_stopped_whatever_the_loss(
    term: str, tiny: Tiny, groups: Path, tmp_path: Path
) -> None:
    still = {"learning_rate": 1e-12, "collapse_patience": 6, "num_train_epochs": 4}
    with pytest.raises(JobFailed, match=r"^collapsed: over the 6 steps up to \d+ the loss was"):
        run(task_of(settings_of(tiny("bert"), groups, tmp_path / "out", **TERMS[term], **still)), CPU, None, Listener())


@pytest.mark.parametrize("term", TERMS)
def test_a_student_whose_teacher_differs_from_the_labels_is_let_be(term: str, tiny: Tiny, tmp_path: Path) -> None:
    # The teacher prefers what is labelled 0, so the cross-entropy against the labels stays over that of guessing.
    path = runs.write_groups(tmp_path / "groups.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows if term in ("kl", "margin_mse") else ():
        for doc in row["docs"]:
            doc["teacher_score"] *= -1
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    learns = {"collapse_patience": 10, "num_train_epochs": 8, "warmup_ratio": 0.0}
    ended = run(
        task_of(settings_of(tiny("bert"), path, tmp_path / "out", **TERMS[term], **learns)), CPU, None, Listener()
    )
    assert ended.steps == 40
    assert ended.history[-1]["loss"] < 0.9 * ended.history[-1]["uniform_loss"], "it did learn"


def test_a_teacher_scale_is_what_the_scores_were_multiplied_by(tiny: Tiny, tmp_path: Path) -> None:
    plain = runs.write_groups(tmp_path / "plain.jsonl")
    rows = [json.loads(line) for line in plain.read_text().splitlines()]
    for row in rows:
        for doc in row["docs"]:
            doc["teacher_score"] /= 8
    small = tmp_path / "small.jsonl"
    small.write_text("".join(json.dumps(row) + "\n" for row in rows))
    losses = [
        runs.losses_of(settings_of(tiny("bert"), path, tmp_path / "out", **TERMS["kl"], **scale), 4)
        for path, scale in ((plain, {}), (small, {"teacher_scale": 8.0}), (small, {}))
    ]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    assert abs(losses[2][0] - losses[0][0]) > 0.01


def weights_of(ended: Ended, settings: Any) -> dict[str, torch.Tensor]:
    return load_file(Checkpoints(settings.output, 1).fetch(ended.steps) / "model.safetensors")


@pytest.mark.parametrize(
    "more", [{"dropout": 0.2}, {"lora_rank": 2}, {"precision": "fp16"}], ids=["dropout", "lora", "fp16"]
)
def test_a_run_that_was_killed_ends_as_if_nothing_had_been(
    more: dict[str, Any], tiny: Tiny, groups: Path, tmp_path: Path
) -> None:
    undisturbed = settings_of(tiny("bert"), groups, tmp_path / "whole", **more)
    expected = weights_of(runs.run_to_end(undisturbed), undisturbed)
    settings = settings_of(tiny("bert"), groups, tmp_path / "killed", **more)
    for dies_at in (3, 8):  # before the first checkpoint, and before the second
        with pytest.raises(Killed):
            run(task_of(settings), CPU, None, Listener(dies_at))
    listener = Listener()
    ended = run(task_of(settings), CPU, None, listener)
    assert listener.rows[0] == {"began": 4}
    assert [row["step"] for row in ended.history] == sorted(row["step"] for row in ended.history)
    assert sum(row["steps"] for row in ended.history) == ended.steps
    found = weights_of(ended, settings)
    for name, expected_weight in expected.items():
        torch.testing.assert_close(found[name], expected_weight, rtol=0, atol=1e-6, msg=name)


def test_a_checkpoint_that_cannot_be_read_costs_its_steps_and_nothing_else(
    tiny: Tiny, groups: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = settings_of(tiny("bert"), groups, tmp_path / "whole")
    expected = weights_of(runs.run_to_end(undisturbed), undisturbed)
    settings = settings_of(tiny("bert"), groups, tmp_path / "killed")
    with pytest.raises(Killed):
        run(task_of(settings), CPU, None, Listener(9))
    newest = tmp_path / "killed" / "_checkpoint" / "step-00000008" / "training.pt"
    content = newest.read_bytes()
    newest.write_bytes(b"x" * len(content))
    found = weights_of(runs.run_to_end(settings), settings)
    assert "step-00000008 cannot be read" in capsys.readouterr().err
    for name, expected_weight in expected.items():
        torch.testing.assert_close(found[name], expected_weight, rtol=0, atol=1e-6, msg=name)


def test_a_full_disk_ends_it_with_a_sentence_and_leaves_the_last_checkpoint(
    tiny: Tiny, groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tiny("bert"), groups, tmp_path / "out")
    save = torch.save

    def full_at_the_second(state: Any, path: Path) -> None:
        if list((tmp_path / "out" / "_checkpoint").glob("step-*")):
            raise OSError(28, "No space left on device")
        save(state, path)

    monkeypatch.setattr(torch, "save", full_at_the_second)
    with pytest.raises(OutputError, match=r"step-00000008 cannot be written \(No space left on device\); earlier ones"):
        run(task_of(settings), CPU, None, Listener())
    assert Checkpoints(settings.output, 1).steps() == [4]
    assert [path.name for path in (tmp_path / "out" / "_checkpoint").iterdir()] == ["step-00000004"]


def test_gradients_that_are_no_numbers_are_skipped_and_then_stop_it(tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    settings = settings_of(tiny("bert"), groups, tmp_path / "out", max_skipped_steps=2)
    task = task_of(settings)
    trained = TrainedModel(settings, find_model(settings.base), CPU)
    loop = loop_of(task, trained, CPU, World())
    before = {name: weight.clone() for name, weight in trained.model.state_dict().items()}
    with torch.no_grad():
        trained.model.classifier.bias.fill_(torch.nan)
    for step, figures in loop.steps(0):
        assert not figures.seen.is_finite
        if step == 3:
            break
    for name, weight in trained.model.state_dict().items():
        if name != "classifier.bias":
            assert torch.equal(weight, before[name]), name
    broken = tmp_path / "broken"
    trained.save(broken)
    with pytest.raises(JobFailed, match=r"^step 3 is number 3 in a row whose gradient is no number, over max_skipped"):
        run(task_of(settings_of(broken, groups, tmp_path / "out2", max_skipped_steps=2)), CPU, None, Listener())


def test_the_best_checkpoint_is_the_result_and_is_kept(tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    settings = settings_of(tiny("bert"), groups, tmp_path / "out", save_steps=2, save_total_limit=1)
    validator = SaidValidator({2: 0.4, 4: 0.9, 6: 0.5, 8: 0.9, 10: 0.1})
    ended = run(task_of(settings), CPU, validator, Listener())
    assert (ended.chosen, ended.steps, ended.why) == (4, 10, "finished")
    assert Checkpoints(settings.output, 1).steps() == [4, 8, 10]
    assert [row["step"] for row in ended.history if "validation" in row] == [2, 4, 6, 8, 10]


def test_a_checkpoint_whose_scores_tie_is_not_the_result_though_its_measure_is_the_highest(
    tiny: Tiny, groups: Path, tmp_path: Path
) -> None:
    settings = settings_of(tiny("bert"), groups, tmp_path / "out", save_steps=2)
    validator = SaidValidator({2: 0.4, 4: 1.0, 6: 0.5, 8: 1.0, 10: 0.1}, tied={4, 8})
    assert run(task_of(settings), CPU, validator, Listener()).chosen == 6


def test_where_all_checkpoints_tie_the_base_stays_as_it_was(tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    settings = settings_of(tiny("bert"), groups, tmp_path / "out", save_steps=4)
    values = dict.fromkeys((4, 8, 10), 1.0)
    ended = run(task_of(settings), CPU, SaidValidator(values, tied=values), Listener())
    assert (ended.chosen, ended.steps) == (0, 10)
    pairs = [("a query", text) for text in TEXTS[:5]]
    base, result = (
        Reranker.load(str(folder), max_length=96).score(pairs)
        for folder in (tiny("bert"), Checkpoints(settings.output, 1).fetch(0))
    )
    assert result.tolist() == base.tolist()
    again = run(task_of(settings), CPU, SaidValidator(values, tied=values), Listener())
    assert again.chosen == 0, "from the newest checkpoint, and not from that of the base"


def test_where_the_base_stays_the_output_and_its_card_say_so(
    tiny: Tiny, groups: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(tiny("bert"), groups, tmp_path / "out", save_steps=10, eval_fraction=0.2)
    task, read = task_of(settings), inputs_of(settings).read()
    tied = SaidValidator({10: 1.0}, tied={10})
    ended = run(runs.longer(task, 10), CPU, tied, Listener())
    Checkpoints(settings.output, 1).write_note("validation-10", tied.result(10).state())
    base = Measured({"mrr@10": [0.5], "ndcg@10": [0.5], "success@3": [0.5]}, 0.0)
    left = Level("classifier.bias", why_not="the base stays as it was")
    job = Job("train", settings, {}, Earlier(settings.output, None, is_replaced=False), started=0.0)
    begun = Run(job, {"command": "crossrank train"}, Lease())
    manifest = finish(settings, task, read, ended, {"base model": base}, left, begun)
    assert (manifest["chosen_step"], manifest["state"]) == (0, "finished")
    assert "finished: the base as it was, after 10 steps, is the result" in capsys.readouterr().err
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Every checkpoint gives over half of the held-out documents the score of another of their query" in card
    assert "**base model, this model**" in card
    assert "The bias of the head was left as it is: the base stays as it was." in card
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_a_run_that_keeps_few_groups_apart_goes_on_with_the_same_figures_and_leaves_the_bias(
    tiny: Tiny, groups: Path, tmp_path: Path
) -> None:
    settings = settings_of(tiny("bert"), groups, tmp_path / "out", eval_fraction=0.5)
    base, whole = find_model(settings.base), inputs_of(settings)
    begun = {"sizes": {}, "level": Level("classifier.bias").state(), "groups": {"level": {"groups": 2}}}
    fresh, left = _apart_for_level(settings, base, whole, None)
    assert (fresh.validate, fresh.level) == (whole.validate, None), "all held-out groups are in the figures"
    going_on, left_too = _apart_for_level(settings, base, whole, begun)
    assert going_on.level is not None, "an earlier version kept them apart, and has measured on the others"
    assert left == left_too
    assert left.why_not is not None
    assert left.why_not.endswith("labelled 0, and it takes 20 of each; hold more out")


def test_where_all_checkpoints_tie_and_the_base_has_no_head_nothing_is_the_result(
    encoder: Path, groups: Path, tmp_path: Path
) -> None:
    settings = settings_of(encoder, groups, tmp_path / "out", save_steps=4)
    values = dict.fromkeys((4, 8, 10), 1.0)
    with pytest.raises(
        TrainingStopped, match=r"every checkpoint gives over half .* has no head, so no reranker is left; lower"
    ):
        run(task_of(settings), CPU, SaidValidator(values, tied=values), Listener())
    assert Checkpoints(settings.output, 1).steps() == [4, 8, 10], "they are kept"


def test_the_ties_of_validations_that_an_earlier_version_kept_are_read_from_its_notes(
    tiny: Tiny, groups: Path, tmp_path: Path
) -> None:
    settings = settings_of(tiny("bert"), groups, tmp_path / "out", save_steps=2)
    values = {2: 0.4, 4: 1.0, 6: 0.5, 8: 0.3, 10: 0.1}
    with pytest.raises(Killed):
        run(task_of(settings), CPU, SaidValidator(values), Listener(9))
    checkpoints = Checkpoints(settings.output, 1)
    newest = checkpoints.fetch(checkpoints.steps()[-1])
    history = json.loads((newest / "history.json").read_text())
    assert 4 in {row["step"] for row in history if "validation" in row}
    kept = json.dumps([{name: value for name, value in row.items() if name != "tie_rate"} for row in history])
    (newest / "history.json").write_text(kept)
    complete = json.loads((newest / "complete.json").read_text())
    complete["files"]["history.json"] = len(kept)
    (newest / "complete.json").write_text(json.dumps(complete))
    checkpoints.write_note("validation-4", {"values": {"mrr@10": [1.0]}, "tie_rate": 1.0})
    assert run(task_of(settings), CPU, SaidValidator(values), Listener()).chosen == 6


def test_a_checkpoint_that_is_long_on_its_way_is_validated_when_it_is_there(
    tiny: Tiny, groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tiny("bert"), groups, tmp_path / "out", save_steps=2)
    send = Checkpoints._send

    def slowly(self: Checkpoints, *arguments: Any) -> None:
        time.sleep(0.3)  # several steps
        send(self, *arguments)

    monkeypatch.setattr(Checkpoints, "_send", slowly)

    class Reads(SaidValidator):
        """Looks for the checkpoint when it is asked."""

        def result(self, step: int) -> Measured:
            assert step in self.begun, "asked for before it was sent"
            assert step in Checkpoints(settings.output, 1).steps()
            return super().result(step)

    ended = run(task_of(settings), CPU, Reads({2: 0.4, 4: 0.9, 6: 0.5, 8: 0.9, 10: 0.1}), Listener())
    assert ended.chosen == 4


def test_it_stops_when_patience_is_out_and_again_when_it_is_started_again(
    tiny: Tiny, groups: Path, tmp_path: Path
) -> None:
    settings = settings_of(tiny("bert"), groups, tmp_path / "out", save_steps=2, early_stopping_patience=2)
    values = {2: 0.9, 4: 0.5, 6: 0.6, 8: 0.95, 10: 0.95}
    # The result of step 6 is awaited at step 8: two without a better one, so it stops there, whatever 8 comes to.
    for _ in range(2):
        ended = run(task_of(settings), CPU, SaidValidator(values), Listener())
        assert (ended.steps, ended.why) == (8, "early_stopping")
        assert ended.chosen == 8


def test_a_validation_that_a_kill_interrupted_is_begun_again(tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    settings = settings_of(tiny("bert"), groups, tmp_path / "out", save_steps=2, eval_steps=4)
    values = {4: 0.9, 8: 0.8, 10: 0.7}
    with pytest.raises(Killed):
        run(task_of(settings), CPU, SaidValidator(values), Listener(7))
    validator = SaidValidator(values)
    ended = run(task_of(settings), CPU, validator, Listener())
    assert validator.begun[0] == 4
    assert {row["step"]: row["validation"]["mrr@10"] for row in ended.history if "validation" in row} == values


def test_the_rate_rises_in_a_line_and_falls_as_asked() -> None:
    assert [factor(step, 10, 0.2, "linear") for step in (0, 1, 2, 6, 9)] == pytest.approx([0, 0.5, 1, 0.5, 0.125])
    assert [factor(step, 10, 0.2, "cosine") for step in (1, 2, 6)] == pytest.approx([0.5, 1, 0.5])
    assert [factor(step, 10, 0.0, "constant") for step in (0, 9)] == [1, 1]


@pytest.fixture
def encoder(tiny: Tiny, tmp_path: Path) -> Path:
    """A base without a head."""
    encoder = tmp_path / "encoder"
    AutoModelForSequenceClassification.from_pretrained(tiny("bert")).bert.save_pretrained(encoder)
    AutoTokenizer.from_pretrained(tiny("bert")).save_pretrained(encoder)
    return encoder


def test_an_encoder_without_a_head_gets_the_same_fresh_one_for_the_same_seed(
    encoder: Path, groups: Path, tmp_path: Path
) -> None:
    assert json.loads((encoder / "config.json").read_text())["architectures"] == ["BertModel"]
    heads = []
    for seed in (1, 1, 2):
        trained = TrainedModel(settings_of(encoder, groups, tmp_path / "out", seed=seed), find_model(str(encoder)), CPU)
        assert trained.fresh == ["classifier.bias", "classifier.weight"]
        heads.append(trained.model.classifier.weight.detach().clone())
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
