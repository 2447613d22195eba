"""What a MODEL of `crossrank evaluate` is taken for: a reranker, an encoder without a head, or nothing of use."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossrank.errors import ModelRefused
from crossrank.evaluation.bi_encoder_system import CosineSpec
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.evaluation.systems import scale_of, spec_of
from crossrank.scoring.spec import RerankerSpec, ScorerSpec

Tiny = Callable[[str], Path]


def found(folder: Path, **more: Any) -> ScorerSpec:
    settings = EvaluateSettings(models=(f"m={folder}",), groups="g", output="out", **more)
    return spec_of("m", str(folder), settings)


@pytest.fixture
def headless(tiny: Tiny, tmp_path: Path) -> Path:
    """A tiny BERT without its head."""
    from transformers import AutoModel, AutoTokenizer

    folder = tmp_path / "headless"
    AutoModel.from_pretrained(tiny("bert")).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny("bert")).save_pretrained(folder)
    return folder


def test_a_model_with_a_head_is_a_reranker(tiny: Tiny) -> None:
    spec = found(tiny("bert"), max_length=64)
    assert isinstance(spec, RerankerSpec)
    assert (spec.max_length, scale_of(spec)) == (64, "logit")


def test_a_model_without_a_head_scores_by_the_cosine_of_its_vectors_and_says_so(
    headless: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModel, AutoTokenizer

    spec = found(headless)
    assert scale_of(spec) == "cosine"
    assert f"m={headless} has no classification head: scored by the cosine of its vectors" in capsys.readouterr().err
    query, documents = "how long does it take to charge?", ["charging takes 4 hours", "필터는 일주일에 한 번"]
    scorer = spec.load(1)
    encoded = scorer.encoder.queries([query]), scorer.encoder.documents(documents)
    scored = scorer.score_encoded(*encoded, np.array([0, 0]), np.array([0, 1]))

    tokenizer, model = AutoTokenizer.from_pretrained(headless), AutoModel.from_pretrained(headless).eval()
    vectors = []
    for text in (query, *documents):  # one at a time, so that there is no padding
        mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        vectors.append((mean / mean.norm()).detach().numpy())
    assert scored.logits_P == pytest.approx([vectors[0] @ vectors[1], vectors[0] @ vectors[2]], abs=1e-5)
    assert scored.truncated_P.tolist() == [0, 0]


def test_what_an_encoder_cuts_off_is_counted(headless: Path) -> None:
    spec = found(headless, max_length=8)
    assert isinstance(spec, CosineSpec)
    scorer = spec.load(1)
    # Ten words of one token each with two special tokens are twelve, and eight are read.
    [query], documents = scorer.encoder.queries(["the " * 10]), scorer.encoder.documents(["the " * 10, "the"])
    assert query.overflow == 4
    scored = scorer.score_encoded([query], documents, np.array([0, 0]), np.array([0, 1]))
    assert scored.truncated_P.tolist() == [4, 0]
    assert scored.logits_P[0] == pytest.approx(1, abs=1e-6)


def test_a_model_that_generates_is_told_of_its_conversion(headless: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(headless, tmp_path / "generates")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["BertForCausalLM"]}))
    with pytest.raises(ModelRefused, match="cannot score; use its sequence-classification conversion"):
        found(folder)


def test_the_same_encoder_read_to_another_length_is_another_row(headless: Path) -> None:
    assert found(headless, max_length=64).revision != found(headless, max_length=32).revision
