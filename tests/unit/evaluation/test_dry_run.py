"""What an evaluation would take, told without writing anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crossrank.errors import InputError
from crossrank.evaluation import dry_run as module
from crossrank.evaluation.candidates import WrittenCandidates
from crossrank.evaluation.settings import EvaluateSettings
from tests.unit.stand_ins import OverlapSpec


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, WrittenCandidates, EvaluateSettings]]:
    """What each rerank job was asked to plan."""
    asked: list[tuple[str, WrittenCandidates, EvaluateSettings]] = []

    def rerank_with(
        settings: EvaluateSettings, name: str, spec: Any, written: WrittenCandidates, output: str
    ) -> dict[str, Any]:
        assert settings.dry_run
        assert Path(written.groups).exists()
        asked.append((name, written, settings))
        return {"queries": written.queries}

    monkeypatch.setattr(module, "rerank_with", rerank_with)
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    return asked


@pytest.mark.parametrize("kind", ["csv", "dense"])
def test_every_model_is_planned_for_and_nothing_is_left_behind(
    kind: str, planned: list[tuple[str, WrittenCandidates, EvaluateSettings]], tmp_path: Path
) -> None:
    given: dict[str, Any] = {"eval_csv": str(tmp_path / "set.csv")}
    (tmp_path / "set.csv").write_text("question,answer,doc_id,doc\nwhat?,a,d1,a what\nwho?,b,d2,a who\n,c,d3,nobody\n")
    if kind == "dense":  # an encoder that is not even there: nothing is encoded to count
        given |= {"candidates": "dense", "encoder": "nowhere"}
    settings = EvaluateSettings(
        models=("a=A", "b=B"), output=str(tmp_path / "out"), language="en", dry_run=True, depth=3, **given
    )
    found = module.dry_run(settings, {"a": OverlapSpec(), "b": OverlapSpec()})
    assert [name for name, _, _ in planned] == ["a", "b"]
    assert found == {"set_aside": {"empty_query": 1}, "models": {"a": {"queries": 2}, "b": {"queries": 2}}}
    assert not (tmp_path / "out").exists()
    assert not Path(planned[0][1].groups).exists()
    assert json.dumps(found)


@pytest.mark.parametrize("ranks", [(None, None), (0, 0)])
def test_what_could_not_be_measured_is_refused_by_a_dry_run_as_well(
    ranks: tuple[int | None, int | None], planned: list[tuple[str, WrittenCandidates, EvaluateSettings]], tmp_path: Path
) -> None:
    docs = [{"doc_id": str(n), "text": f"text {n}", "label": n, "rank": rank} for n, rank in enumerate(ranks)]
    (tmp_path / "g.jsonl").write_text(json.dumps({"query_id": "q", "query": "what", "docs": docs}))
    settings = EvaluateSettings(groups=str(tmp_path / "g.jsonl"), output=str(tmp_path / "out"), dry_run=True)
    with pytest.raises(
        InputError, match=r"has a rank of its own, so there is no order to measure; give --models, or ranks"
    ):
        module.dry_run(settings, {})
    assert module.dry_run(settings, {"a": OverlapSpec()})["models"] == {"a": {"queries": 1}}
