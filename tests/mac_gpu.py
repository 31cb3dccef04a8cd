"""A stand-in for a Mac's GPU: a device that computes on the CPU and has no float64.

Within `mac_gpu()`, tensors that are made on `DEVICE` or moved there belong to it, and so does what is computed from
them, until they are moved to the CPU. As on the real device, a result in float64 raises a TypeError, and an operation
on tensors of both the device and the CPU a RuntimeError. It has all operations of the CPU: which of them torch lacks on
a Mac, it cannot tell.
"""

from contextlib import contextmanager

import pytest
import torch
from accelerate import Accelerator
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

# torch computes gradients only on types of device that it is built for; "meta" without a number is what it always was.
DEVICE = torch.device("meta:1")
_WIDE = (torch.float64, torch.complex128)
# What they read is moved to the device of what they write, or indices to that of what is indexed.
_MIX = ("copy_", "_foreach_copy_", "_to_copy", "index", "index_put", "index_put_", "_index_put_impl_")


_MAKE_TENSOR = torch.tensor


class MacTensor(torch.Tensor):
    """A tensor of the device, with its values on the CPU."""

    values: torch.Tensor
    is_meta = False

    @staticmethod
    def __new__(cls, values: torch.Tensor):
        assert values.device.type == "cpu", values.device
        layout = dict(strides=values.stride(), storage_offset=values.storage_offset(), dtype=values.dtype)
        tensor = torch.Tensor._make_wrapper_subclass(cls, values.shape, device=DEVICE, **layout)
        tensor.values = values
        return tensor

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), keywords=None):
        return _dispatch(function, arguments, keywords or {})

    def tolist(self):
        return self.cpu().tolist()

    def __getitem__(self, index):
        return super().__getitem__(_tensor(index) if isinstance(index, list) else index)

    def new_tensor(self, data, dtype=None, device=None):
        return _tensor(data, dtype=dtype or self.dtype, device=device or self.device)


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        return _dispatch(function, arguments, keywords or {})


def _dispatch(function, arguments, keywords):
    name, target = function._schema.name.removeprefix("aten::"), keywords.get("device")
    tensors = [leaf for leaf in tree_leaves((arguments, keywords)) if isinstance(leaf, torch.Tensor)]
    own = {id(tensor.values): tensor for tensor in tensors if isinstance(tensor, MacTensor)}
    if not own and target != DEVICE:
        return function(*arguments, **keywords)
    assert not any(type(tensor) is torch.Tensor and tensor.is_meta for tensor in tensors), f"{name} lacks values"
    on_cpu = [tensor for tensor in tensors if tensor.device.type == "cpu" and tensor.ndim > 0]
    if own and on_cpu and name not in _MIX:
        raise RuntimeError(f"{name}: expected all tensors on one device, found {DEVICE} and cpu")
    arguments_, keywords_ = tree_map_only(MacTensor, lambda tensor: tensor.values, (arguments, keywords))
    if target == DEVICE:
        keywords_["device"] = torch.device("cpu")
    results = function(*arguments_, **keywords_)
    leaves_device = target not in (None, DEVICE) or (name == "copy_" and not isinstance(arguments[0], MacTensor))
    if leaves_device:
        return results
    for result in tree_leaves(results):
        if isinstance(result, torch.Tensor) and result.dtype in _WIDE:
            raise TypeError(f"{name}: a Mac's GPU has no {str(result.dtype).removeprefix('torch.')}")
    results = tree_map_only(
        torch.Tensor, lambda tensor: own[id(tensor)] if id(tensor) in own else MacTensor(tensor), results
    )
    return return_and_correct_aliasing(function, arguments, keywords, results) if own else results


def _tensor(data, *, device=None, **options):
    """`torch.tensor`, which makes tensors without values on devices of the type "meta"."""
    tensor = _MAKE_TENSOR(data, **options)
    return tensor if device is None else tensor.to(device)


class _Generator(torch.Generator):
    """On a Mac, `torch.Generator(device)` is one of the device."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls, "cpu" if torch.device(device) == DEVICE else device)


class _Autocast(torch.autocast):
    """torch has one for "mps", but not for the type of `DEVICE`."""

    def __init__(self, device_type, **options):
        super().__init__("cpu" if device_type == DEVICE.type else device_type, **options)


@contextmanager
def mac_gpu():
    """The stand-in is the device of accelerate."""
    with pytest.MonkeyPatch.context() as patch, _Dispatch():
        patch.setattr(Accelerator, "device", DEVICE)
        patch.setattr(torch, "tensor", _tensor)
        patch.setattr(torch, "Generator", _Generator)
        patch.setattr(torch, "autocast", _Autocast)
        # Parameters stay the same objects when a module is moved, as they do on a real device.
        patch.setattr(torch.__future__, "_swap_module_params_on_conversion", True)
        yield
