"""A disk that fills up in the middle of a job: what was finished stays, and with room the same command goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossrank.errors import CrossrankError
from crossrank.reranking.job import rerank
from crossrank.reranking.settings import RerankSettings
from tests.ray.inputs import Inputs, part_files, ranked_of, read_output, settings_of
from tests.unit.stand_ins import OverlapSpec

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="a disk of a given size needs root and mount"
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_named_and_with_room_again_the_same_job_goes_on(
    cluster: None, disk: Path, tmp_path: Path
) -> None:
    inputs = Inputs.made(num_queries=100, depth=8)
    settings = RerankSettings(**settings_of(inputs.write(str(tmp_path)), disk / "out"))
    with pytest.raises(CrossrankError, match=r"cannot write .*: No space left on device") as refused:
        rerank(settings, OverlapSpec())
    kept = part_files(str(disk / "out"))
    print(refused.value, len(kept))
    assert not list(disk.rglob("_part-*.tmp"))

    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
    manifest = rerank(settings, OverlapSpec())
    assert manifest["rows"]["resumed"] == len(kept)
    assert ranked_of(read_output(str(disk / "out"))) == inputs.ranked(top_n=10)
    assert kept.items() <= part_files(str(disk / "out")).items()
