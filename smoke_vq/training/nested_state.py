"""A nested state of numbers, text, lists, dicts and tensors as one safetensors file. Nothing is pickled."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file

STRUCTURE = "state"  # the key of the file's metadata: the state as JSON, with the names of tensors in their place
_TENSOR, _ARRAY, _TUPLE, _ITEMS = "$tensor", "$array", "$tuple", "$items"


class NestedState:
    """A copy of a state in host memory, which does not change while a training goes on.

    Tensors of a GPU are copied to pinned memory without waiting: synchronize before the copy is read.

    Args:
        state: numbers, text, None, tensors, NumPy arrays, and lists, tuples and dicts of these.

    Raises:
        ValueError: the state holds something else.
    """

    def __init__(self, state: Any):
        self.tensors: dict[str, torch.Tensor] = {}
        self.structure = json.dumps(self._describe(state, "state"))

    @property
    def size(self) -> int:
        """Bytes of the file, nearly."""
        return len(self.structure) + sum(tensor.nbytes for tensor in self.tensors.values())

    def write(self, path: Path) -> None:
        """Raises an OSError if the file cannot be written."""
        try:
            save_file(self.tensors, path, metadata={STRUCTURE: self.structure})
        except SafetensorError as error:  # safetensors hides the error of the system in its own
            raise OSError(f"{path} cannot be written: {error}") from error

    def encode(self) -> "EncodedState":
        return EncodedState(save(self.tensors, metadata={STRUCTURE: self.structure}))

    def _describe(self, value: Any, name: str) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, torch.Tensor):
            return self._keep(value.detach(), name, _TENSOR)
        if isinstance(value, np.ndarray):
            return self._keep(torch.from_numpy(value), name, _ARRAY)
        if isinstance(value, dict):
            items = {key: self._describe(entry, f"{name}.{key}") for key, entry in value.items()}
            if all(isinstance(key, str) and not key.startswith("$") for key in items):
                return items
            return {_ITEMS: [[self._describe(key, name), entry] for key, entry in items.items()]}
        if isinstance(value, list | tuple):
            entries = [self._describe(entry, f"{name}.{index}") for index, entry in enumerate(value)]
            return entries if isinstance(value, list) else {_TUPLE: entries}
        raise ValueError(
            f"A checkpoint holds numbers, text, tensors, and lists, tuples and dicts of these: found {name} of type "
            f"{type(value).__name__}."
        )

    def _keep(self, tensor: torch.Tensor, name: str, kind: str) -> dict[str, Any]:
        while name in self.tensors:
            name += "_"
        dense = torch.empty_like(tensor, device="meta")  # of an expanded tensor too
        description = {kind: name} if dense.is_contiguous() else {kind: name, "stride": list(dense.stride())}
        self.tensors[name] = _host_copy(tensor)
        return description


@dataclass
class EncodedState:
    """The content of a file of a nested state, as another process has sent it."""

    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    def write(self, path: Path) -> None:
        path.write_bytes(self.content)


def _host_copy(tensor: torch.Tensor) -> torch.Tensor:
    """A contiguous copy in host memory."""
    on_gpu = tensor.device.type == "cuda"
    copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=on_gpu)
    return copy.copy_(tensor, non_blocking=on_gpu)


def read_nested_state(path: Path) -> Any:
    """The state that `NestedState.write` has written, with its tensors on the CPU and in their former memory format.

    Raises:
        ValueError: the file is damaged, or was written by something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            structure = json.loads((file.metadata() or {})[STRUCTURE])
            return _restore(structure, {name: file.get_tensor(name) for name in file.offset_keys()})
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a state that smoke_vq has written.") from error


def _restore(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_restore(entry, tensors) for entry in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return tensors[value[_ARRAY]].numpy()
    if _TENSOR in value:
        tensor = tensors[value[_TENSOR]]
        if "stride" not in value:
            return tensor
        return _with_strides(tensor, value["stride"])
    if _TUPLE in value:
        return tuple(_restore(entry, tensors) for entry in value[_TUPLE])
    if _ITEMS in value:
        return {_restore(key, tensors): _restore(entry, tensors) for key, entry in value[_ITEMS]}
    return {key: _restore(entry, tensors) for key, entry in value.items()}


def _with_strides(tensor: torch.Tensor, strides: list[int]) -> torch.Tensor:
    """The same values in another memory format."""
    span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, strides, strict=True))
    if span != tensor.numel() or min(strides) < 0:
        raise ValueError(f"Strides {strides} do not fit a tensor of shape {list(tensor.shape)}.")
    return torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype).copy_(tensor)
