"""States are written without pickle, and come back to the last bit."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from smoke_vq.training.nested_state import NestedState, read_nested_state


def round_trip(state, folder):
    NestedState(state).write(folder / "state.safetensors")
    return read_nested_state(folder / "state.safetensors")


def test_numbers_text_and_containers(tmp_path):
    state = {
        "float": 0.1 + 0.2,
        "large": 2**80,
        "infinite": float("inf"),
        "none": None,
        "flags": [True, False],
        "tuple": (1, (2.5, "three")),
        "$tensor": {"$items": "text"},
        "empty": [{}, [], ()],
        3: {-1: "negative", (4, 5): "pair"},
    }
    found = round_trip(state, tmp_path)
    assert found == state and isinstance(found["tuple"][1], tuple) and found["flags"][0] is True


def test_nan_is_kept(tmp_path):
    assert np.isnan(round_trip([float("nan")], tmp_path)[0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_tensors_keep_type_bits_and_memory_format(tmp_path, dtype):
    values = (torch.randn(2, 3, 4, 5) * 9).to(dtype)
    state = {"plain": values, "last": values.to(memory_format=torch.channels_last), "turned": values.transpose(0, 3)}
    state |= {
        "scalar": values.sum(),
        "none": values[:0],
        "wide": values[:1].expand(4, 3, 4, 5),
        "a.b": values,
        "a": {"b": -1},
    }
    found = round_trip(state, tmp_path)
    for name in ("plain", "last", "turned", "scalar", "none", "wide"):
        assert torch.equal(found[name], state[name]) and found[name].dtype == state[name].dtype
    assert found["last"].stride() == state["last"].stride() and found["turned"].stride() == state["turned"].stride()


def test_tensors_that_share_memory_or_a_name_are_kept_apart(tmp_path):
    one = torch.arange(6.0)
    found = round_trip({"a": {"b": one[:3]}, "a.b": one[3:], "again": one}, tmp_path)
    assert found["a"]["b"].tolist() == [0, 1, 2] and found["a.b"].tolist() == [3, 4, 5]


def test_random_states(tmp_path):
    import random

    state = (random.getstate(), np.random.get_state(), torch.get_rng_state())
    drawn = random.random(), np.random.rand(), torch.rand(1)
    found = round_trip(state, tmp_path)
    random.setstate(found[0]), np.random.set_state(found[1]), torch.set_rng_state(found[2])
    assert (random.random(), np.random.rand(), torch.rand(1)) == drawn


def test_a_copy_is_taken(tmp_path):
    weight = torch.zeros(3)
    state = NestedState({"weight": weight})
    weight += 1
    state.write(tmp_path / "state.safetensors")
    assert read_nested_state(tmp_path / "state.safetensors")["weight"].sum() == 0


@pytest.mark.parametrize("value", [{1, 2}, object(), lambda: 0, np.float32(1), b"bytes"])
def test_other_types_are_refused_with_their_place(value):
    with pytest.raises(ValueError, match=f"found state.a.1 of type {type(value).__name__}"):
        NestedState({"a": [0, value]})


@pytest.mark.parametrize(
    "structure",
    [
        "[" * 100_000,
        "{",
        json.dumps({"$tensor": "absent"}),
        json.dumps({"$tensor": ["weight"]}),
        json.dumps({"$tensor": "weight", "stride": [10**12]}),
        json.dumps({"$tensor": "weight", "stride": [-1]}),
        json.dumps({"$items": 3}),
        json.dumps({"$items": [[[], 1]]}),
    ],
)
def test_hostile_files_are_refused(tmp_path, structure):
    path = tmp_path / "state.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata={"state": structure})
    with pytest.raises(ValueError, match="is not a state that smoke_vq has written"):
        read_nested_state(path)


def test_a_file_of_something_else_is_refused(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "model.safetensors")
    (tmp_path / "damaged").write_bytes(b"12345678{")
    for name in ("model.safetensors", "damaged"):
        with pytest.raises(ValueError, match="is not a state that smoke_vq has written"):
            read_nested_state(tmp_path / name)


def test_a_file_that_cannot_be_written_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError, match="cannot be written"):
        NestedState({"weight": torch.zeros(3)}).write(tmp_path / "absent" / "state.safetensors")
