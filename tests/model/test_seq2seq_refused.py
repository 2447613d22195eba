"""Models that do not translate, or not safely, or not between these languages: one sentence, before any work."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from crossrank.errors import ModelRefused, SettingsError
from crossrank.translation.backends.seq2seq import Seq2SeqBackend
from tests.model import tiny_models
from tests.model.seq2seq_models import build


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("seq2seq-refused")
    return cache(lambda family: build(family, root / family))


@pytest.fixture
def copied(folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A MADLAD to be damaged."""
    shutil.copytree(folder("madlad"), tmp_path / "model")
    return tmp_path / "model"


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(model: Path | str, source: str = "en", target: str = "ko") -> str:
    with pytest.raises(ModelRefused) as error:
        Seq2SeqBackend(str(model), source, target).check()
    return str(error.value)


@pytest.mark.parametrize(
    ("family", "source", "target", "sentence"),
    [
        ("madlad", "en", "ja", "--target is ja, which MODEL does not have; it has de, en, ko"),
        ("madlad", "ja", "ko", "--source is ja, which MODEL does not have; it has de, en, ko"),
        ("nllb", "en", "ja", "--target is ja, which MODEL does not have; it has arb_Arab, deu_Latn, "),
        ("m2m100", "en", "tlh", "--target is tlh, which MODEL does not have; it has af, am, ar, "),
        ("marian", "en", "de", "--target is de, and MODEL translates from en to ko; use another model"),
        ("marian", "ja", "ko", "--source is ja, and MODEL translates from en to ko; use another model"),
        ("marian-many", "en", "ja", "--target is ja, which MODEL does not have; it has deu, kor, por, pt_BR"),
    ],
)
def test_a_language_that_the_model_lacks_is_refused_before_anything_is_translated(
    folder: Callable[[str], Path], family: str, source: str, target: str, sentence: str
) -> None:
    backend = Seq2SeqBackend(str(folder(family)), source, target)
    with pytest.raises(SettingsError) as error:
        backend.check()
    assert str(error.value).startswith(sentence.replace("MODEL", str(folder(family))))


@pytest.mark.parametrize("family", ["madlad", "nllb", "m2m100", "marian", "marian-many"])
def test_each_family_is_told_by_itself_and_takes_a_two_letter_language(
    folder: Callable[[str], Path], family: str
) -> None:
    Seq2SeqBackend(str(folder(family)), "en", "ko").check()


def test_a_reranker_is_no_translator(tmp_path: Path) -> None:
    reranker = tiny_models.build("bert", tmp_path / "bert")
    assert "is a bert, and the models that translate here are MADLAD-400 (T5), NLLB-200" in refusal(reranker)


def test_a_plain_t5_has_no_languages(copied: Path) -> None:
    tokenizer = copied / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("<2", "<x"))
    assert "is a T5 without language tokens such as <2ko>" in refusal(copied)


def test_pickles_and_code_of_the_hub_are_refused(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    (copied / "model.safetensors").unlink()
    torch.save(weights, copied / "pytorch_model.bin")
    assert "pytorch_model.bin, a pickle that may run code when it is loaded" in refusal(copied)
    edit(copied / "config.json", model_type="own-t5", auto_map={"AutoModel": "own.Model"})
    assert "crossrank runs no downloaded code" in refusal(copied)


def test_a_weight_that_is_not_there_is_never_made_up(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    del weights["decoder.block.1.layer.1.EncDecAttention.k.weight"]
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    backend = Seq2SeqBackend(str(copied), "en", "ko")
    with pytest.raises(ModelRefused, match=r"lacks 1 weights .* \(first decoder\.block\.1\.layer\.1\.EncDecAttention"):
        backend.load()


def test_a_tokenizer_of_another_model_is_refused(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    for name in {"shared.weight", "lm_head.weight"} & weights.keys():
        weights[name] = weights[name][:200].clone()
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    edit(copied / "config.json", vocab_size=200)
    translator = Seq2SeqBackend(str(copied), "en", "ko").load()
    with pytest.raises(ModelRefused, match="and its model has 200, so they do not belong together"):
        translator.translate(["Charging takes hours."], lambda outcomes: None)


def test_a_model_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="check the path"):
        Seq2SeqBackend(str(tmp_path / "nowhere"), "en", "ko")
