"""What `crossrank submit` and `crossrank jobs` say of flags that are wrong, before a cluster is asked."""

from __future__ import annotations

import pytest

from crossrank.cli.main import main


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


def test_flags_of_the_verb_without_the_dashes_before_them_are_told_where_they_stand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = refused(capsys, "submit", "rerank", "--model", "m", "--output", "s3://b/out")
    assert said == (
        "crossrank: submit has no flag --model; the flags of the verb stand behind --, "
        "as in crossrank submit rerank -- --model ..."
    )


def test_a_flag_of_submit_that_is_misspelt_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "submit", "train", "--detatch", "--", "--base", "b")
    assert "--detach" in said
    assert "stand behind" not in said


def test_no_address_is_told_with_both_ways_to_give_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    for arguments in (["submit", "rerank"], ["jobs", "status", "x"]):
        said = refused(capsys, *arguments)
        assert said.startswith("crossrank: --address is missing; name the job server of the cluster")
        assert said.endswith("with it or in RAY_API_SERVER_ADDRESS")
