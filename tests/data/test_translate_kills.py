"""Paid once: a job that is killed five times asks for no text twice, but for those under way at a kill."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from crossrank.translation.job import translate
from crossrank.translation.settings import TranslateSettings
from tests.data import corpora
from tests.data.amazon_server import amazon_server
from tests.data.drivers import STARTS_S, Killable
from tests.ray.driver import Driver, wait_for

ROWS, TEXTS = 20_000, 5_000
CONCURRENCY = 16
GROUPS_PER_PART = 500
WHILE_TRANSLATING = 4
"""Kills; one more comes while the parts are written. The second leaves Ray to find out that its driver is gone."""


@pytest.fixture
def seed() -> int:
    """Of the moments of the kills; give CROSSRANK_KILL_SEED to have the same ones again."""
    found = int(os.environ.get("CROSSRANK_KILL_SEED") or time.time_ns() % 1_000_000)
    print(f"CROSSRANK_KILL_SEED={found}")
    return found


@pytest.mark.timeout(3600)
def test_a_job_killed_five_times_pays_for_no_text_twice_and_gives_what_an_undisturbed_one_gives(
    cluster: None, tmp_path: Path, drivers: list[Driver], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    groups = corpora.made(ROWS, TEXTS)
    assert len(corpora.unique_texts(groups)) == TEXTS
    given: dict[str, Any] = {"groups": corpora.write(tmp_path, groups), "source": "en", "target": "ko"}
    given |= {"backend": "amazon", "concurrency": CONCURRENCY, "workers": "2"}
    config = tmp_path / "config.yaml"
    config.write_text(f"groups_per_part: {GROUPS_PER_PART}\n")
    killed = given | {"config": config, "output": tmp_path / "killed", "memory": tmp_path / "memory"}

    with amazon_server(tmp_path / "asked.jsonl", rate=300, errors=0.04, latency_ms=20, seed=seed) as asked:
        job = Killable(killed, asked, tmp_path, drivers)
        repeated_before = 0
        for number, least in enumerate(sorted(rng.sample(range(50, TEXTS - 500), WHILE_TRANSLATING))):
            driver = job.start()
            job.wait_for_paid(driver, least)
            time.sleep(rng.uniform(0.0, 0.3))
            assert driver.running, driver.said
            (driver.kill_alone if number == 1 else driver.kill)()
            repeated = asked.translated().total() - len(asked.translated())
            assert repeated - repeated_before <= CONCURRENCY, "of what the kill before left under way"
            repeated_before = repeated
        driver = job.start()
        wait_for(lambda: job.parts() >= 2 or not driver.running, STARTS_S, lambda: driver.said)
        time.sleep(rng.uniform(0.0, 0.3))
        assert driver.running, driver.said
        driver.kill()
        assert 2 <= job.parts() < ROWS / GROUPS_PER_PART, "too late for this test"

        paid = asked.translated()
        last = job.start()
        assert last.wait(STARTS_S) == 0, last.said
        assert asked.translated() == paid, "all was in the memory when the parts were written"

    repeated = paid.total() - TEXTS
    print(f"{paid.total():,} requests were paid for {TEXTS:,} texts after {WHILE_TRANSLATING + 1} kills")
    assert set(paid) == corpora.unique_texts(groups)
    assert repeated <= WHILE_TRANSLATING * CONCURRENCY
    assert max(paid.values()) <= 1 + WHILE_TRANSLATING

    other = given | {"output": str(tmp_path / "undisturbed"), "memory": str(tmp_path / "other-memory")}
    with amazon_server(tmp_path / "undisturbed.jsonl", rate=5000, latency_ms=2) as undisturbed:
        monkeypatch.setenv("AWS_ENDPOINT_URL_TRANSLATE", undisturbed.endpoint)
        translate(TranslateSettings(**other, groups_per_part=GROUPS_PER_PART, requests_per_second=5000.0))
        assert undisturbed.translated() == dict.fromkeys(corpora.unique_texts(groups), 1)
    found = corpora.table(tmp_path / "killed")
    assert found.equals(corpora.table(tmp_path / "undisturbed"))
    assert corpora.read(str(tmp_path / "killed")) == list(corpora.expected(groups))
    for number in range(ROWS // GROUPS_PER_PART):
        name = f"part-{number:05}.parquet"
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()
    said = "".join(each.said for each in drivers)
    assert "Traceback" not in said, said
