"""Names of other libraries and misspelt ones: the error says ours, and none is accepted."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import click
import pytest

from crossrank.cli import main
from crossrank.config.nearest import NAMES_OF_PEERS, UNNEEDED, VALUES_OF_PEERS, VERBS_OF_PEERS, nearest
from crossrank.config.settings import from_mapping
from crossrank.config.usage import OneOf
from crossrank.errors import SettingsError
from crossrank.training.settings import TrainSettings

TRAIN = ["train", "--base", "b", "--groups", "g", "--output", "o"]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence for a command line that is refused with status 2."""
    with pytest.raises(SystemExit) as stopped:
        main.main(list(arguments))
    assert stopped.value.code == 2
    out, error = capsys.readouterr()
    assert out == ""
    [line] = error.splitlines()
    return line.removeprefix("crossrank: ")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        # A key of train, typed as a flag: under our name, under other libraries' names, misspelt.
        ("train --learning-rate 2e-5", "train has no flag --learning-rate; write --set learning_rate=2e-5"),
        ("train --learning_rate=2e-5", "train has no flag --learning_rate; write --set learning_rate=2e-5"),
        ("train --lr 1e-5", "train has no flag --lr; write --set learning_rate=1e-5"),
        ("train --lr", "train has no flag --lr; write --set learning_rate=..."),
        ("train --epochs 3", "train has no flag --epochs; write --set num_train_epochs=3"),
        ("train --num_train_epochs 3", "train has no flag --num_train_epochs; write --set num_train_epochs=3"),
        ("train --batch-size 8", "train has no flag --batch-size; write --set groups_per_step=8"),
        (
            "train --per_device_train_batch_size 8",
            "train has no flag --per_device_train_batch_size; write --set groups_per_step=8",
        ),
        ("train --lerning-rate 1", "train has no flag --lerning-rate; write --set learning_rate=1"),
        ("train --warmup-steps 5", "train has no flag --warmup-steps; write --set warmup_ratio=5"),
        # A flag under other libraries' names, misspelt, or with underscores.
        ("train --model x", "train has no flag --model; write --base"),
        ("train --model_name_or_path x", "train has no flag --model_name_or_path; write --base"),
        ("train --train_data x", "train has no flag --train_data; write --groups"),
        ("train --output_dir x", "train has no flag --output_dir; write --output"),
        ("train --max_length 64", "train has no flag --max_length; write --max-length"),
        ("train --fp16", "train has no flag --fp16; write --precision"),
        ("rerank --top-k 3", "rerank has no flag --top-k; write --top-n"),
        ("rerank --qureies q", "rerank has no flag --qureies; write --queries"),
        ("rerank --model_name x", "rerank has no flag --model_name; write --model"),
        ("evaluate --model x", "evaluate has no flag --model; write --models"),
        ("evaluate --top-k 3", "evaluate has no flag --top-k; write --depth"),
        ("mine --num-negatives 5", "mine has no flag --num-negatives; write --negatives"),
        ("translate --src_lang en", "translate has no flag --src_lang; write --source"),
        ("filter --tgt ko", "filter has no flag --tgt; write --target"),
        ("score -o x", "score has no flag -o; write --output"),
        ("convert --form groups a b", "convert has no flag --form; write --from"),
        ("memory export --out x", "memory export has no flag --out; write --output"),
        ("recipe r.yaml --ste a=b", "recipe has no flag --ste; write --set"),
        ("jobs status x --adress y", "jobs status has no flag --adress; write --address"),
        # The value of a flag may be a secret.
        ("serve --api-key SECRET", "serve has no flag --api-key; write --api-keys"),
        # A flag of another verb.
        (
            "rerank --budget-usd 3",
            "rerank has no flag --budget-usd; translate has it as --budget-usd",
        ),
        (
            "rerank --lr 3",
            "rerank has no flag --lr; train has it as --set learning_rate=3",
        ),
        ("train --alpha 1", "train has no flag --alpha; merge has it as --alpha; write --set lora_alpha=1"),
        # What is not needed, and what nobody knows.
        (
            "rerank --batch-size 8",
            "rerank has no flag --batch-size; batches are cut by tokens, so there is no size to set",
        ),
        ("train --resume", "train has no flag --resume; the same command goes on by itself where it was"),
        ("rerank --xyzzy", "rerank has no flag --xyzzy; crossrank rerank --help lists those that it has"),
        # A verb without keys, and what stands without a flag.
        ("rerank --set depth=3", "rerank has no flag --set; write --depth"),
        ("rerank --set top_k=3", "rerank has no flag --set; write --top-n"),
        ("rerank --set xyzzy=3", "rerank has no flag --set; crossrank rerank --help lists its flags"),
        (
            "train groups.jsonl",
            "crossrank train takes no argument groups.jsonl; write the flag that it belongs to before it",
        ),
        # Verbs, and values of flags.
        ("rerrank", "there is no verb rerrank; write crossrank rerank"),
        ("finetune", "there is no verb finetune; write crossrank train"),
        ("jobs stat", "there is no verb stat; write crossrank jobs status"),
        ("memory exprot", "there is no verb exprot; write crossrank memory export"),
        ("xyzzy", "there is no verb xyzzy; crossrank --help lists those that there are"),
        ("submit trian", "VERB is 'trian'; write train"),
        ("convert --from parquet --to beir a b", "--from is 'parquet'; write groups"),
        ("rerank --normalize sigmod", "--normalize is 'sigmod'; write sigmoid"),
        ("rerank --normalize minmax", "--normalize is 'minmax'; use one of none, sigmoid, softmax"),
        ("rerank --precision float16", "--precision is 'float16'; write fp16"),
    ],
)
def test_a_wrong_flag_is_answered_with_what_to_write(
    capsys: pytest.CaptureFixture[str], typed: str, sentence: str
) -> None:
    found = refused(capsys, *typed.split())
    assert found == sentence
    assert "SECRET" not in found


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        ("lr", "learning_rate"),
        ("epochs", "num_train_epochs"),
        ("batch_size", "groups_per_step"),
        ("per-device-train-batch-size", "groups_per_step"),
        ("model", "base"),
        ("model_name_or_path", "base"),
        ("lerning_rate", "learning_rate"),
        ("Learning_Rates", "learning_rate"),
        ("patience", "early_stopping_patience"),
        ("max_seq_length", "max_length"),
    ],
)
def test_a_key_of_other_libraries_or_misspelt_is_answered_with_ours_and_not_accepted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, ours: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(f"{key}: 1\n")
    sentence = f"has the key {key.replace('-', '_')}, which is not known; write {ours}"
    assert refused(capsys, *TRAIN, "--config", "c.yaml") == f"c.yaml {sentence}"
    assert refused(capsys, *TRAIN, "--set", f"{key}=1") == f"--set {sentence}"


def test_a_key_that_nothing_is_near_is_not_answered_with_a_list_of_all() -> None:
    with pytest.raises(SettingsError) as error:
        from_mapping(TrainSettings, {"xyzzy": 1}, "c.yaml")
    assert str(error.value) == (
        "c.yaml has the key xyzzy, which is not known; no key is near it; --help lists those that there are"
    )


def test_a_short_name_is_not_taken_for_whatever_begins_with_it() -> None:
    assert nearest("t", ["truncation", "temperature"]) is None
    assert nearest("eval", ["eval_groups", "output"]) == "eval_groups"


def known_names() -> set[str]:
    """Every flag and key of every verb."""
    verbs = [*main.crossrank.commands.values()]
    verbs += [each for verb in verbs if isinstance(verb, click.Group) for each in verb.commands.values()]
    flags = {name.lstrip("-").replace("-", "_") for verb in verbs for param in verb.params for name in param.opts}
    return flags | {key for verb in verbs for key in getattr(verb, "keys", ())}


def test_the_tables_lead_to_names_that_there_are() -> None:
    verbs = main.crossrank.commands
    assert {ours for names in NAMES_OF_PEERS.values() for ours in names} <= known_names()
    assert set(VERBS_OF_PEERS.values()) <= set(verbs)
    assert not set(VERBS_OF_PEERS) & set(verbs)
    choices = {
        choice
        for verb in verbs.values()
        for param in verb.params
        if isinstance(param.type, OneOf)
        for choice in param.type.choices
    }
    assert {ours for names in VALUES_OF_PEERS.values() for ours in names} <= choices
    assert not set(UNNEEDED) & {each.name for each in fields(TrainSettings)}
