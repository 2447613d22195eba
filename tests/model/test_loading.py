"""What `Reranker.load` refuses, each with one sentence that says the way out, and what it brings from a hub."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from pyarrow import fs as arrow_fs
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import BertModel

from crossrank import Reranker
from crossrank.errors import InputError, ModelRefused, SettingsError, StorageError, UserError
from tests.model.tiny_models import FAMILIES, TEXTS

Tiny = Callable[[str], Path]

PAIRS = [(TEXTS[0], TEXTS[1]), (TEXTS[0], TEXTS[2])]


@pytest.fixture
def bert(tiny: Tiny, tmp_path: Path) -> Path:
    """A copy of the tiny BERT that a test may spoil."""
    return copy_of(tiny, "bert", tmp_path)


def copy_of(tiny: Tiny, family: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny(family), tmp_path / family))


def reconfigure(folder: Path, name: str = "config.json", **changes: Any) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(model: str | Path, error_class: type[UserError] = ModelRefused, max_length: int = 64) -> str:
    """The sentence that a model is refused with; it names the model."""
    with pytest.raises(error_class) as caught:
        Reranker.load(str(model), device="cpu", max_length=max_length)
    sentence = str(caught.value)
    assert str(model) in sentence
    assert "\n" not in sentence
    return sentence


# the folder


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_as_transformers_saves_it_loads(family: str, tiny: Tiny) -> None:
    reranker = Reranker.load(str(tiny(family)), device="cpu", max_length=320)
    assert reranker.describe()["model"] == str(tiny(family))
    assert np.isfinite(reranker.score(PAIRS)).all()


def test_a_local_folder_is_loaded_without_a_hub_and_without_s3(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    monkeypatch.setattr(arrow_fs, "S3FileSystem", refuse)
    assert Reranker.load(str(tiny("bert")), device="cpu").score(PAIRS).shape == (2,)


def test_the_revision_changes_with_what_decides_scores_and_with_nothing_else(bert: Path) -> None:
    before = Reranker.load(str(bert), device="cpu").revision
    (bert / "README.md").write_text("# A model")
    assert Reranker.load(str(bert), device="cpu").revision == before
    weights = load_file(bert / "model.safetensors")
    save_file(
        weights | {"classifier.bias": weights["classifier.bias"] + 1}, bert / "model.safetensors", {"format": "pt"}
    )
    assert Reranker.load(str(bert), device="cpu").revision != before


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "neither a folder, nor s3://, nor a hub id" in refusal(tmp_path / "nowhere")


def test_a_file_is_refused(bert: Path) -> None:
    assert "is a file, and a model is a folder with config.json; name the folder" in refusal(bert / "config.json")


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "has no config.json, so it is no model folder; name the folder that has one" in refusal(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "has no config.json" in refusal(tmp_path)


def test_a_config_that_is_not_json_is_refused(bert: Path) -> None:
    (bert / "config.json").write_text('{"model_type": "bert",')
    assert "config.json is not JSON" in refusal(bert, InputError)


def test_a_config_that_is_not_text_is_refused(bert: Path) -> None:
    (bert / "config.json").write_bytes(b"\xff\xfe\x00")
    assert "config.json is not JSON" in refusal(bert, InputError)


@pytest.mark.parametrize("content", ["[]", "{}", '{"model_type": null}', '{"model_type": ["bert"]}'])
def test_a_config_without_a_model_type_is_refused(bert: Path, content: str) -> None:
    (bert / "config.json").write_text(content)
    assert "config.json has no model_type" in refusal(bert)


def test_a_config_with_a_value_of_the_wrong_type_is_refused(bert: Path) -> None:
    reconfigure(bert, hidden_size="large")
    assert "config.json cannot be used (Validation error for field 'hidden_size'" in refusal(bert)


# the kind of model


def test_two_labels_are_refused(bert: Path) -> None:
    reconfigure(bert, id2label={"0": "no", "1": "yes"}, label2id={"no": 0, "yes": 1})
    assert "has 2 labels, and a reranker has 1 logit; use a model trained as a reranker" in refusal(bert)


def test_a_config_that_says_nothing_of_labels_has_two_and_is_refused(bert: Path) -> None:
    config = json.loads((bert / "config.json").read_text())
    del config["id2label"], config["label2id"]
    (bert / "config.json").write_text(json.dumps(config))
    assert "has 2 labels" in refusal(bert)


def test_an_encoder_without_a_head_is_refused_and_training_named(tiny: Tiny, bert: Path) -> None:
    BertModel.from_pretrained(tiny("bert")).save_pretrained(bert)
    sentence = refusal(bert)
    assert "has no classification head (architecture BertModel)" in sentence
    assert "crossrank train gives it one" in sentence


def test_a_config_that_names_no_architecture_is_refused(bert: Path) -> None:
    reconfigure(bert, architectures=None)
    assert "has no classification head (architecture none named)" in refusal(bert)


def test_a_causal_language_model_is_refused_and_its_conversion_named(tiny: Tiny, tmp_path: Path) -> None:
    folder = copy_of(tiny, "qwen3", tmp_path)
    reconfigure(folder, architectures=["Qwen3ForCausalLM"])
    sentence = refusal(folder, max_length=320)
    assert "has no classification head (architecture Qwen3ForCausalLM)" in sentence
    assert "use its sequence-classification conversion" in sentence


def test_a_model_with_code_of_its_own_is_refused_and_its_code_not_run(bert: Path, tmp_path: Path) -> None:
    # As the older gte rerankers: model_type "new" with modeling.py beside it.
    trace = tmp_path / "the-code-ran"
    (bert / "modeling.py").write_text(f"open({str(trace)!r}, 'w')\n")
    reconfigure(
        bert,
        model_type="new",
        architectures=["NewForSequenceClassification"],
        auto_map={
            "AutoConfig": "modeling.NewConfig",
            "AutoModelForSequenceClassification": "modeling.NewForSequenceClassification",
        },
    )
    sentence = refusal(bert)
    assert "needs code of its own from the hub (model_type 'new' with auto_map)" in sentence
    assert "use a model that transformers knows" in sentence
    assert not trace.exists()


def test_code_beside_a_model_that_transformers_knows_is_not_run(
    bert: Path, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "the-code-ran"
    (bert / "code.py").write_text(f"open({str(trace)!r}, 'w')\n")
    auto_map = {"AutoConfig": "code.C", "AutoModelForSequenceClassification": "code.M"}
    reconfigure(bert, auto_map=auto_map)
    reconfigure(bert, "tokenizer_config.json", auto_map={"AutoTokenizer": ["code.T", None]})
    monkeypatch.setattr(
        "builtins.input", lambda *_: "y"
    )  # transformers asks on a terminal; nobody answers for the user
    found = Reranker.load(str(bert), device="cpu").score(PAIRS)
    assert found.tolist() == Reranker.load(str(tiny("bert")), device="cpu").score(PAIRS).tolist()
    assert not trace.exists()


def test_an_unknown_model_type_is_refused(bert: Path) -> None:
    reconfigure(bert, model_type="bret")
    assert "has model_type 'bret', which transformers does not know; check config.json" in refusal(bert)


# the weights


def test_pickled_weights_alone_are_refused_and_the_conversion_named(bert: Path) -> None:
    torch.save(load_file(bert / "model.safetensors"), bert / "pytorch_model.bin")
    (bert / "model.safetensors").unlink()
    sentence = refusal(bert)
    assert "holds only pytorch_model.bin, a pickle that may run code" in sentence
    assert "save_pretrained()" in sentence


def test_a_folder_without_weights_is_refused(bert: Path) -> None:
    (bert / "model.safetensors").unlink()
    assert "holds no weights; crossrank reads model.safetensors" in refusal(bert)


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999], ids=["empty", "header", "half", "tail"])
def test_truncated_weights_are_refused(bert: Path, kept: float) -> None:
    weights = bert / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: int(len(content) * kept)])
    sentence = refusal(bert)
    assert sentence.startswith(f"the weights of {bert} cannot be read")
    assert sentence.endswith("; fetch it again")


def test_weights_that_are_something_else_are_refused(bert: Path) -> None:
    (bert / "model.safetensors").write_text("<html>404</html>")
    assert "cannot be read" in refusal(bert)


@pytest.mark.parametrize("missing", ["classifier.weight", "classifier.bias", "bert.pooler.dense.weight"])
def test_a_missing_weight_is_refused_never_made_up(bert: Path, missing: str) -> None:
    weights = load_file(bert / "model.safetensors")
    del weights[missing]
    save_file(weights, bert / "model.safetensors", {"format": "pt"})
    sentence = refusal(bert)
    assert "lacks 1 weights of the BertForSequenceClassification" in sentence
    assert f"(first {missing})" in sentence
    assert "its scores would be random, so use a complete reranker" in sentence


def test_a_weight_of_another_shape_is_refused_by_name(bert: Path) -> None:
    # A two-label head whose config was edited to say one.
    weights = load_file(bert / "model.safetensors")
    save_file(
        weights | {"classifier.weight": torch.zeros(2, 32), "classifier.bias": torch.zeros(2)},
        bert / "model.safetensors",
        {"format": "pt"},
    )
    assert "lacks 2 weights of the BertForSequenceClassification that its config.json describes" in refusal(bert)


# the tokenizer


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_without_tokenizer_files_is_refused(family: str, tiny: Tiny, tmp_path: Path) -> None:
    # transformers would make up a tokenizer that knows the special tokens alone, and every text would look the same.
    folder = copy_of(tiny, family, tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    assert "tokenizer" in refusal(folder, max_length=320)


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "qwen3"])
def test_a_tokenizer_config_without_its_vocabulary_is_refused(family: str, tiny: Tiny, tmp_path: Path) -> None:
    folder = copy_of(tiny, family, tmp_path)
    (folder / "tokenizer.json").unlink()
    assert "has no tokenizer files; put its tokenizer.json beside config.json" in refusal(folder, max_length=320)


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"version": "1.0", "model"',
        '{"model": {"type": "Bogus"}}',
        '{"added_tokens": [], "model": {"type": "Bogus"}}',
    ],
    ids=["empty", "cut", "foreign", "unknown-model"],
)
def test_a_spoilt_tokenizer_is_refused(bert: Path, content: str) -> None:
    (bert / "tokenizer.json").write_text(content)
    assert "has no tokenizer that can be read" in refusal(bert)


def test_the_tokenizer_of_another_model_is_refused(tiny: Tiny, bert: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny("modernbert") / name, bert / name)
    assert "so they do not belong together" in refusal(bert)


def test_a_tokenizer_whose_pairs_are_not_its_parts_is_refused(bert: Path) -> None:
    # One that reverses the pair: the document first. Spliced the usual way, every score would be quietly wrong.
    tokenizer = Tokenizer.from_file(str(bert / "tokenizer.json"))
    spelled = json.loads(tokenizer.to_str())
    first, second = (part for part in spelled["post_processor"]["pair"] if "Sequence" in part)
    first["Sequence"]["id"], second["Sequence"]["id"] = "B", "A"
    spelled["post_processor"]["pair"].insert(0, {"Sequence": {"id": "A", "type_id": 0}})
    (bert / "tokenizer.json").write_text(json.dumps(spelled))
    reconfigure(bert, "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    assert "builds a pair differently from its two texts" in refusal(bert)


# the hub


class Hub:
    """A stand-in for ``huggingface_hub.snapshot_download`` that remembers what it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: Path | Exception) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answer = answer
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self.snapshot_download)

    def snapshot_download(self, repo_id: str, **settings: Any) -> str:
        self.asked.append((repo_id, settings))
        if isinstance(self.answer, Exception):
            raise self.answer
        return str(self.answer)


def test_a_hub_id_is_fetched_without_code_or_pickles(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = Path(shutil.copytree(tiny("bert"), tmp_path / "snapshots" / "a1b2c3"))
    hub = Hub(monkeypatch, snapshot)
    reranker = Reranker.load("owner/reranker", device="cpu")
    assert reranker.name == "owner/reranker"
    assert reranker.revision == "a1b2c3"
    assert reranker.score(PAIRS).tolist() == Reranker.load(str(tiny("bert")), device="cpu").score(PAIRS).tolist()
    [(repo_id, settings)] = hub.asked
    assert repo_id == "owner/reranker"
    assert settings == {
        "revision": None,
        "allow_patterns": ["*.json", "*.safetensors", "*.model", "*.spm", "*.txt"],
    }


def test_a_revision_of_a_hub_id_is_the_one_that_is_fetched(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(monkeypatch, Path(shutil.copytree(tiny("bert"), tmp_path / "snapshots" / "a1b2c3")))
    assert Reranker.load("owner/reranker", device="cpu", revision="v1").revision == "a1b2c3"
    assert [settings["revision"] for _, settings in hub.asked] == ["v1"]


def test_the_revision_of_a_folder_is_the_hash_of_its_content_or_refused(bert: Path) -> None:
    revision = Reranker.load(bert, device="cpu").revision
    assert Reranker.load(bert, device="cpu", revision=revision).revision == revision
    with pytest.raises(ModelRefused, match=f"revision {revision}, and main was asked for; .*, or leave revision out"):
        Reranker.load(bert, device="cpu", revision="main")


def test_a_model_may_be_named_by_a_path(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Reranker.load(str(bert), device="cpu").score(PAIRS).tolist()
    assert Reranker.load(bert, device="cpu").score(PAIRS).tolist() == expected
    monkeypatch.chdir(bert.parent)
    assert Reranker.load(Path("bert"), device="cpu").name == "bert"


@pytest.mark.parametrize("model", [None, 5, ["a"]])
def test_what_names_no_model_is_refused(model: Any) -> None:
    with pytest.raises(ModelRefused, match=r"model is .*; name a hub id, a folder or s3://bucket/folder"):
        Reranker.load(model)


def test_an_address_that_pathlib_took_a_slash_from_is_said(tiny: Tiny) -> None:
    with pytest.raises(ModelRefused, match=r"s3:/bucket/model lost a slash, as pathlib does .*; pass it as a string"):
        Reranker.load(Path("s3://bucket/model"))


def test_a_hub_that_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    Hub(monkeypatch, LocalEntryNotFoundError("no network, nothing cached"))
    sentence = refusal("owner/reranker", StorageError)
    assert "no folder here and the model hub cannot be reached; pass a local folder or s3://" in sentence


def test_a_hub_that_drops_the_connection_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    Hub(monkeypatch, ConnectionResetError("peer went away"))
    assert "the model hub cannot be reached" in refusal("owner/reranker", StorageError)


@pytest.mark.parametrize(
    ("error_class", "sentence"),
    [
        (RevisionNotFoundError, "has no revision None on the hub; name a branch, tag or commit"),
        (RepositoryNotFoundError, "is neither a folder here nor a model on the hub; check the spelling"),
        (GatedRepoError, "asks for its terms to be accepted on the hub; accept them, then set HF_TOKEN"),
    ],
)
def test_what_the_hub_says_of_a_model_is_passed_on(
    error_class: type[HfHubHTTPError], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = error_class.__new__(error_class)  # its constructor wants a whole HTTP response
    Exception.__init__(error, "40x")
    Hub(monkeypatch, error)
    assert sentence in refusal("owner/reranker")


@pytest.mark.parametrize("name", ["owner/..", "owner/name.git", "owner/a--b"])
def test_a_name_that_no_hub_could_have_is_refused(name: str) -> None:
    assert "nor a model on the hub; check the spelling" in refusal(name)


@pytest.mark.parametrize("name", ["reranker", "a/b/c", "", "./missing", "/missing"])
def test_a_name_that_is_neither_path_nor_hub_id_is_refused(name: str) -> None:
    assert "neither a folder, nor s3://, nor a hub id of the form owner/name; check the path" in refusal(name)


# device and precision


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_here_is_refused(device: str, tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match=f"device is '{device}', and torch sees no GPU here; use cpu"):
        Reranker.load(str(tiny("bert")), device=device)


def test_an_unknown_device_is_refused(tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match="device is 'gpu'; use cpu, cuda or cuda:N"):
        Reranker.load(str(tiny("bert")), device="gpu")


def test_an_unknown_precision_is_refused(tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match="precision is 'int4'; use fp32, bf16, fp16"):
        Reranker.load(str(tiny("bert")), device="cpu", dtype="int4")
