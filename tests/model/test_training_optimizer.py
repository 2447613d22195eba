"""Which weights train, at which rate, with an adapter and without; and that a run of before is gone on with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    ElectraConfig,
    ElectraForSequenceClassification,
    EuroBertConfig,
    EuroBertModel,
    ModernBertConfig,
    ModernBertForMaskedLM,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from crossrank import Reranker
from crossrank.scoring.loading import check_base, find_model
from crossrank.scoring.pooling import clause_about_head
from crossrank.training import losses
from crossrank.training.distributed import World
from crossrank.training.losses import Objective
from crossrank.training.model import TrainedModel
from crossrank.training.optimizer import FRESH_HEAD_RATE, optimizer_of, rates_of, restore
from crossrank.training.rank_run import loop_of
from crossrank.training.unmoved import level_bias, unmoved
from tests.model import runs
from tests.model.runs import CPU, settings_of, task_of
from tests.model.tiny_models import FAMILIES, shape_of

Tiny = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    return runs.write_groups(tmp_path / "groups.jsonl")


def encoder_of(reranker: Path, folder: Path) -> Path:
    """The encoder of a reranker, without its head; a BERT keeps its pooler."""
    AutoModelForSequenceClassification.from_pretrained(reranker).base_model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(reranker).save_pretrained(folder)
    return folder


def pooled(folder: Path, **mode: bool) -> Path:
    """The folder as sentence-transformers keeps it, read by a pooling."""
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **mode}))
    return folder


def trained(base: Path, groups: Path, **more: Any) -> TrainedModel:
    return TrainedModel(settings_of(base, groups, base.parent / "out", **more), find_model(str(base)), CPU)


# rates


RATES = {"learning_rate": 2e-5}


def rates(model: TrainedModel, head_rate: float | None = None) -> dict[str, float]:
    """Rates by the name that a weight has without an adapter; those of an adapter by that of what it adapts."""
    found: dict[str, set[float]] = {}
    for name, rate in rates_of(model.model, model.fresh, RATES["learning_rate"], head_rate).items():
        found.setdefault(name.split(".lora_")[0] + ".weight" if ".lora_" in name else name, set()).add(rate)
    return {name: rate for name, [rate] in ((name, [*each]) for name, each in found.items())}


@pytest.mark.parametrize("head_rate", [None, 3e-4])
@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "deberta-v2", "modernbert", "gte", "qwen3"])
@pytest.mark.parametrize("is_fresh", [True, False], ids=["fresh head", "head of the base"])
def test_every_weight_has_the_same_rate_with_an_adapter_as_without(
    family: str, is_fresh: bool, head_rate: float | None, tiny: Tiny, groups: Path, tmp_path: Path
) -> None:
    base = encoder_of(tiny(family), tmp_path / "encoder") if is_fresh else tiny(family)
    length = {"max_length": 320} if family == "qwen3" else {}
    plain, adapted = (trained(base, groups, lora_rank=rank, **length) for rank in (0, 2))
    expected, found = rates(plain, head_rate), rates(adapted, head_rate)
    assert plain.fresh == adapted.fresh
    assert bool(plain.fresh) == is_fresh
    assert {name: expected[name] for name in found} == found
    of_heads = {name for name in expected if not name.startswith(f"{plain.model.base_model_prefix}.")}
    assert of_heads, "the head trains"
    assert of_heads <= set(found), "and with an adapter it does too"
    head = head_rate or (FRESH_HEAD_RATE if is_fresh else 2e-5)
    assert {found[name] for name in of_heads} == {head}
    assert min(found.values()) == 2e-5, "the encoder's own"


def test_a_fresh_head_moves_as_far_with_an_adapter_as_without(tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    # AdamW's first steps are as long as the rate: at 2e-5 a head of 0.02 would stand still.
    base = encoder_of(tiny("xlm-roberta"), tmp_path / "encoder")
    moved = []
    for rank in (0, 2):
        settings = settings_of(base, groups, tmp_path / f"out{rank}", lora_rank=rank, warmup_ratio=0.0, **RATES)
        model = TrainedModel(settings, find_model(str(base)), CPU)
        before = model.model.classifier.out_proj.weight.detach().clone()
        loop = loop_of(task_of(settings), model, CPU, World())
        next(iter(loop.steps(0)))
        moved.append(float((model.model.classifier.out_proj.weight.detach() - before).abs().mean()))
    assert moved == pytest.approx([1e-3, 1e-3], rel=0.05)


# what a pooling says of the head


@pytest.mark.parametrize(
    "mode",
    [{"pooling_mode_mean_tokens": True}, {"pooling_mode_cls_token": True}, {"pooling_mode_lasttoken": True}],
    ids=["mean", "cls", "last"],
)
def test_a_pooler_that_the_encoder_was_never_read_by_begins_afresh_at_the_rate_of_the_head(
    mode: dict[str, bool], tiny: Tiny, groups: Path, tmp_path: Path
) -> None:
    base = pooled(encoder_of(tiny("bert"), tmp_path / "encoder"), **mode)
    before = AutoModelForSequenceClassification.from_pretrained(tiny("bert")).bert.pooler.dense.weight
    models = [trained(base, groups, seed=seed) for seed in (1, 1, 2)]
    poolers = [model.model.bert.pooler.dense for model in models]
    names = ["bert.pooler.dense.bias", "bert.pooler.dense.weight", "classifier.bias", "classifier.weight"]
    assert models[0].fresh == names
    found = rates(models[0])
    assert {found[name] for name in names if name in found} == {FRESH_HEAD_RATE}
    assert "bert.pooler.dense.weight" in found
    assert not torch.equal(poolers[0].weight, before), "what lay in the files is not what it begins with"
    assert torch.equal(poolers[0].weight, poolers[1].weight), "the same seed draws the same"
    assert not torch.equal(poolers[0].weight, poolers[2].weight)
    assert float(poolers[0].weight.detach().std()) == pytest.approx(0.02, rel=0.1), "BERT's initializer_range"
    assert not poolers[0].bias.any()
    query = "bert.encoder.layer.0.attention.self.query.weight"
    assert found[query] == 2e-5
    assert torch.equal(models[0].model.get_parameter(query), models[2].model.get_parameter(query)), "it is the base's"


def test_a_pooler_is_kept_where_nothing_says_that_it_was_not_used(tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    base = encoder_of(tiny("bert"), tmp_path / "encoder")
    model = trained(base, groups)
    before = AutoModelForSequenceClassification.from_pretrained(tiny("bert")).bert.pooler.dense.weight
    assert model.fresh == ["classifier.bias", "classifier.weight"]
    assert torch.equal(model.model.bert.pooler.dense.weight, before)
    assert rates(model)["bert.pooler.dense.weight"] == 2e-5


def test_a_pooling_file_without_modules_json_is_read_too(tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    base = pooled(encoder_of(tiny("bert"), tmp_path / "encoder"), pooling_mode_mean_tokens=True)
    (base / "modules.json").unlink()
    assert "bert.pooler.dense.weight" in trained(base, groups).fresh


def test_a_reranker_keeps_its_pooler_whatever_lies_beside_it(tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    base = pooled(Path(shutil.copytree(tiny("bert"), tmp_path / "base")), pooling_mode_mean_tokens=True)
    model = trained(base, groups)
    assert model.fresh == []
    before = AutoModelForSequenceClassification.from_pretrained(tiny("bert")).bert.pooler.dense.weight
    assert torch.equal(model.model.bert.pooler.dense.weight, before)


def test_the_head_of_a_language_model_that_became_an_encoder_begins_afresh_too(
    tiny: Tiny, groups: Path, tmp_path: Path
) -> None:
    config = ModernBertConfig.from_pretrained(tiny("modernbert"))
    folder = tmp_path / "encoder"
    torch.manual_seed(1)
    masked = ModernBertForMaskedLM(config)
    masked.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny("modernbert")).save_pretrained(folder)
    assert trained(folder, groups).fresh == ["classifier.bias", "classifier.weight"]
    model = trained(pooled(folder, pooling_mode_mean_tokens=True), groups)
    assert model.fresh == ["classifier.bias", "classifier.weight", "head.dense.weight", "head.norm.weight"]
    assert not torch.equal(model.model.head.dense.weight, masked.head.dense.weight)
    assert (model.model.head.norm.weight == 1).all()


# how a fresh head reads


def eurobert(folder: Path, tiny: Tiny) -> Path:
    """An encoder of the other family whose head reads by ``classifier_pooling``."""
    tokenizer = AutoTokenizer.from_pretrained(tiny("modernbert"))
    shape = shape_of(tokenizer, num_key_value_heads=2, bos_token_id=0, eos_token_id=1)
    torch.manual_seed(3)
    EuroBertModel(EuroBertConfig(**shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


PADDED = [
    ("how long", "A full charge cleans for 180 minutes, and longer on the lowest of its four levels."),
    ("a", "b"),
]


@pytest.mark.parametrize("family", ["modernbert", "eurobert"])
@pytest.mark.parametrize("pooling", [{"pooling_mode_cls_token": True}, {"pooling_mode": "mean"}], ids=["cls", "mean"])
def test_a_fresh_head_reads_the_tokens_as_the_encoder_was_read(
    pooling: dict[str, Any], family: str, tiny: Tiny, groups: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "encoder"
    base = pooled(encoder_of(tiny(family), bare) if family == "modernbert" else eurobert(bare, tiny), **pooling)
    model = trained(base, groups)
    inputs = model.tokenizer(*map(list, zip(*PADDED, strict=True)), padding=True, return_tensors="pt")
    inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    assert not inputs["attention_mask"].all(), "padding, which a mean must leave out"
    with torch.inference_mode():
        network = model.model.eval()
        hidden_PTW = network.base_model(**inputs).last_hidden_state
        by_hand = {
            "cls": hidden_PTW[:, 0],
            "mean": torch.stack(
                [row[mask.bool()].mean(0) for row, mask in zip(hidden_PTW, inputs["attention_mask"], strict=True)]
            ),
        }
        act = torch.nn.functional.gelu
        head: Any = network.head if family == "modernbert" else (lambda read: act(network.dense(read)))
        logits = {name: network.classifier(head(read)).squeeze(-1).numpy() for name, read in by_hand.items()}
    saved = tmp_path / "saved"
    saved.mkdir()
    model.save(saved)
    scores = Reranker.load(saved, device="cpu", max_length=96).score(PADDED)
    mode, other = ("mean", "cls") if "pooling_mode" in pooling else ("cls", "mean")
    assert scores == pytest.approx(logits[mode], abs=1e-6)
    assert np.abs(scores - logits[other]).max() > 1e-4, "which of the two it is shows"
    assert clause_about_head(find_model(str(base)), model.model.config.to_dict() | {"architectures": []}) == (
        f", which reads the tokens as the encoder is read ({mode})"
    )


def test_a_pooling_that_the_head_has_not_is_said_and_the_head_stays(tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    base = pooled(encoder_of(tiny("modernbert"), tmp_path / "encoder"), pooling_mode_lasttoken=True)
    folder = find_model(str(base))
    assert clause_about_head(folder, check_base(folder)) == (
        ", which cannot read the tokens as the encoder is read (lasttoken): it takes what config.json says"
    )
    assert trained(base, groups).model.config.classifier_pooling == "mean", "as the tiny model's config.json says"


def test_a_head_that_the_base_brings_reads_as_it_was_trained(tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    base = pooled(Path(shutil.copytree(tiny("modernbert"), tmp_path / "base")), pooling_mode_cls_token=True)
    assert trained(base, groups).model.config.classifier_pooling == "mean"


def test_a_run_that_began_with_a_head_that_reads_otherwise_goes_on_with_it(
    tiny: Tiny, groups: Path, tmp_path: Path
) -> None:
    base = encoder_of(tiny("modernbert"), tmp_path / "encoder")
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    trained(base, groups).save(checkpoint)  # by its config.json, as an earlier version began: the mean
    model = trained(pooled(base, pooling_mode_cls_token=True), groups)
    assert model.model.config.classifier_pooling == "cls"
    model.restore(checkpoint, None)
    assert model.model.config.classifier_pooling == "mean"


# what the loss cannot move


def _roberta(tokenizer: Any) -> Any:
    config = RobertaConfig(vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_labels=1)
    return RobertaForSequenceClassification(config)


def _electra(tokenizer: Any) -> Any:
    config = ElectraConfig(
        vocab_size=99, hidden_size=32, embedding_size=16, num_hidden_layers=2, num_attention_heads=4, num_labels=1
    )
    return ElectraForSequenceClassification(config)


MAKERS = {family: make for family, (make, _) in FAMILIES.items()} | {"roberta": _roberta, "electra": _electra}
SIZES = [4, 3]
LABELS = torch.tensor([1.0, 0, 0, 0, 1, 0, 0], dtype=torch.float64)
TEACHERS = torch.tensor([3.0, 1, -1, 0.5, 2, 1, -4], dtype=torch.float64)
TERMS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "group_ce": lambda scores_P: losses.group_cross_entropy(by_group(scores_P)),
    "kl": lambda scores_P: losses.distillation(by_group(scores_P), by_group(TEACHERS), 2.0),
    "margin_mse": lambda scores_P: losses.margin_mse(by_group(scores_P), by_group(TEACHERS)),
    "bce": lambda scores_P: torch.nn.functional.binary_cross_entropy_with_logits(scores_P, LABELS),
}
"""As they are trained, but in 64 bits."""


def by_group(values_P: torch.Tensor) -> torch.Tensor:
    return losses.rows(values_P, SIZES, -torch.inf)


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("family", MAKERS)
def test_what_is_left_out_is_just_what_has_no_gradient(family: str, term: str) -> None:
    # In 64 bits rounding is 1e-16 of what it rounds, and every other weight of these models has far more than that.
    tokenizer = FAMILIES[family][1]() if family in FAMILIES else None
    torch.manual_seed(7)
    model = MAKERS[family](tokenizer).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    ids = torch.randint(10, 90, (7, 12))
    scores = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, 0]
    TERMS[term](scores).backward()
    largest = max(float(each.grad.abs().max()) for each in model.parameters() if each.grad is not None)
    without = {
        name
        for name, each in model.named_parameters()
        if each.grad is None or float(each.grad.abs().max()) < 1e-13 * largest
    }
    assert unmoved(model, moves_level=bool(Objective(weights={term: 1.0}).level_terms)) == without


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("bert", "classifier.bias"),
        ("xlm-roberta", "classifier.out_proj.bias"),
        ("modernbert", "classifier.bias"),
        ("deberta-v2", "classifier.bias"),
        ("gte", "classifier.bias"),
        ("qwen3", None),
        ("electra", "classifier.out_proj.bias"),
    ],
)
def test_the_bias_that_raises_all_scores_alike_is_known_in_every_family(family: str, name: str | None) -> None:
    model = MAKERS[family](FAMILIES[family][1]() if family in FAMILIES else None)
    assert level_bias(model) == name


# a run that began under an earlier version


def marked_state_of_before(model: Any, fresh: list[str], rate: float) -> tuple[dict[str, Any], dict[str, float]]:
    """An optimiser's state as 18bb01a made it, without names; and the number that each weight's moments are full of."""
    groups: dict[tuple[float, float], list[tuple[str, Any]]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            own_rate = FRESH_HEAD_RATE if name in fresh else rate
            groups.setdefault((own_rate, 0.01 if parameter.ndim > 1 else 0.0), []).append((name, parameter))
    optimizer = torch.optim.AdamW(
        [
            {"params": [each for _, each in named], "lr": own_rate, "highest_lr": own_rate, "weight_decay": decay}
            for (own_rate, decay), named in groups.items()
        ],
        fused=True,
    )
    marks = {}
    for mark, (name, parameter) in enumerate((each for named in groups.values() for each in named), start=1):
        marks[name] = float(mark)
        full = {key: torch.full_like(parameter, mark) for key in ("exp_avg", "exp_avg_sq")}
        optimizer.state[parameter] = {"step": torch.tensor(7.0), **full}
    return optimizer.state_dict(), marks


@pytest.mark.parametrize("lora_rank", [0, 2], ids=["all weights", "adapters"])
@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("is_fresh", [True, False], ids=["fresh head", "head of the base"])
def test_the_moments_that_a_checkpoint_of_before_holds_go_to_their_own_weights(
    family: str, is_fresh: bool, lora_rank: int, tiny: Tiny, groups: Path, tmp_path: Path
) -> None:
    base = encoder_of(tiny(family), tmp_path / "encoder") if is_fresh else tiny(family)
    old = trained(base, groups).model.requires_grad_(True)
    if lora_rank:  # as it was: peft puts copies of the heads under other names
        ours = trained(base, groups, lora_rank=lora_rank)
        linears = {name.split(".lora_")[0] for name, _ in ours.model.named_parameters() if ".lora_" in name}
        heads = [name for name in ("bert.pooler", "classifier") if name in dict(old.named_modules())]
        get_peft_model(old, LoraConfig(r=lora_rank, target_modules=sorted(linears), modules_to_save=heads, bias="none"))
    model = trained(base, groups, lora_rank=lora_rank)
    state, marks = marked_state_of_before(old, model.fresh, 2e-5)
    optimizer = optimizer_of(model.model, rates_of(model.model, model.fresh, 2e-5, None), 0.01)
    let_go = restore(optimizer, state, model.names_before(2e-5, None))
    own = {name.replace(".modules_to_save.default", ""): mark for name, mark in marks.items()}
    names = {id(parameter): name for name, parameter in model.model.named_parameters()}
    found = {names[id(parameter)]: float(moments["exp_avg"].mean()) for parameter, moments in optimizer.state.items()}
    assert found == {name: mark for name, mark in own.items() if name not in let_go}
    assert set(let_go) == set(own) - set(found)
    assert level_bias(model.model) in let_go
    head = FRESH_HEAD_RATE if is_fresh else 2e-5
    assert {group["highest_lr"] for group in optimizer.param_groups} == {2e-5, head}, "rates are those of now"


def test_a_state_that_names_its_weights_is_read_by_them(tiny: Tiny, groups: Path) -> None:
    model = trained(tiny("bert"), groups)
    rates_ = rates_of(model.model, model.fresh, 2e-5, None)
    first, second = (optimizer_of(model.model, rates_, 0.01) for _ in range(2))
    for parameter in first.param_groups[0]["params"] + first.param_groups[1]["params"]:
        full = {key: torch.randn_like(parameter) for key in ("exp_avg", "exp_avg_sq")}
        first.state[parameter] = {"step": torch.tensor(3.0), **full}
    assert restore(second, first.state_dict(), []) == []
    assert len(second.state) == len(rates_)
    for parameter, moments in first.state.items():
        assert torch.equal(second.state[parameter]["exp_avg"], moments["exp_avg"])


def test_an_adapter_that_was_kept_by_the_names_of_peft_is_restored(tiny: Tiny, groups: Path, tmp_path: Path) -> None:
    model, other = (trained(tiny("bert"), groups, lora_rank=2) for _ in range(2))
    with torch.no_grad():
        for parameter in model.model.parameters():
            if parameter.requires_grad:
                parameter.normal_()
    state = model.adapter_state()
    assert state is not None
    of_peft = {
        f"base_model.model.{name.replace('.lora_A.default.', '.lora_A.').replace('.lora_B.default.', '.lora_B.')}": each
        for name, each in state.items()
    }
    other.restore(tmp_path, of_peft)
    for name, parameter in other.model.named_parameters():
        assert torch.equal(parameter, model.model.get_parameter(name)), name
    with pytest.raises(ValueError, match="it lacks"):
        other.restore(tmp_path, {name: each for name, each in of_peft.items() if "lora_B" not in name})
