"""Product quantization against SciPy's vector quantization of each group."""

import numpy as np
import pytest
import torch
from scipy.cluster.vq import vq

from smoke_vq.quantizers import GroupedQuantizer, VectorQuantizer, make_quantizer

K, D, GROUPS = 32, 12, 3


@pytest.fixture
def quantizer():
    torch.manual_seed(0)
    quantizer = GroupedQuantizer(K, D, num_groups=GROUPS)
    for part in quantizer.parts:
        part.codebook.data.normal_()
    return quantizer


@pytest.fixture
def latents():
    return torch.randn(2, D, 4, 6, generator=torch.Generator().manual_seed(1), requires_grad=True)


def test_each_group_is_quantized_as_by_scipy(quantizer, latents):
    output = quantizer(latents)
    vectors = latents.detach().double().permute(0, 2, 3, 1).reshape(-1, D).numpy()
    errors = []
    for group, part in enumerate(quantizer.parts):
        channels = slice(group * D // GROUPS, (group + 1) * D // GROUPS)
        codebook = part.codebook.detach()
        indices, distances = vq(vectors[:, channels], codebook.double().numpy())
        assert np.array_equal(output.indices[..., group].flatten().numpy(), indices)
        assert torch.equal(
            output.quantized[:, channels].permute(0, 2, 3, 1).flatten(0, 2), codebook[torch.from_numpy(indices).long()]
        )
        errors.append(distances**2)
    expected = np.mean(errors) * GROUPS / D  # the mean over all channels
    assert float(output.losses["commitment"].detach()) == pytest.approx(expected, rel=1e-5)


def test_gradients_are_those_of_each_group_alone(quantizer, latents):
    pull = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
    output = quantizer(latents)
    ((pull * output.quantized).sum() + output.losses["commitment"] + output.losses["codebook"]).backward()
    for group, part in enumerate(quantizer.parts):
        channels = slice(group * D // GROUPS, (group + 1) * D // GROUPS)
        alone = VectorQuantizer(K, D // GROUPS)
        alone.load_state_dict(part.state_dict())
        own = latents.detach()[:, channels].clone().requires_grad_()
        output = alone(own)
        losses = output.losses["commitment"] + output.losses["codebook"]
        ((pull[:, channels] * output.quantized).sum() + losses / GROUPS).backward()
        torch.testing.assert_close(latents.grad[:, channels], own.grad)
        torch.testing.assert_close(part.codebook.grad, alone.codebook.grad)


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"num_groups": 0}, "num_groups expects a whole number of 1 or more, found 0"),
        ({"num_groups": 5}, "num_groups expects a divisor of the 12 latent channels, found 5"),
        ({"quantizer": "fqs"}, r"Unknown quantizer 'fqs': expected one of \["),
        ({"groups": 3}, r"'groups'; it takes \['quantizer', 'num_groups', 'kwargs'\]"),
    ],
)
def test_refuses(kwargs, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_quantizer("grouped", K, D, kwargs)
