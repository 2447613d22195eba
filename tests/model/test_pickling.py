"""A `Reranker` that goes to another process, and what users see of one."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch

from crossrank import RankedDocument, Reranker
from crossrank.errors import ModelRefused
from tests.model.tiny_models import TEXTS

Tiny = Callable[[str], Path]

QUERY = "How long does it take to charge?"
PAIRS = [(QUERY, text) for text in TEXTS]


def ranked_there(reranker: Reranker) -> list[RankedDocument]:
    """What another process answers, in a working directory of its own."""
    return reranker.rank(QUERY, TEXTS)


def go_to(folder: str) -> None:
    import os

    os.chdir(folder)


def test_a_pickled_reranker_gives_the_same_scores(tiny: Tiny) -> None:
    options: dict[str, Any] = {"device": "cpu", "dtype": torch.bfloat16, "max_length": 320, "instruction": "find it"}
    reranker = Reranker.load(tiny("qwen3"), **options)
    for again in (pickle.loads(pickle.dumps(reranker)), copy.deepcopy(reranker)):
        assert isinstance(again, Reranker)
        assert again.describe() == reranker.describe()
        assert again.score(PAIRS).tolist() == reranker.score(PAIRS).tolist()


def test_it_travels_by_name_and_not_with_its_weights(tiny: Tiny) -> None:
    assert len(pickle.dumps(Reranker.load(tiny("bert"), device="cpu"))) < 2_000


def test_a_process_that_is_spawned_elsewhere_ranks_with_it(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny("bert").parent)
    reranker = Reranker.load("bert", device="cpu", max_length=64)
    with multiprocessing.get_context("spawn").Pool(1, go_to, (str(tmp_path),)) as pool:
        assert pool.apply(ranked_there, (reranker,)) == reranker.rank(QUERY, TEXTS)


def test_a_model_that_changed_meanwhile_is_refused_and_not_taken_for_the_same(tiny: Tiny, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny("bert"), tmp_path / "bert")
    pickled = pickle.dumps(Reranker.load(folder, device="cpu"))
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    with pytest.raises(ModelRefused, match="was asked for"):
        pickle.loads(pickled)


def test_of_a_hub_id_the_very_commit_is_loaded_again(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = shutil.copytree(tiny("bert"), tmp_path / "snapshots" / "a1b2c3")
    asked: list[str | None] = []

    def snapshot_download(name: str, revision: str | None, **_: Any) -> str:
        asked.append(revision)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    pickle.loads(pickle.dumps(Reranker.load("owner/reranker", device="cpu", revision="main")))
    assert asked == ["main", "a1b2c3"]


def test_what_is_seen_of_a_reranker_is_what_users_need(tiny: Tiny) -> None:
    seen = [name for name in dir(Reranker.load(tiny("bert"), device="cpu")) if not name.startswith("_")]
    methods = ["load", "rank", "rank_many", "score", "score_chunks"]
    facts = ["cut", "describe", "device", "max_length", "name", "revision"]
    assert seen == sorted([*methods, *facts])
    for name in [*methods, *facts]:
        assert getattr(Reranker, name).__doc__
