"""Muon: against torch's own for matrices, AdamW for the rest, and a state that continues to the last bit."""

import copy

import pytest
import torch
from torch import nn

from smoke_vq.training.muon import Muon, orthogonalized
from smoke_vq.training.player import parameter_groups


def gradients(parameters: list[nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def weights(*shapes: tuple[int, ...]) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_matrices_learn_as_with_the_muon_of_torch(shape):
    ours, theirs = weights(shape), weights(shape)
    groups = [{"params": ours, "orthogonal": True, "weight_decay": 0.1}]
    optimizers = [
        Muon(groups, lr=0.01),
        torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    ]
    for step in range(5):
        gradients(ours, step)
        gradients(theirs, step)
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(ours[0], theirs[0], rtol=0, atol=5e-4)  # sums of bfloat16 in another order


def test_a_convolution_is_the_matrix_of_its_filters():
    convolution, matrix = weights((16, 5, 3, 3)), weights((16, 45))
    for parameters in (convolution, matrix):
        optimizer = Muon([{"params": parameters, "orthogonal": True}], lr=0.1)
        gradients(matrix, 0)
        convolution[0].grad = matrix[0].grad.view(16, 5, 3, 3)
        optimizer.step()
    assert torch.equal(convolution[0].flatten(1), matrix[0])


@pytest.mark.parametrize("shape", [(30, 100), (100, 30)])
def test_singular_values_come_near_one_and_directions_stay(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalized(matrix[None])[0].float()
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6 and values.max() < 1.3
    along = torch.diagonal(u.T @ found @ v.T)
    torch.testing.assert_close(along.sort().values, values.sort().values, rtol=0.05, atol=0.05)


def test_a_gradient_of_zeros_changes_nothing():
    matrix, vector = weights((8, 9), (8,))
    before = [parameter.detach().clone() for parameter in (matrix, vector)]
    optimizer = Muon([{"params": [matrix], "orthogonal": True}, {"params": [vector]}], lr=0.1)
    matrix.grad, vector.grad = torch.zeros(8, 9), torch.zeros(8)
    optimizer.step()
    assert torch.equal(matrix, before[0]) and torch.equal(vector, before[1])


def test_other_parameters_learn_as_with_adamw():
    ours, theirs = weights((7,), (5, 3)), weights((7,), (5, 3))
    optimizers = [
        Muon(ours, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1),
        torch.optim.AdamW(theirs, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1),
    ]
    for step in range(5):
        gradients(ours, step)
        gradients(theirs, step)
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_a_loaded_state_continues_to_the_last_bit():
    straight, resumed = nn.Conv2d(4, 8, 3), nn.Conv2d(4, 8, 3)
    first = Muon(parameter_groups(straight, 0.0), lr=0.01)
    gradients(list(straight.parameters()), 0)
    first.step()
    resumed.load_state_dict(straight.state_dict())
    second = Muon(parameter_groups(resumed, 0.0), lr=0.5)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for network, optimizer in ((straight, first), (resumed, second)):
        gradients(list(network.parameters()), 1)
        optimizer.step()
    assert all(map(torch.equal, straight.parameters(), resumed.parameters()))
    assert first.state[straight.weight].keys() == {"momentum"}
    assert first.state[straight.bias].keys() == {"exp_avg", "exp_avg_sq", "step"}
