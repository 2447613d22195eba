"""`crossrank translate --backend amazon` over Ray, against the server on the loopback."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from crossrank.errors import JobFailed
from crossrank.records import Candidate, Group
from crossrank.translation.apply import FLAG
from crossrank.translation.job import translate
from crossrank.translation.settings import TranslateSettings
from tests.data import corpora
from tests.data.amazon_server import Asked, amazon_server, translation_of
from tests.data.drivers import STARTS_S, Killable
from tests.ray.driver import Driver, kill, wait_for

ROWS, TEXTS = 600, 200


@pytest.fixture(scope="module")
def groups() -> list[Group]:
    return corpora.made(ROWS, TEXTS)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    with amazon_server(tmp_path / "asked.jsonl", rate=400, errors=0.05, latency_ms=5) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_TRANSLATE", server.endpoint)
        yield server


def given(tmp_path: Path, groups: list[Group], **more: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"source": "en", "target": "ko", "backend": "amazon", "concurrency": 8, "workers": "2"}
    settings["requests_per_second"] = 400.0  # where the pace is found out is test_pace.py
    places = {"groups": corpora.write(tmp_path, groups), "memory": str(tmp_path / "memory")}
    return settings | places | {"output": str(tmp_path / "out")} | more


def test_each_text_is_paid_once_and_each_row_is_there_once(
    cluster: None, tmp_path: Path, groups: list[Group], asked: Asked
) -> None:
    manifest = translate(TranslateSettings(**given(tmp_path, groups)))
    assert corpora.read(str(tmp_path / "out")) == list(corpora.expected(groups))
    assert asked.translated() == dict.fromkeys(corpora.unique_texts(groups), 1)
    assert manifest["spent"]["characters"] == asked.characters() == sum(map(len, corpora.unique_texts(groups)))

    # Another job with the same memory pays nothing, and needs neither the service nor credentials.
    again = translate(TranslateSettings(**given(tmp_path, groups, output=str(tmp_path / "again"))))
    assert asked.translated().total() == TEXTS
    assert again["spent"]["usd"] == 0
    assert corpora.table(tmp_path / "again").equals(corpora.table(tmp_path / "out"))


def test_a_long_text_goes_in_pieces_and_comes_back_whole(cluster: None, tmp_path: Path, asked: Asked) -> None:
    sentences = [f"Sentence {number} of a long passage about rivers." for number in range(600)]
    text = " ".join(sentences)
    assert 20_000 < len(text.encode()) < 30_000
    endless = "x" * 10_001
    group = Group("q", "a query", (Candidate("a", text, label=1.0), Candidate("b", endless, label=0.0)))
    translate(TranslateSettings(**given(tmp_path, [group], formality="formal", terminology="products")))
    pieces = [each for each in asked.translated() if each.startswith("Sentence")]
    assert len(pieces) == 3
    assert all(len(each.encode()) <= 10_000 and each.endswith("rivers.") for each in pieces)
    [found] = corpora.read(str(tmp_path / "out"))
    in_order = sorted(pieces, key=lambda each: text.index(each))
    assert " ".join(in_order) == text
    assert found.docs[0].text == " ".join(translation_of(each, "ko", "formal") for each in in_order)
    assert found.docs[1].text == "".join(translation_of(each, "ko", "formal") for each in ("x" * 10_000, "x"))
    assert found.docs[0].flags == ()


def test_a_text_that_cannot_be_translated_is_flagged_and_the_job_goes_on(
    cluster: None, tmp_path: Path, asked: Asked
) -> None:
    docs = (Candidate("a", "good", label=1.0), Candidate("b", "poison", label=0.0))
    groups = [Group("q1", "a query", docs), Group("q2", "poison query", docs)]
    manifest = translate(TranslateSettings(**given(tmp_path, groups)))
    first, second = corpora.read(str(tmp_path / "out"))
    assert [doc.flags for doc in (*first.docs, *second.docs)] == [(), (FLAG,), (FLAG,), (FLAG,)]
    assert first.docs[1].text == "poison"
    assert second.query == "poison query"
    assert second.meta[FLAG].startswith("query: InvalidRequestException")
    assert manifest["translation"]["failed"] == 2
    assert manifest["failed_queries"] == 1
    assert manifest["documents"]["flagged_documents"] == 3


def test_the_budget_is_never_passed_and_a_larger_one_goes_on(
    cluster: None, tmp_path: Path, groups: list[Group], asked: Asked
) -> None:
    whole = sum(map(len, corpora.unique_texts(groups)))
    half = whole // 2 * 15 / 1_000_000
    settings = given(tmp_path, groups, budget_usd=half)
    with pytest.raises(JobFailed, match=r"--budget-usd .* is spent: .* so raise the budget and run the same command"):
        translate(TranslateSettings(**settings))
    assert whole // 2 - 400 < asked.characters() <= whole // 2
    with pytest.raises(JobFailed, match="is spent"):
        translate(TranslateSettings(**settings))
    assert asked.characters() <= whole // 2
    manifest = translate(TranslateSettings(**settings | {"budget_usd": whole * 15 / 1_000_000}))
    assert asked.translated() == dict.fromkeys(corpora.unique_texts(groups), 1)
    assert manifest["spent"]["characters"] == whole
    assert corpora.read(str(tmp_path / "out")) == list(corpora.expected(groups))


def test_a_throttled_account_makes_the_job_slower_and_fails_no_text(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = corpora.made(20, 30)
    # Patience for half a second, and texts that wait for longer: being too fast must not count against them.
    with amazon_server(tmp_path / "asked.jsonl", rate=6, burst=1, latency_ms=5) as asked:
        monkeypatch.setenv("AWS_ENDPOINT_URL_TRANSLATE", asked.endpoint)
        manifest = translate(TranslateSettings(**given(tmp_path, groups, give_up_s=0.5, requests_per_second=None)))
        refused = [request for request in asked.requests if request["status"] == 429]
        seconds = asked.requests[-1]["at"] - asked.requests[0]["at"]
        assert asked.translated() == dict.fromkeys(corpora.unique_texts(groups), 1)
    assert refused
    assert seconds > 29 / 6 - 1
    assert manifest["translation"]["failed"] == 0
    assert manifest["translation"]["requests_refused_as_too_fast"] == len(refused)
    assert corpora.read(str(tmp_path / "out")) == list(corpora.expected(groups))


def service_workers(family: list[psutil.Process]) -> list[psutil.Process]:
    found = []
    for process in family:
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::ServiceWorker"):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_worker_that_is_killed_is_replaced_and_its_texts_are_translated(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = corpora.made(400, 800)
    with amazon_server(tmp_path / "asked.jsonl", rate=100, latency_ms=30) as asked:
        monkeypatch.setenv("AWS_ENDPOINT_URL_TRANSLATE", asked.endpoint)
        settings = TranslateSettings(**given(tmp_path, groups, requests_per_second=100.0))
        with ThreadPoolExecutor(1) as executor:
            running = executor.submit(translate, settings)
            wait_for(lambda: asked.translated().total() > 100 or running.done(), STARTS_S, lambda: "nothing is asked")
            workers = service_workers(psutil.Process().children(recursive=True))
            assert workers, "too late for this test"
            kill(workers[0])
            running.result(timeout=STARTS_S)
        assert asked.translated().keys() == corpora.unique_texts(groups)
        assert asked.translated().total() - 800 <= 8
    assert corpora.read(str(tmp_path / "out")) == list(corpora.expected(groups))


def test_two_jobs_do_not_write_one_memory(tmp_path: Path, groups: list[Group], drivers: list[Driver]) -> None:
    with amazon_server(tmp_path / "asked.jsonl", rate=20, burst=5) as asked:
        first = Killable(given(tmp_path, groups), asked, tmp_path, drivers)
        second = Killable(given(tmp_path, groups, output=str(tmp_path / "other")), asked, tmp_path, drivers)
        driver = first.start()
        first.wait_for_paid(driver, 1)
        refused = second.start()
        assert refused.wait(STARTS_S) == 2
        sentence = (
            f"crossrank: another job is at work on {tmp_path / 'memory'}; wait for its end, or name another --memory"
        )
        assert refused.said.splitlines()[-1] == sentence
        driver.kill()
