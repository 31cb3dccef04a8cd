"""What a checkpoint holds: the states of everything that a training changes, as a copy in host memory."""

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from ..downloads.errors import first_line
from .nested_state import EncodedState, NestedState, read_nested_state

SUFFIX = ".safetensors"
PICKLE = "optimizer.bin"  # in checkpoints that accelerate has written
_SCALER = "scaler"


@dataclass
class Snapshot:
    """Everything that a checkpoint holds, as a copy in host memory.

    Attributes:
        state: what the trainer needs to continue, as JSON.
        parts: by file name without suffix; empty except on the main process.
    """

    step: int
    state: dict[str, Any]
    parts: dict[str, NestedState | EncodedState]

    @classmethod
    def take(cls, accelerator: Accelerator, step: int, state: dict[str, Any]) -> "Snapshot":
        """Copy networks, optimizers, registered objects and random states; called by all processes."""
        states = _gather(accelerator, NestedState(_random_states(accelerator)).encode())
        if not accelerator.is_main_process:
            return cls(step, state, {})
        parts: dict[str, NestedState | EncodedState]
        parts = {name: NestedState(part.state_dict()) for name, part in _parts(accelerator)}
        if accelerator.device.type == "cuda":
            torch.cuda.synchronize()
        return cls(step, state, parts | {f"random_states_{rank}": part for rank, part in enumerate(states)})

    @property
    def size(self) -> int:
        """Bytes on disk, nearly."""
        return sum(part.size for part in self.parts.values())


def _gather(accelerator: Accelerator, own: EncodedState) -> list[EncodedState]:
    """The states of all processes, sent as bytes: objects would be pickled."""
    content = torch.frombuffer(bytearray(own.content), dtype=torch.uint8).to(accelerator.device)
    sizes = accelerator.gather(torch.tensor([len(content)], device=accelerator.device)).tolist()
    padded = torch.nn.functional.pad(content, (0, max(sizes) - len(content)))
    rows = accelerator.gather(padded).reshape(len(sizes), -1).cpu().numpy()
    return [EncodedState(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]


def load_snapshot(accelerator: Accelerator, folder: Path, trust_pickle: bool = False) -> None:
    """Restore networks, optimizers, schedules, averages and random states.

    A process without random states in the checkpoint, as after a change of their number, keeps its own.

    Args:
        trust_pickle: read a checkpoint that an older version has written with pickle, which may run any code.

    Raises:
        ValueError: the checkpoint was written with pickle, or is one of another training.
    """
    if (folder / PICKLE).exists():
        if not trust_pickle:
            raise ValueError(
                f"The checkpoint {folder} was written by an older version of smoke_vq as pickle files, which can run "
                f"any code when they are read: pass --trust-pickle true if nobody else can have changed it."
            )
        accelerator.load_state(str(folder))
        return
    for name, part in _parts(accelerator):
        if name == _SCALER and not (folder / f"{name}{SUFFIX}").exists():
            continue  # the checkpoint is of a training in another precision
        state = read_nested_state(folder / f"{name}{SUFFIX}")
        with _naming(folder, name):
            part.load_state_dict(state)
    accelerator.step = 0  # of micro-batches: checkpoints are written between optimizer steps
    path = folder / f"random_states_{accelerator.process_index}{SUFFIX}"
    if path.exists():
        _restore_random_states(accelerator, read_nested_state(path))


def _parts(accelerator: Accelerator) -> Iterator[tuple[str, Any]]:
    """What a checkpoint holds, by file name: objects with `state_dict` and `load_state_dict`."""
    for index, network in enumerate(accelerator._models):
        yield _numbered("model", index), accelerator.unwrap_model(network, keep_torch_compile=False)
    for index, optimizer in enumerate(accelerator._optimizers):
        yield _numbered("optimizer", index), _Optimizer(optimizer.optimizer)
    for index, registered in enumerate(accelerator._custom_objects):
        yield f"state_{index}", registered
    if accelerator.scaler is not None:
        yield _SCALER, accelerator.scaler


def _numbered(name: str, index: int) -> str:
    return name if index == 0 else f"{name}_{index}"


@dataclass
class _Optimizer:
    """An optimizer whose state is independent of the device: which kernels it uses is not part of it."""

    optimizer: torch.optim.Optimizer
    KERNELS = ("fused", "foreach", "capturable")

    def state_dict(self) -> dict[str, Any]:
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for group, own in zip(state["param_groups"], self.optimizer.param_groups, strict=True):
            group |= {name: own[name] for name in self.KERNELS if name in own}
        self.optimizer.load_state_dict(state)


def _random_states(accelerator: Accelerator) -> dict[str, Any]:
    states = {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
    }
    if accelerator.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _restore_random_states(accelerator: Accelerator, states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if accelerator.device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])


@contextlib.contextmanager
def _naming(folder: Path, name: str) -> Iterator[None]:
    """Turn what a state that does not fit raises into one sentence."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ValueError(
            f"{name}{SUFFIX} of the checkpoint {folder} is not of this training: {first_line(error)}"
        ) from error
