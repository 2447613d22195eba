"""`crossrank filter` as a program, killed, and from S3 to S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from crossrank.filtering import job
from crossrank.filtering.job import filter as run_filter
from crossrank.filtering.settings import FilterSettings
from crossrank.formats.groups_parquet import read_groups, write_groups
from crossrank.records import Group, Rejected
from crossrank.resumable.output import read_json
from tests.data.filtering import driver_of
from tests.ray.driver import Driver, kill, wait_for
from tests.ray.s3_server import s3_server
from tests.unit.filtering.made import NEGATIVE, POSITIVE, doc, group

GROUPS, BLOCK_GROUPS = 1000, 25
"""Forty blocks."""
STARTS_S = 240.0


def numbered(number: int) -> Group:
    """A good group, or one with a bad document."""
    bad = (f"It has {number} cubs.", "새끼가 있다." if number % 7 == 0 else f"새끼가 {number}마리 있다.")
    return group(doc(POSITIVE, 1.0), doc(NEGATIVE), doc(bad), query_id=f"q{number}")


def read(uri: str) -> list[Group]:
    return [each for _, each in read_groups(uri, _never)]


def _never(row: Rejected) -> None:
    raise AssertionError(row)


@pytest.fixture
def drivers() -> Iterator[list[Driver]]:
    started: list[Driver] = []
    yield started
    for driver in started:
        driver.close()


def test_killed_alone_its_processes_end_and_nothing_is_lost_or_double(
    tmp_path: Path, drivers: list[Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = str(tmp_path / "groups.parquet")
    write_groups(groups, map(numbered, range(GROUPS)))
    output = tmp_path / "out"
    settings: dict[str, Any] = {
        "groups": groups,
        "source": "en",
        "target": "ko",
        "output": str(output),
        "workers": "2",
    }

    def parts() -> int:
        return len(list(output.glob("part-*.parquet")))

    def killed_alone(number: int) -> None:
        goal = parts() + 1
        driver = driver_of(settings, tmp_path / f"driver-{number}.log", block_groups=BLOCK_GROUPS)
        drivers.append(driver)
        wait_for(lambda: parts() >= goal or not driver.running, STARTS_S, lambda: driver.said)
        assert driver.running, driver.said
        children = driver.children()
        kill(driver.family()[0])
        driver.wait(20)
        _, alive = psutil.wait_procs(children, timeout=60)
        assert not alive, "a process goes on judging for nobody"

    killed_alone(1)
    killed_alone(2)
    done_before = parts()
    monkeypatch.setattr(job, "BLOCK_GROUPS", BLOCK_GROUPS)
    manifest = run_filter(FilterSettings(**settings | {"workers": "1"}))

    found = read(str(output))
    assert [each.query_id for each in found] == [f"q{n}" for n in range(GROUPS)]
    assert [bool(each.docs[2].flags) for each in found] == [n % 7 == 0 for n in range(GROUPS)]
    assert manifest["rows"]["resumed"] == BLOCK_GROUPS * done_before
    assert manifest["report"]["reasons"] == {"lost_number": -(-GROUPS // 7)}
    assert not list(output.rglob("*.tmp"))


def test_from_s3_to_s3_it_gives_what_it_gives_locally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server() as endpoint:
        for name, value in (("AWS_ENDPOINT_URL", endpoint), ("AWS_DEFAULT_REGION", "us-east-1")):
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        boto3.client("s3").create_bucket(Bucket="translated")
        monkeypatch.setattr(job, "BLOCK_GROUPS", 100)
        for folder in (str(tmp_path), "s3://translated"):
            write_groups(f"{folder}/groups.parquet", map(numbered, range(300)))
            asked: dict[str, Any] = {
                "groups": f"{folder}/groups.parquet",
                "source": "en",
                "target": "ko",
                "workers": "1",
            }
            run_filter(FilterSettings(**asked, output=f"{folder}/out"))

        assert read("s3://translated/out") == read(str(tmp_path / "out"))
        reports = [read_json(f"{folder}/out/_report/report.json") for folder in (str(tmp_path), "s3://translated")]
        assert reports[0] == reports[1]
