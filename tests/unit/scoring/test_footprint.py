"""What a worker takes, from the headers of its model's files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from crossrank.errors import ModelRefused
from crossrank.scoring.footprint import BYTES_PER_WEIGHT, PROCESS_BYTES, process_bytes
from crossrank.scoring.loading import ModelFolder


def folder(path: Path) -> ModelFolder:
    return ModelFolder("some-model", path, "r1")


def test_every_weight_counts_as_float32_whatever_its_file_holds(tmp_path: Path) -> None:
    matrix, vector = np.zeros((30, 7), dtype=np.float16), np.zeros(5, dtype=np.float32)
    save_file({"matrix": matrix, "vector": vector}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"number": np.zeros((), dtype=np.float32)}, tmp_path / "model-00002-of-00002.safetensors")
    assert process_bytes(folder(tmp_path)) == PROCESS_BYTES + BYTES_PER_WEIGHT * (30 * 7 + 5 + 1)


@pytest.mark.parametrize("content", [b"", b"not safetensors at all"])
def test_weights_that_cannot_be_read_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelRefused, match=r"^the weights of some-model cannot be read \(.*\); fetch it again$"):
        process_bytes(folder(tmp_path))
