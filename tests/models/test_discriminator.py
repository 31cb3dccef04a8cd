"""The PatchGAN: its receptive field, saving and loading, and invalid input."""

import pytest
import torch

from smoke_vq import PatchDiscriminator
from smoke_vq.models.discriminator import NORMS


def build(**changes) -> PatchDiscriminator:
    torch.manual_seed(0)
    return PatchDiscriminator(**{"base_channels": 8} | changes).eval()


@pytest.fixture
def images() -> torch.Tensor:
    """(4, 3, 64, 64) in [-1, 1]."""
    return torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(("num_layers", "patch"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_the_receptive_field_is_that_of_the_paper(num_layers, patch):
    """Isola et al. (2017): 16x16 and 70x70. A logit depends on the pixels of one such patch only."""
    discriminator = build(num_layers=num_layers, norm="none", base_channels=2)
    pixels = torch.zeros(1, 3, 224, 224, requires_grad=True)
    logits = discriminator(pixels)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    seen = pixels.grad.abs().sum(dim=(0, 1)) > 0
    for axis in (0, 1):
        extent = seen.any(dim=axis).nonzero()
        assert extent.max() - extent.min() + 1 == patch == discriminator.receptive_field


def test_the_defaults_are_the_70x70_patchgan(images):
    discriminator = PatchDiscriminator()
    convolutions = [layer for layer in discriminator.layers if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64, 128, 256, 512, 1]
    assert [layer.stride[0] for layer in convolutions] == [2, 2, 2, 1, 1]
    assert discriminator.receptive_field == 70
    assert discriminator(images[:1]).shape == (1, 1, 6, 6)


def test_is_initialized_as_in_pix2pix():
    discriminator = PatchDiscriminator()
    for layer in discriminator.layers:
        if isinstance(layer, torch.nn.Conv2d):
            assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
        elif isinstance(layer, torch.nn.GroupNorm):
            assert float(layer.weight.detach().mean()) == pytest.approx(1, abs=0.01)
            assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.3)
    assert all((value == 0).all() for name, value in discriminator.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize("norm", sorted(NORMS))
@pytest.mark.parametrize(
    ("num_layers", "height", "width"), [(1, 6, 9), (2, 32, 12), (3, 64, 64), (3, 48, 100), (5, 96, 97)]
)
def test_logits_size_is_the_size_of_the_logits(norm, num_layers, height, width):
    discriminator = build(num_layers=num_layers, norm=norm, base_channels=4)
    logits = discriminator(torch.zeros(2, 3, height, width))
    assert logits.shape == (2, 1, discriminator.logits_size(height), discriminator.logits_size(width))


def test_channels_grow_up_to_a_factor_of_eight():
    discriminator = build(num_layers=5, base_channels=4)
    convolutions = [layer for layer in discriminator.layers if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [4, 8, 16, 32, 32, 32, 1]


@pytest.mark.parametrize("base_channels", [2, 8, 24, 64])
def test_groups_have_four_channels_or_more(base_channels):
    for layer in build(base_channels=base_channels).layers:
        if isinstance(layer, torch.nn.GroupNorm):
            assert layer.num_channels // layer.num_groups >= 4


def test_group_norm_normalizes_images_separately(images):
    discriminator = build().train()
    together = discriminator(images)
    apart = torch.cat([discriminator(image[None]) for image in images])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)


def test_batch_norm_normalizes_the_batch(images):
    discriminator = build(norm="batch").train()
    assert (discriminator(images)[:2] - discriminator(images[:2])).abs().max() > 1e-3


@pytest.mark.parametrize("norm", sorted(NORMS))
def test_saves_and_loads_bit_equal(tmp_path, norm, images):
    discriminator = build(norm=norm, num_layers=2, in_channels=3)
    discriminator.train()(images)  # a batch norm has statistics to save
    discriminator.eval().save_pretrained(tmp_path / "discriminator")
    loaded = PatchDiscriminator.from_pretrained(tmp_path, subfolder="discriminator")
    assert dict(loaded.config)["norm"] == norm
    assert torch.equal(loaded(images), discriminator(images))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"norm": "layer"}, r"Unknown norm 'layer': expected one of \['batch', 'group', 'none'\]"),
        ({"num_layers": 0}, "num_layers expects a whole number of 1 or more, found 0"),
        ({"base_channels": 0}, "base_channels expects a whole number of 1 or more, found 0"),
    ],
)
def test_refuses_invalid_sizes(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        PatchDiscriminator(**arguments)


@pytest.mark.parametrize("shape", [(2, 1, 64, 64), (3, 64, 64)])
def test_refuses_other_channels(shape):
    with pytest.raises(ValueError, match=r"shape \(B, 3, H, W\), found"):
        build()(torch.zeros(shape))


@pytest.mark.parametrize("num_layers", [1, 3, 4])
def test_refuses_images_too_small_for_its_layers(num_layers):
    discriminator = build(num_layers=num_layers, base_channels=2)
    least = 3 * 2**num_layers
    assert discriminator.logits_size(least) == 1
    assert discriminator(torch.zeros(1, 3, least, least)).shape == (1, 1, 1, 1)
    for ask in (discriminator.logits_size, lambda size: discriminator(torch.zeros(1, 3, 64, size))):
        with pytest.raises(ValueError, match=f"Images of {least - 1} pixels .* expected {least} or more"):
            ask(least - 1)
