"""Folders of the cache: made whole by one process, and a full disk there is named."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest

from crossrank.errors import OutputError, exit_status
from crossrank.storage.node_cache import build_once


def fills_up(folder: Path) -> None:
    """As a write does on a full disk: the error names no file."""
    (folder / "half").write_text("half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_cache_disk_is_named_and_nothing_half_made_is_left(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as refused:
        build_once(tmp_path / "corpora" / "abc", fills_up)
    assert str(refused.value) == (
        f"the cache {tmp_path / 'corpora'} cannot be written (No space left on device); make room there, or set "
        f"CROSSRANK_CACHE to a folder that has some"
    )
    assert [path.name for path in (tmp_path / "corpora").iterdir() if path.is_dir()] == []


def test_a_file_of_the_user_that_cannot_be_read_is_not_called_the_cache(tmp_path: Path) -> None:
    def reads(_: Path) -> None:
        (tmp_path / "nowhere.txt").read_text()

    with pytest.raises(FileNotFoundError, match=r"nowhere\.txt"):
        build_once(tmp_path / "corpora" / "abc", reads)


@pytest.mark.parametrize(
    "full",
    [
        OSError(errno.ENOSPC, "Error writing bytes to file. Detail: [errno 28]"),
        OSError("101967 requested and 98272 written"),
    ],
    ids=["as Arrow says it", "as numpy says it"],
)
def test_a_full_disk_is_called_full_whichever_library_met_it_and_the_work_has_failed(
    full: OSError, tmp_path: Path
) -> None:
    def fills(_: Path) -> None:
        raise full

    with pytest.raises(OutputError, match=r"abc cannot be written \(No space left on device\); make room") as refused:
        build_once(tmp_path / "abc" / "def", fills)
    assert exit_status(refused.value) == 1, "nothing that was typed is wrong"
    told = pickle.loads(pickle.dumps(refused.value))
    assert (str(told), exit_status(told)) == (str(refused.value), 1), "as a worker tells it"
    assert exit_status(OutputError("holds a job with other settings")) == 2
