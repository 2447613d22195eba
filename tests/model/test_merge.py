"""`crossrank merge`, by hand: weights whose middle a reader can work out, heads that a base lacks, strangers."""

from __future__ import annotations

import json
import shutil
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertForMaskedLM, BertModel, XLMRobertaModel

from crossrank import Reranker, storage
from crossrank.errors import InputError, ModelRefused, OutputError, SettingsError, UserError
from crossrank.scoring.loading import find_model
from crossrank.storage import files
from crossrank.training import merge as merging
from crossrank.training.merge import MergeSettings, merge
from crossrank.training.tensors import TensorKind, opened, write_tensors
from tests.model.tiny_models import TEXTS
from tests.ray.s3_server import s3_server

Tiny = Callable[[str], Path]
Weights = dict[str, torch.Tensor]

PAIRS = [(TEXTS[0], TEXTS[1]), (TEXTS[0], TEXTS[2])]


def weights_of(folder: Path) -> Weights:
    return load_file(folder / "model.safetensors")


def changed(source: Path, folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> Path:
    """A copy of a model, each of its weights changed."""
    shutil.copytree(source, folder)
    weights = {name: change(weight) for name, weight in weights_of(source).items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def reconfigure(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def base(tiny: Tiny, tmp_path: Path) -> Path:
    """A tiny BERT reranker that a test may spoil."""
    return Path(shutil.copytree(tiny("bert"), tmp_path / "base"))


@pytest.fixture
def tuned(base: Path, tmp_path: Path) -> Path:
    """The same, tuned: each weight is 4 more."""
    return changed(base, tmp_path / "tuned", lambda weight: weight + 4)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of an S3 server on the loopback."""
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    with s3_server() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        boto3.client("s3").create_bucket(Bucket="models")
        yield "s3://models"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "merged"


def merged(base: Path, tuned: Path, alpha: float, output: Path, overwrite: bool = False) -> dict[str, Any]:
    return merge(MergeSettings(base=str(base), tuned=str(tuned), alpha=alpha, output=str(output), overwrite=overwrite))


def refusal(
    base: Path, tuned: Path, output: Path, error_class: type[UserError] = ModelRefused, alpha: float = 0.5
) -> str:
    """The sentence of a merge that is refused and writes nothing."""
    before = sorted(output.rglob("*"))
    with pytest.raises(error_class) as caught:
        merged(base, tuned, alpha, output)
    assert sorted(output.rglob("*")) == before
    assert not list(output.parent.glob("_*"))
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


# the weights


def test_a_quarter_of_the_way_from_one_to_five_is_two(tiny: Tiny, tmp_path: Path, output: Path) -> None:
    ones = changed(tiny("bert"), tmp_path / "ones", torch.ones_like)
    fives = changed(tiny("bert"), tmp_path / "fives", lambda weight: torch.full_like(weight, 5))
    merged(ones, fives, 0.25, output)
    found = weights_of(output)
    assert found.keys() == weights_of(ones).keys()
    for name, weight in found.items():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, torch.full_like(weight, 2)), name


def test_alpha_one_is_the_tuned_model_and_alpha_zero_the_base_to_the_last_bit(
    base: Path, tuned: Path, tmp_path: Path
) -> None:
    for alpha, model in ((1.0, tuned), (0.0, base)):
        output = tmp_path / f"alpha-{alpha}"
        merged(base, tuned, alpha, output)
        found, expected = weights_of(output), weights_of(model)
        assert found.keys() == expected.keys()
        for name, weight in found.items():
            assert weight.numpy().tobytes() == expected[name].numpy().tobytes(), name


def test_the_merged_model_is_a_reranker_with_the_tokenizer_of_the_tuned_one(
    base: Path, tuned: Path, output: Path
) -> None:
    merged(base, tuned, 1.0, output)
    reranker = Reranker.load(str(output), device="cpu")
    assert reranker.score(PAIRS).tolist() == Reranker.load(str(tuned), device="cpu").score(PAIRS).tolist()
    assert (output / "tokenizer.json").read_bytes() == (tuned / "tokenizer.json").read_bytes()


@pytest.mark.parametrize("family", ["xlm-roberta", "modernbert", "deberta-v2", "gte", "qwen3"])
def test_models_of_every_family_are_merged(family: str, tiny: Tiny, tmp_path: Path, output: Path) -> None:
    tuned = changed(tiny(family), tmp_path / "tuned", lambda weight: weight * 3)
    merged(tiny(family), tuned, 0.5, output)
    before = weights_of(tiny(family))
    for name, weight in weights_of(output).items():  # half of 1 and half of 3
        torch.testing.assert_close(weight, before[name] * 2, rtol=1e-6, atol=1e-7)
    assert np.isfinite(Reranker.load(str(output), device="cpu", max_length=320).score(PAIRS)).all()


def test_half_precision_is_merged_and_saved_in_single(base: Path, tmp_path: Path, output: Path) -> None:
    tuned = changed(base, tmp_path / "tuned", lambda weight: torch.full_like(weight, 1, dtype=torch.bfloat16))
    reconfigure(tuned, dtype="bfloat16")
    zeros = changed(base, tmp_path / "zeros", lambda weight: torch.zeros_like(weight, dtype=torch.float16))
    merged(zeros, tuned, 0.3, output)
    for weight in weights_of(output).values():  # 0.3 in bfloat16 would be 0.30078
        torch.testing.assert_close(weight, torch.full_like(weight, 0.3), rtol=1e-7, atol=0)
    assert json.loads((output / "config.json").read_text())["dtype"] == "float32"


def test_a_checkpoint_in_shards_is_merged_as_one_in_a_file(base: Path, tuned: Path, tmp_path: Path) -> None:
    shards = Path(shutil.copytree(tuned, tmp_path / "shards"))
    (shards / "model.safetensors").unlink()
    model = AutoModelForSequenceClassification.from_pretrained(tuned)
    model.save_pretrained(shards, max_shard_size="40KB")
    assert len(list(shards.glob("model-*.safetensors"))) > 1
    merged(base, tuned, 0.25, tmp_path / "of-a-file")
    merged(base, shards, 0.25, tmp_path / "of-shards")
    assert sorted(path.name for path in (tmp_path / "of-shards").glob("*.safetensors*")) == ["model.safetensors"]
    expected = weights_of(tmp_path / "of-a-file")
    for name, weight in weights_of(tmp_path / "of-shards").items():
        assert torch.equal(weight, expected[name]), name


def test_a_weight_is_let_go_before_the_next_is_asked_for(tmp_path: Path) -> None:
    given: list[weakref.ref[torch.Tensor]] = []

    def tensor(name: str) -> torch.Tensor:
        assert all(before() is None for before in given)
        found = torch.full((2, 3), float(name))
        given.append(weakref.ref(found))
        return found

    with open(tmp_path / "model.safetensors", "wb") as file:
        write_tensors(file, {str(number): TensorKind("F32", (2, 3)) for number in range(5)}, tensor)
    found = weights_of(tmp_path)
    assert [found[str(number)][1, 2].item() for number in range(5)] == [0, 1, 2, 3, 4]


def test_equal_integers_beside_the_weights_are_kept(base: Path, tuned: Path, output: Path) -> None:
    for folder in (base, tuned):
        more = {"bert.embeddings.position_ids": torch.arange(3)}
        save_file(weights_of(folder) | more, folder / "model.safetensors", {"format": "pt"})
    merged(base, tuned, 0.5, output)
    assert weights_of(output)["bert.embeddings.position_ids"].tolist() == [0, 1, 2]
    torch.testing.assert_close(weights_of(output)["classifier.bias"], weights_of(base)["classifier.bias"] + 2)


def test_names_of_old_files_are_understood(base: Path, tuned: Path, tmp_path: Path, output: Path) -> None:
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): weight
        for name, weight in weights_of(base).items()
    }
    expected = weights_of(base)["bert.embeddings.LayerNorm.weight"] + 2
    save_file(old, base / "model.safetensors", {"format": "pt"})
    manifest = merged(base, tuned, 0.5, output)
    assert manifest["tensors"]["of_tuned_alone"] == manifest["tensors"]["of_base_left_out"] == []
    assert torch.equal(weights_of(output)["bert.embeddings.LayerNorm.weight"], expected)


# a base without a head


def test_a_head_that_the_base_lacks_is_the_tuned_ones_and_said(
    base: Path, tuned: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = weights_of(base)
    BertModel.from_pretrained(base, add_pooling_layer=False).save_pretrained(base)  # names without "bert."
    assert "embeddings.word_embeddings.weight" in weights_of(base)
    manifest = merged(base, tuned, 0.25, output)
    found, expected = weights_of(output), weights_of(tuned)
    alone = ["bert.pooler.dense.bias", "bert.pooler.dense.weight", "classifier.bias", "classifier.weight"]
    assert manifest["tensors"]["of_tuned_alone"] == alone
    for name in alone:
        assert torch.equal(found[name], expected[name])
    layer = "bert.encoder.layer.1.output.dense.weight"
    torch.testing.assert_close(found[layer], before[layer] + 1)
    assert f"{base} has no bert.pooler.dense, classifier: taken from {tuned}, whatever alpha is" in (
        capsys.readouterr().err
    )


def test_a_pooler_that_the_encoder_was_never_read_by_is_the_tuned_ones_and_said(
    tiny: Tiny, tuned: Path, tmp_path: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Training drew it anew, so half way between the two is nowhere.
    encoder = tmp_path / "encoder"
    AutoModelForSequenceClassification.from_pretrained(tiny("bert")).bert.save_pretrained(encoder)
    AutoTokenizer.from_pretrained(tiny("bert")).save_pretrained(encoder)
    assert "pooler.dense.weight" in weights_of(encoder)
    (encoder / "1_Pooling").mkdir()
    (encoder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    merged(encoder, tuned, 0.25, output)
    found, expected = weights_of(output), weights_of(tuned)
    for name in ("bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight"):
        assert torch.equal(found[name], expected[name]), name
    query = "encoder.layer.0.attention.self.query.weight"
    between = 0.25 * expected[f"bert.{query}"] + 0.75 * weights_of(encoder)[query]
    torch.testing.assert_close(found[f"bert.{query}"], between, rtol=0, atol=1e-6)
    assert f"{encoder} was never read by its bert.pooler.dense: taken from {tuned}" in capsys.readouterr().err


def test_an_encoder_of_another_family_needs_no_head_either(tiny: Tiny, tmp_path: Path, output: Path) -> None:
    base = Path(shutil.copytree(tiny("xlm-roberta"), tmp_path / "base"))
    XLMRobertaModel.from_pretrained(base, add_pooling_layer=False).save_pretrained(base)
    tuned = changed(tiny("xlm-roberta"), tmp_path / "tuned", torch.zeros_like)
    merged(base, tuned, 0.5, output)
    name = "roberta.embeddings.word_embeddings.weight"
    assert torch.equal(weights_of(output)[name], weights_of(tiny("xlm-roberta"))[name] / 2)
    assert weights_of(output)["classifier.out_proj.bias"].tolist() == [0]


def test_the_head_of_a_language_model_is_left_out_and_said(
    base: Path, tuned: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    BertForMaskedLM.from_pretrained(base).save_pretrained(base)
    merged(base, tuned, 0.5, output)
    assert weights_of(output).keys() == weights_of(tuned).keys()
    assert f"{base} has weights that {tuned} has not, and they are left out: cls (5)" in capsys.readouterr().err


# strangers


def test_models_of_different_families_are_refused(tiny: Tiny, base: Path, output: Path) -> None:
    sentence = refusal(tiny("xlm-roberta"), base, output)
    assert f"model_type is xlm-roberta in {tiny('xlm-roberta')} and bert in {base}" in sentence
    assert "name the model that training started from as --base" in sentence


@pytest.mark.parametrize(("name", "value"), [("num_attention_heads", 2), ("hidden_act", "relu")])
def test_models_that_compute_something_else_from_the_same_weights_are_refused(
    name: str, value: Any, base: Path, tuned: Path, output: Path
) -> None:
    reconfigure(base, **{name: value})
    assert f"{name} is {value} in {base}" in refusal(base, tuned, output)


def test_a_weight_of_another_shape_is_refused(base: Path, tuned: Path, output: Path) -> None:
    wider = {"bert.embeddings.position_embeddings.weight": torch.zeros(300, 32)}
    save_file(weights_of(base) | wider, base / "model.safetensors", {"format": "pt"})
    expected = (
        f"bert.embeddings.position_embeddings.weight has the shape [300, 32] in {base} and [512, 32] in {tuned}, so "
        f"neither was tuned from the other"
    )
    assert expected in refusal(base, tuned, output)


def test_a_base_that_lacks_a_part_of_the_encoder_is_refused(base: Path, tuned: Path, output: Path) -> None:
    kept = {name: weight for name, weight in weights_of(base).items() if "layer.1" not in name}
    save_file(kept, base / "model.safetensors", {"format": "pt"})
    assert f"{base} lacks 16 weights of {tuned}'s encoder, as bert.encoder.layer.1." in refusal(base, tuned, output)


def test_another_vocabulary_of_the_same_size_is_refused(base: Path, tuned: Path, output: Path) -> None:
    tokenizer = json.loads((base / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    words["zebra"] = words.pop(max(words, key=lambda word: words[word]))
    (base / "tokenizer.json").write_text(json.dumps(tokenizer))
    sentence = refusal(base, tuned, output)
    assert f"{base} and {tuned} have vocabularies of {len(words)} and {len(words)} tokens that differ" in sentence


@pytest.mark.parametrize("which", ["base", "tuned"])
def test_two_labels_are_refused(which: str, base: Path, tuned: Path, output: Path, tmp_path: Path) -> None:
    reconfigure(tmp_path / which, id2label={"0": "no", "1": "yes"}, label2id={"no": 0, "yes": 1})
    assert f"{tmp_path / which} has 2 labels, and a reranker has 1 logit" in refusal(base, tuned, output)


def test_a_tuned_model_without_a_head_is_refused(base: Path, tuned: Path, output: Path) -> None:
    BertModel.from_pretrained(tuned).save_pretrained(tuned)
    assert f"{tuned} has no classification head" in refusal(base, tuned, output)


def test_a_quantised_model_is_refused(base: Path, tuned: Path, output: Path) -> None:
    name = "bert.encoder.layer.0.output.dense.weight"
    for folder, weight in ((base, torch.zeros(32, 64)), (tuned, torch.zeros(32, 64, dtype=torch.int8))):
        save_file(weights_of(folder) | {name: weight}, folder / "model.safetensors", {"format": "pt"})
    expected = f"{name} holds F32 numbers in {base} and I8 in {tuned}; use the models as they were before quantisation"
    assert expected in refusal(base, tuned, output)


def test_integers_that_differ_are_refused(base: Path, tuned: Path, output: Path) -> None:
    for folder, ids in ((base, [0, 1]), (tuned, [0, 2])):
        more = {"bert.embeddings.position_ids": torch.tensor(ids)}
        save_file(weights_of(folder) | more, folder / "model.safetensors", {"format": "pt"})
    assert "bert.embeddings.position_ids holds I64 numbers that differ" in refusal(base, tuned, output)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_weight_that_is_not_finite_is_refused(value: float, base: Path, tuned: Path, output: Path) -> None:
    more = {"bert.pooler.dense.bias": torch.tensor([value] + [0.0] * 31)}
    save_file(weights_of(tuned) | more, tuned / "model.safetensors", {"format": "pt"})
    sentence = refusal(base, tuned, output)
    assert f"bert.pooler.dense.bias is not finite in {tuned} or in {base}; use an earlier checkpoint" in sentence


def test_weights_that_break_off_are_refused(base: Path, tuned: Path, output: Path) -> None:
    whole = (base / "model.safetensors").read_bytes()
    (base / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert f"the weights of {base} cannot be read" in refusal(base, tuned, output)


def test_a_shard_that_is_missing_is_refused(base: Path, tuned: Path, output: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(base)
    (base / "model.safetensors").unlink()
    model.save_pretrained(base, max_shard_size="40KB")
    sorted(base.glob("model-*.safetensors"))[0].unlink()
    assert f"the weights of {base} cannot be read" in refusal(base, tuned, output)


def test_a_base_that_is_nowhere_is_refused(tuned: Path, output: Path, tmp_path: Path) -> None:
    assert "check the path" in refusal(tmp_path / "nowhere", tuned, output)


def test_a_base_whose_config_is_broken_is_refused(base: Path, tuned: Path, output: Path) -> None:
    (base / "config.json").write_text("{")
    assert f"{base}/config.json is not JSON" in refusal(base, tuned, output, InputError)


def test_an_encoder_whose_config_cannot_be_used_is_refused(base: Path, tuned: Path, output: Path) -> None:
    reconfigure(base, architectures=["BertModel"], hidden_size="large")
    assert f"{base}/config.json cannot be used" in refusal(base, tuned, output)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), float("inf")])
def test_an_alpha_that_is_no_share_is_refused(alpha: float, base: Path, tuned: Path, output: Path) -> None:
    sentence = refusal(base, tuned, output, SettingsError, alpha)
    assert f"--alpha is {alpha}; use 0 for the base, 1 for the tuned model, or between" in sentence


# the output


def test_an_output_that_is_an_input_is_refused(base: Path, tuned: Path, tmp_path: Path) -> None:
    assert f"--output {base} would overwrite --base {base}" in refusal(base, tuned, base, OutputError)
    link = tmp_path / "link"
    link.symlink_to(tuned)
    assert f"--output {link} would overwrite --tuned {tuned}" in refusal(base, tuned, link, OutputError)


def test_an_output_that_an_input_lies_in_is_refused(base: Path, tuned: Path, tmp_path: Path) -> None:
    sentence = refusal(base, tuned, tmp_path, OutputError)
    assert f"--base {base} lies in --output {tmp_path}; name a folder apart from it" in sentence


def test_an_output_that_holds_something_is_refused_and_kept(base: Path, tuned: Path, output: Path) -> None:
    output.mkdir()
    (output / "notes.txt").write_text("mine")
    sentence = refusal(base, tuned, output, OutputError)
    assert f"--output {output} holds files, such as {output}/notes.txt; name another folder, or add --over" in sentence
    with pytest.raises(OutputError, match="--overwrite throws away models alone; name another folder"):
        merged(base, tuned, 0.5, output, overwrite=True)
    assert (output / "notes.txt").read_text() == "mine"


def test_an_output_that_is_a_file_is_refused(base: Path, tuned: Path, output: Path) -> None:
    output.write_text("mine")
    with pytest.raises(OutputError, match="is a file; name a folder"):
        merged(base, tuned, 0.5, output, overwrite=True)


def test_an_empty_folder_is_taken_as_output(base: Path, tuned: Path, output: Path) -> None:
    output.mkdir()
    merged(base, tuned, 0.5, output)
    assert (output / "config.json").exists()


def test_a_merge_that_is_finished_does_nothing_and_another_alpha_is_refused(
    base: Path, tuned: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = merged(base, tuned, 0.5, output)
    assert merged(base, tuned, 0.5, output) == manifest
    assert f"{output} is finished; nothing to do" in capsys.readouterr().err
    assert "holds the merge of other models or of another alpha" in refusal(base, tuned, output, OutputError, 0.25)


def test_overwriting_puts_the_new_model_in_place_of_all_that_the_old_one_had(
    base: Path, tuned: Path, output: Path
) -> None:
    shutil.copytree(base, output)
    (output / "model-00001-of-00002.safetensors").write_bytes(b"of an older model")
    merged(base, tuned, 0.5, output, overwrite=True)
    assert not (output / "model-00001-of-00002.safetensors").exists()
    torch.testing.assert_close(weights_of(output)["classifier.bias"], weights_of(base)["classifier.bias"] + 2)
    assert not list(output.parent.glob("_*"))


def test_what_a_kill_left_is_cleared_away(base: Path, tuned: Path, output: Path) -> None:
    left = output.with_name("_merged.0123abcd.tmp")
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    merged(base, tuned, 0.5, output)
    assert not left.exists()


def test_a_failure_while_writing_leaves_the_old_model_as_it_was(
    base: Path, tuned: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged(base, tuned, 0.5, output)
    before = {path.name: path.read_bytes() for path in output.iterdir()}

    def disk_full(file: Any, *_: Any) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device", file.name)  # as `NamedFile` does

    monkeypatch.setattr(merging, "write_tensors", disk_full)
    with pytest.raises(OutputError, match=r"model.safetensors: No space left on device"):
        merged(base, tuned, 0.25, output, overwrite=True)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    assert not list(output.parent.glob("_*"))


def test_a_place_that_cannot_be_written_is_said(base: Path, tuned: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert "cannot write" in refusal(base, tuned, tmp_path / "file" / "merged", OutputError)


def test_the_manifest_says_what_was_merged_and_nothing_private_of_the_training_is_copied(
    base: Path, tuned: Path, output: Path
) -> None:
    (tuned / "_manifest.json").write_text('{"identity": {"groups": "abc"}}')
    manifest = merged(base, tuned, 0.5, output)
    assert json.loads((output / "_manifest.json").read_text()) == manifest
    assert manifest["identity"] == {
        "base": find_model(str(base)).revision,
        "tuned": find_model(str(tuned)).revision,
        "alpha": 0.5,
    }
    assert manifest["tensors"]["merged"] == len(weights_of(tuned))


def test_models_come_from_s3_and_go_there(base: Path, tuned: Path, output: Path, bucket: str) -> None:
    for folder in (base, tuned):
        for path in folder.iterdir():
            storage.write_bytes(f"{bucket}/{folder.name}/{path.name}", path.read_bytes())
    storage.write_bytes(f"{bucket}/merged/config.json", b"{}")
    there = {name: f"{bucket}/{name}" for name in ("base", "tuned")}
    merge(MergeSettings(**there, alpha=0.5, output=f"{bucket}/merged", overwrite=True))
    merged(base, tuned, 0.5, output)
    for path in output.iterdir():
        if path.name != "_manifest.json":
            assert storage.read_bytes(f"{bucket}/merged/{path.name}") == path.read_bytes(), path.name
    names = sorted(Path(file.uri).name for file in storage.list_files(f"{bucket}/merged"))
    assert names == sorted(path.name for path in output.iterdir())


def test_a_file_of_the_tuned_model_that_is_gone_is_named_and_not_the_output(
    base: Path, tuned: Path, output: Path
) -> None:
    # As in the cache of a hub whose blobs were removed: its folders are links.
    (tuned / "added.txt").symlink_to(tuned / "blobs" / "added")
    sentence = refusal(base, tuned, output, InputError)
    assert sentence == f"{tuned / 'added.txt'} does not exist; check the path"
    assert "cannot write" not in sentence


def test_a_finished_merge_of_which_a_file_is_gone_is_made_again(base: Path, tuned: Path, output: Path) -> None:
    manifest = merged(base, tuned, 0.5, output)
    assert manifest["files"] == sorted(path.name for path in output.iterdir() if path.name != "_manifest.json")
    whole = {path.name: path.read_bytes() for path in output.iterdir() if path.name != "_manifest.json"}
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        (output / name).unlink()
        merged(base, tuned, 0.5, output)
        assert {path.name: path.read_bytes() for path in output.iterdir() if path.name != "_manifest.json"} == whole
    before = (output / "_manifest.json").read_bytes()
    merged(base, tuned, 0.5, output)
    assert (output / "_manifest.json").read_bytes() == before, "whole, so nothing is done"


@pytest.mark.parametrize("overwrites", [False, True])
def test_killed_between_two_files_of_a_bucket_the_same_command_goes_on(
    base: Path, tuned: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, overwrites: bool
) -> None:
    # An object store has no folder to put in place as a whole: the weights are there before the rest.
    settings = MergeSettings(base=str(base), tuned=str(tuned), output=f"{bucket}/merged")
    if overwrites:
        merge(replace(settings, alpha=0.25))
        settings = replace(settings, overwrite=True)

    def killed(*_: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(storage, "copy", killed)
        with pytest.raises(KeyboardInterrupt):
            merge(settings)
    names = [Path(file.uri).name for file in storage.list_files(f"{bucket}/merged")]
    assert "config.json" not in names
    merge(replace(settings, overwrite=False))
    manifest = json.loads(storage.read_bytes(f"{bucket}/merged/_manifest.json"))
    assert (manifest["state"], manifest["identity"]["alpha"]) == ("finished", 0.5)
    assert storage.exists(f"{bucket}/merged/config.json")


def test_the_configuration_is_written_last_for_without_it_a_folder_is_no_model(
    base: Path, tuned: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An object store cannot put a whole folder in place at once.
    written: list[str] = []
    writing = storage.writing

    def noted(uri: str) -> Any:
        written.append(Path(uri).name)
        return writing(uri)

    for module in (storage, files):  # those who import storage, and its functions among each other
        monkeypatch.setattr(module, "writing", noted)
    merged(base, tuned, 0.5, output)
    assert written[0] == "model.safetensors"
    assert written[-1] == "config.json"


def test_the_file_is_one_that_the_library_reads_with_every_number_aligned(
    base: Path, tuned: Path, output: Path
) -> None:
    for folder in (base, tuned):
        odd = {"zeros": torch.zeros(3, dtype=torch.uint8), "ids": torch.arange(5), "none": torch.zeros(0, 2)}
        save_file(weights_of(folder) | odd, folder / "model.safetensors", {"format": "pt"})
    merged(base, tuned, 0.5, output)
    size = int.from_bytes((output / "model.safetensors").read_bytes()[:8], "little")
    assert size % 8 == 0
    header = json.loads((output / "model.safetensors").read_bytes()[8 : 8 + size])
    assert header["ids"]["data_offsets"][0] % 8 == 0
    with opened(find_model(str(output))) as tensors:
        assert tensors.read("ids").tolist() == [0, 1, 2, 3, 4]
        assert tensors.read("zeros").tolist() == [0, 0, 0]
        assert tensors.kinds["none"].shape == (0, 2)
