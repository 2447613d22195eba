"""A model folder of crossrank in transformers 4, and in what is built on it: the logits are crossrank's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from packaging.version import Version

from tests.transformers_4.handed_over import MAX_LENGTH, TOLERANCE, Model, read

transformers.logging.set_verbosity_error()
THIS = Version(transformers.__version__)
SINCE = {"gte": "5", **dict.fromkeys(("qwen3", "qwen3-yarn", "gemma3", "phi3"), "4.57")}
"""First of the versions tried that knows the family, Phi-3 with heads that are rotated in part; README names them."""
MODELS = read()
KNOWN = [each for each in MODELS if Version(SINCE.get(each.family, "4.48")) <= THIS]
CLASS_JOINS = {"bert", "bert-cased", "roberta", "xlm-roberta", "deberta-v2"}
"""Families whose pairs FlagEmbedding joins as their tokenizer does; of others it leaves the special tokens out."""


def name(model: Model) -> str:
    return Path(model.folder).name


def assert_same(found: Sequence[float], model: Model) -> None:
    assert len(found) == len(model.logits)
    off = [abs(ours - theirs) for ours, theirs in zip(model.logits, found, strict=True)]
    assert max(off) <= TOLERANCE, f"pair {off.index(max(off))}: {found} and not {model.logits}"


def test_this_is_transformers_4_and_every_family_it_has_is_tried() -> None:
    assert THIS.major == 4
    families = {each.family for each in MODELS} - {each.family for each in KNOWN}
    assert families == ({"gte"} if Version("4.57") <= THIS else {*SINCE})


@pytest.mark.parametrize("model", KNOWN, ids=name)
def test_the_folder_gives_the_logits_of_crossrank(model: Model) -> None:
    assert_same(transformers_4(model), model)
    assert model.base_logits is not None
    assert max(abs(ours - base) for ours, base in zip(model.logits, model.base_logits, strict=True)) > 100 * TOLERANCE


def transformers_4(model: Model) -> list[float]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(model.folder)
    # The attention that transformers 4 takes by itself leaves the softcapping of Gemma 2 out.
    more = {"attn_implementation": "eager"} if model.family == "gemma2" else {}
    network = transformers.AutoModelForSequenceClassification.from_pretrained(model.folder, **more).eval()
    assert network.dtype == torch.float32
    logits = []
    for place, (query, document) in enumerate(model.pairs):
        if model.prompt is None:
            inputs = tokenizer(
                [query], [document], truncation="only_second", max_length=MAX_LENGTH, return_tensors="pt"
            )
        else:
            before, bodies, after = model.prompt
            head, body, tail = (
                tokenizer(text, add_special_tokens=False)["input_ids"]
                for text in (before, bodies[place] + document, after)
            )
            ids = [*head, *body[: MAX_LENGTH - len(head) - len(tail)], *tail]
            inputs = {"input_ids": torch.tensor([ids])}
        with torch.inference_mode():
            logits.append(float(network(**inputs).logits[0, 0]))
    return logits


@pytest.mark.parametrize("model", KNOWN, ids=name)
def test_the_configuration_says_the_number_format_as_transformers_4_reads_it(model: Model) -> None:
    config = json.loads((Path(model.folder) / "config.json").read_text())
    assert (config["torch_dtype"], config["dtype"]) == ("float32", "float32")
    found: Any = transformers.AutoModelForSequenceClassification.from_pretrained(model.folder, torch_dtype="auto")
    assert found.dtype == torch.float32


@pytest.mark.parametrize("model", [each for each in MODELS if each not in KNOWN], ids=name)
def test_a_family_that_this_version_lacks_is_refused_by_it_and_scores_nothing_else(model: Model) -> None:
    if model.family == "phi3":
        pytest.skip("known before 4.49, but for heads that are rotated in part: transformers fails in its own way")
    with pytest.raises(ValueError, match="does not recognize this architecture"):
        transformers.AutoModelForSequenceClassification.from_pretrained(model.folder)


@pytest.mark.skipif(Version("4.57") > THIS, reason="the packages on top of it ask for a newer one")
@pytest.mark.parametrize("model", [each for each in KNOWN if each.prompt is None and each.family != "gemma2"], ids=name)
def test_sentence_transformers_of_its_age_gives_the_logits_of_crossrank(model: Model) -> None:
    from sentence_transformers import CrossEncoder

    network = CrossEncoder(model.folder, max_length=MAX_LENGTH, device="cpu")
    found = network.predict(model.pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    assert_same(found.tolist(), model)


@pytest.mark.skipif(Version("4.57") > THIS, reason="the packages on top of it ask for a newer one")
@pytest.mark.parametrize("model", [each for each in KNOWN if each.family in CLASS_JOINS], ids=name)
def test_flag_embedding_gives_the_logits_of_crossrank(model: Model) -> None:
    from FlagEmbedding import FlagReranker  # type: ignore[import-not-found]

    network = FlagReranker(model.folder, devices="cpu", use_fp16=False, max_length=MAX_LENGTH)
    assert_same(network.compute_score([list(pair) for pair in model.pairs]), model)
