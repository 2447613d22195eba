"""The tensors of a model's files, read and written one at a time, so that memory does not grow with the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

from crossrank.errors import ModelRefused, in_short
from crossrank.scoring.loading import ModelFolder

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
BYTES = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 1),
}
"""Bytes of one number, by the name of its format in safetensors."""
LEGACY = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
"""Endings of names in files from before 2019, such as those of bert-base-uncased; transformers renames them too."""


@dataclass(frozen=True, slots=True)
class TensorKind:
    """Format and shape of a tensor, without its numbers."""

    number: str
    """Format of its numbers, one of `BYTES`."""
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Bytes of the tensor in a file."""
        return BYTES[self.number] * prod(self.shape)


class Tensors:
    """Tensors of a model by name. Its files are mapped, not loaded."""

    def __init__(self, model: str, files: list[Any]) -> None:
        self.model = model
        self._places = {_modern(stored): (file, stored) for file in files for stored in list(file.keys())}
        self.kinds = {name: self._kind(name) for name in sorted(self._places)}

    def read(self, name: str) -> Any:
        """Read one tensor.

        Raises:
            ModelRefused: the file breaks off.
        """
        from safetensors import SafetensorError

        file, stored = self._places[name]
        try:
            return file.get_tensor(stored)
        except SafetensorError as error:
            raise _unreadable(self.model, error) from error

    def _kind(self, name: str) -> TensorKind:
        file, stored = self._places[name]
        header = file.get_slice(stored)
        if header.get_dtype() not in BYTES:
            raise ModelRefused(
                f"{name} of {self.model} holds {header.get_dtype()} numbers; use one of {', '.join(BYTES)}"
            )
        return TensorKind(header.get_dtype(), tuple(header.get_shape()))


@contextmanager
def opened(folder: ModelFolder) -> Iterator[Tensors]:
    """The tensors of a model, whether in one file or in the several that an index names."""
    from safetensors import SafetensorError, safe_open

    with ExitStack() as stack:
        try:
            files = [
                stack.enter_context(safe_open(folder.path / name, framework="pt")) for name in _weight_files(folder)
            ]
        except (OSError, SafetensorError) as error:
            raise _unreadable(folder.name, error) from error
        yield Tensors(folder.name, files)


def write_tensors(file: BinaryIO, kinds: Mapping[str, TensorKind], tensor: Callable[[str], Any]) -> None:
    """Write a safetensors file. The library's own writer wants all tensors in memory at once.

    Args:
        kinds: format and shape of every tensor, by name.
        tensor: function that gives the tensor of a name, of just that kind; called once for each name.
    """
    import torch

    # Formats of 8 bytes a number come first, so that every tensor begins where its numbers are aligned.
    names = sorted(kinds, key=lambda name: (-BYTES[kinds[name].number], name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}  # transformers loads no file without it
    end = 0
    for name in names:
        begin, end = end, end + kinds[name].num_bytes
        header[name] = {"dtype": kinds[name].number, "shape": kinds[name].shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        file.write(tensor(name).contiguous().reshape(-1).view(torch.uint8).numpy())


def _weight_files(folder: ModelFolder) -> list[str]:
    if (folder.path / WEIGHTS).exists():
        return [WEIGHTS]
    if not (folder.path / INDEX).exists():
        raise ModelRefused(
            f"{folder.name} holds no {WEIGHTS}; load it once with transformers in a place you trust and call "
            f"save_pretrained()"
        )
    try:
        names = set(json.loads((folder.path / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
        return sorted(name.rsplit("/", 1)[-1] for name in names)  # a path in it would lead out of the folder
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelRefused(
            f"{folder.name}/{INDEX} has no weight_map from names to files; fetch the model again"
        ) from error


def _modern(name: str) -> str:
    return next((name.removesuffix(old) + new for old, new in LEGACY.items() if name.endswith(old)), name)


def _unreadable(model: str, error: Exception) -> ModelRefused:
    reason = in_short(error)
    return ModelRefused(f"the weights of {model} cannot be read ({reason}); fetch it again")
