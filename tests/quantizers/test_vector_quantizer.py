"""The quantizer of van den Oord et al. (2017) against float64, autograd and diffusers."""

from contextlib import nullcontext

import pytest
import torch
from diffusers.models.autoencoders.vae import VectorQuantizer as DiffusersQuantizer

from smoke_vq.quantizers import VectorQuantizer
from smoke_vq.quantizers.nearest import SEARCH_TILE, nearest_codes

N, K, D = 4096, 1024, 256


def exact_nearest(vectors: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    """argmin of the distances in float64."""
    distances = torch.cdist(vectors.double(), codebook.double(), compute_mode="donot_use_mm_for_euclid_dist")
    return distances.argmin(dim=1)


def at_initialisation(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(N, D, generator=generator)
    return vectors, torch.empty(K, D).uniform_(-1 / K, 1 / K, generator=generator)


def trained_like(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes are some of the vectors with noise; the variance of the vectors differs between directions."""
    generator = torch.Generator().manual_seed(seed)
    spread = 2 * 0.9 ** torch.arange(D)
    vectors = spread * torch.randn(N, D, generator=generator)
    return vectors, vectors[::4][:K] + 0.2 * spread * torch.randn(K, D, generator=generator)


@pytest.mark.parametrize("case", [at_initialisation, trained_like])
@pytest.mark.parametrize(
    "context",
    [nullcontext, lambda: torch.autocast("cpu", torch.bfloat16)],
    ids=["float32", "bf16 autocast"],
)
def test_every_vector_finds_its_nearest_code(case, context):
    vectors, codebook = case(seed=0)
    with context():
        found = nearest_codes(vectors, codebook)
    assert torch.equal(found, exact_nearest(vectors, codebook))


@pytest.mark.parametrize("case", [at_initialisation, trained_like])
def test_in_bf16_every_vector_finds_its_nearest_code(case):
    """With `||z||^2` in bfloat16, all vectors would be assigned to one code at the usual initialisation."""
    vectors, codebook = (tensor.bfloat16() for tensor in case(seed=0))
    quantizer = VectorQuantizer(K, D)
    quantizer.codebook.data = codebook
    latents = vectors.view(64, 8, 8, D).permute(0, 3, 1, 2)
    indices = quantizer.to(torch.bfloat16)(latents).indices.flatten()
    assert torch.equal(indices, exact_nearest(vectors, codebook))
    if case is at_initialisation:
        assert len(indices.unique()) > 900


def test_of_codes_that_are_equally_near_the_first_is_chosen():
    codes = torch.tensor([[4.0], [0.0], [1.0]]).repeat(500, 1)
    assert nearest_codes(torch.tensor([[0.1], [1.1], [3.9]]).repeat(40, 1), codes).tolist() == [1, 2, 0] * 40


@pytest.mark.parametrize("count", [1, SEARCH_TILE - 1, SEARCH_TILE, SEARCH_TILE + 1, 2 * SEARCH_TILE + 7])
def test_tiles_include_every_vector_and_every_code(count):
    vectors, codebook = trained_like(seed=1)
    assert torch.equal(nearest_codes(vectors[:count], codebook), exact_nearest(vectors[:count], codebook))
    found = nearest_codes(codebook, vectors[:count])
    assert torch.equal(found, exact_nearest(codebook, vectors[:count])) and (count < K or int(found.max()) > count // 2)


@pytest.fixture
def quantizer():
    torch.manual_seed(0)
    quantizer = VectorQuantizer(32, 8)
    quantizer.codebook.data.normal_()
    return quantizer


@pytest.fixture
def latents():
    return torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)


def test_gradient_passes_straight_through(quantizer, latents):
    gradient = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
    quantizer(latents).quantized.backward(gradient)
    assert torch.equal(latents.grad, gradient)
    assert quantizer.codebook.grad is None


@pytest.mark.parametrize("loss_weights", [(1.0, 0.0), (0.0, 1.0), (0.1, 1.0)], ids=["commitment", "codebook", "both"])
def test_losses_and_gradients_equal_the_formula(quantizer, latents, loss_weights):
    beta, gamma = loss_weights
    pull = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
    output = quantizer(latents)
    losses = output.losses
    ((pull * output.quantized).sum() + beta * losses["commitment"] + gamma * losses["codebook"]).backward()

    z = latents.detach().double().requires_grad_()
    codebook = quantizer.codebook.detach().double().requires_grad_()
    vectors = z.permute(0, 2, 3, 1).flatten(0, 2)
    e = codebook[exact_nearest(vectors.detach(), codebook.detach())].view(2, 4, 4, 8).permute(0, 3, 1, 2)
    commitment = ((z - e.detach()) ** 2).mean()
    codebook_loss = ((z.detach() - e) ** 2).mean()
    straight_through = z + (e - z).detach()
    ((pull * straight_through).sum() + beta * commitment + gamma * codebook_loss).backward()

    close = {"rtol": 1e-5, "atol": 1e-7}
    torch.testing.assert_close(losses["commitment"].double(), commitment, **close)
    torch.testing.assert_close(losses["codebook"].double(), codebook_loss, **close)
    torch.testing.assert_close(output.quantized.double(), straight_through, **close)
    torch.testing.assert_close(latents.grad.double(), z.grad, **close)
    torch.testing.assert_close(quantizer.codebook.grad.double(), codebook.grad, **close)


def test_commitment_is_on_the_encoder_term(quantizer, latents):
    """beta weighs ||z_e - sg(e)||^2, the term that moves the encoder (some implementations weigh the other term)."""
    losses = quantizer(latents).losses
    latent_gradient, code_gradient = torch.autograd.grad(
        losses["commitment"], [latents, quantizer.codebook], retain_graph=True, allow_unused=True
    )
    assert latent_gradient.abs().sum() > 0 and code_gradient is None
    latent_gradient, code_gradient = torch.autograd.grad(
        losses["codebook"], [latents, quantizer.codebook], allow_unused=True
    )
    assert latent_gradient is None and code_gradient.abs().sum() > 0


@pytest.mark.parametrize("legacy", [False, True])
def test_agrees_with_diffusers(quantizer, latents, legacy):
    """With `legacy`, diffusers has beta on the codebook term; the named losses can be weighted either way."""
    beta = 0.25
    theirs = DiffusersQuantizer(32, 8, beta=beta, legacy=legacy)
    theirs.embedding.weight.data.copy_(quantizer.codebook.data)
    their_latents = latents.detach().clone().requires_grad_()
    quantized, their_loss, (_, _, indices) = theirs(their_latents)
    (quantized.sum() + their_loss).backward()

    output = quantizer(latents)
    commitment, codebook = output.losses["commitment"], output.losses["codebook"]
    loss = commitment + beta * codebook if legacy else beta * commitment + codebook
    (output.quantized.sum() + loss).backward()

    assert torch.equal(output.indices.flatten(), indices.flatten())
    torch.testing.assert_close(output.quantized, quantized)
    torch.testing.assert_close(loss, their_loss)
    torch.testing.assert_close(latents.grad, their_latents.grad)
    torch.testing.assert_close(quantizer.codebook.grad, theirs.embedding.weight.grad)


def test_forward_returns_the_codes_themselves(quantizer, latents):
    """Not `z + (e - z)`, which has a rounding error, so that stored indices decode to the same image."""
    output = quantizer(1000 * latents)
    codes = quantizer.codebook[output.indices].permute(0, 3, 1, 2)
    assert torch.equal(output.quantized, codes)
    assert torch.equal(quantizer.embed(output.indices), output.quantized)


def test_autocast_leaves_the_quantizer_in_float32(quantizer, latents):
    plain = quantizer(latents)
    with torch.autocast("cpu", torch.bfloat16):
        autocast = quantizer(latents)
    assert torch.equal(plain.quantized, autocast.quantized)
    assert all(torch.equal(plain.losses[name], autocast.losses[name]) for name in plain.losses)
