"""Translated groups for a teacher, and what it has to say of them. As a program: filters them, to be killed.

python -m tests.data.filtering '{"settings": {...}, "spec": {"log": ..., "pair_s": ...}, "block_groups": ...}'
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crossrank.formats.groups_parquet import read_groups, write_groups
from crossrank.records import Candidate, Group, Rejected
from crossrank.translation.origin import with_origin
from tests.ray.driver import Driver
from tests.ray.stand_ins import LoggedSpec

QUERY = ("does the red cat sleep", "빨간 고양이는 자나요")
GOOD = ("the red cat does sleep", "빨간 고양이는 잡니다")  # 5 words shared in English, 2 in Korean
DROPPED = ("does the red cat sleep here", "회색 개가 달린다")  # 5 and 0
NEGATIVE = ("birds sing at dawn", "새들은 새벽에 노래한다")  # 0 and 0
FALSE = ("yes the red cat does sleep at night", "응, 밤에는 확실히 쉰다")  # 5 and 0
FAILED = ("a fish swims", "err")
EXPECTED = [[], ["teacher_drop"], [], ["teacher_false_negative"], ["backend_error"]]
"""With a drop of at most 3 words, and no margin for negatives."""
SCORED = [(5.0, 2.0), (5.0, 0.0), (0.0, 0.0), (5.0, 0.0), None]


def group(number: int) -> Group:
    """A group with a document of each kind."""
    docs = tuple(
        Candidate(f"d{place}", text=target, label=float(place < 2), meta=with_origin({}, title=None, text=f"{source}"))
        for place, (source, target) in enumerate((GOOD, DROPPED, NEGATIVE, FALSE, FAILED))
    )
    return Group(f"q{number}", QUERY[1], docs, lang="ko", meta=with_origin({}, lang="en", query=QUERY[0]))


def written(path: Path, number: int) -> str:
    """So many groups as a file."""
    write_groups(str(path), (group(n) for n in range(number)))
    return str(path)


def read(folder: str) -> list[Group]:
    """The groups of an output."""
    return [each for _, each in read_groups(folder, _never)]


def _never(row: Rejected) -> None:
    raise AssertionError(row)


def settings_of(groups: str, output: str | Path, **more: Any) -> dict[str, Any]:
    """Settings of a job with a stand-in for a teacher."""
    return {"groups": groups, "source": "en", "target": "ko", "output": str(output), "workers": "1", **more}


def driver_of(
    settings: dict[str, Any], log: Path, spec: LoggedSpec | None = None, block_groups: int | None = None
) -> Driver:
    """The job in a process of its own; a `spec` is the teacher."""
    asked = {"settings": settings, "spec": spec and asdict(spec), "block_groups": block_groups}
    return Driver([sys.executable, "-m", "tests.data.filtering", json.dumps(asked)], log)


def _main() -> None:
    from crossrank.filtering import job
    from crossrank.filtering.settings import FilterSettings

    asked = json.loads(sys.argv[1])
    if asked["block_groups"] is not None:
        vars(job)["BLOCK_GROUPS"] = asked["block_groups"]
    job.filter(FilterSettings(**asked["settings"]), asked["spec"] and LoggedSpec(**asked["spec"]))


if __name__ == "__main__":
    _main()
