"""The gradients from codes to latents against autograd of the papers' formulas in float64."""

import pytest
import torch

from smoke_vq.quantizers import GRADIENTS, VectorQuantizer

N, D = 512, 16


def vectors(seed: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents, codes of other lengths, and the gradient at the codes."""
    generator = torch.Generator().manual_seed(seed)
    latents, codes, gradient = torch.randn(3, N, D, generator=generator, dtype=torch.float64)
    return latents.to(dtype), (codes * torch.linspace(0.01, 10, N)[:, None]).to(dtype), gradient.to(dtype)


def passed(name: str, latents: torch.Tensor, codes: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """The gradient at the latents."""
    latents = latents.clone().requires_grad_()
    output = GRADIENTS[name].apply(latents, codes)
    assert torch.equal(output, codes) and output.data_ptr() != codes.data_ptr()
    output.backward(gradient)
    return latents.grad


def by_autograd(name: str, latents: torch.Tensor, codes: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """The formula as the papers write it, with what they detach."""
    z = latents.double().requires_grad_()
    q, g = codes.double(), gradient.double()
    if name == "straight_through":
        output = z + (q - z).detach()
    else:
        u, v = (t / t.norm(dim=1, keepdim=True) for t in (z.detach(), q))
        w = (u + v) / (u + v).norm(dim=1, keepdim=True)
        reflected = z - 2 * (z * w).sum(dim=1, keepdim=True) * w
        rotated = reflected + 2 * (z * u).sum(dim=1, keepdim=True) * v
        output = q.norm(dim=1, keepdim=True) / z.detach().norm(dim=1, keepdim=True) * rotated
        torch.testing.assert_close(output, q)
    output.backward(g)
    return z.grad


@pytest.mark.parametrize("name", sorted(GRADIENTS))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradient_is_that_of_the_formula(name, dtype):
    latents, codes, gradient = vectors(0, dtype)
    found, expected = passed(name, latents, codes, gradient), by_autograd(name, latents, codes, gradient)
    assert found.dtype == dtype
    error = (found.double() - expected).norm(dim=1) / expected.norm(dim=1)
    assert error.max() < (1e-6 if dtype == torch.float32 else 1e-14)


def test_rotation_keeps_lengths_and_angles():
    """R is orthogonal: gradients change in length by |q| / |z| alone, and the angles between them stay."""
    latents, codes, gradient = vectors(1)
    _, _, other = vectors(2)
    scale = codes.norm(dim=1) / latents.norm(dim=1)
    one, two = passed("rotation", latents, codes, gradient), passed("rotation", latents, codes, other)
    torch.testing.assert_close(one.norm(dim=1), scale * gradient.norm(dim=1))
    torch.testing.assert_close((one * two).sum(dim=1), scale**2 * (gradient * other).sum(dim=1))


def test_rotation_turns_the_direction_of_the_code_to_that_of_the_latent():
    latents, codes, _ = vectors(3)
    torch.testing.assert_close(passed("rotation", latents, codes, codes), latents * (codes.norm(dim=1) / latents.norm(
        dim=1)).square()[:, None])  # fmt: skip


def test_rotation_of_a_latent_on_its_code_is_straight_through():
    latents, _, gradient = vectors(4)
    torch.testing.assert_close(passed("rotation", latents, latents, gradient), gradient)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rotation_where_the_formula_is_undefined(dtype):
    latents, codes, gradient = vectors(5, dtype)
    zero = torch.zeros_like(latents)
    assert torch.equal(passed("rotation", zero, codes, gradient), gradient)
    assert torch.equal(passed("rotation", zero, zero, gradient), gradient)
    assert torch.equal(passed("rotation", latents, zero, gradient), zero)
    u = latents / latents.norm(dim=1, keepdim=True)
    reflected = 3 * (gradient - 2 * (gradient * u).sum(dim=1, keepdim=True) * u)
    torch.testing.assert_close(passed("rotation", latents, -3 * latents, gradient), reflected)


@pytest.mark.parametrize("distance", [1e-9, 1e-6, 1e-4, 1e-2])
def test_rotation_is_orthogonal_near_opposite_vectors(distance):
    """Also where rounding takes most digits of |u + v|."""
    latents, noise, gradient = vectors(6, torch.float32)
    codes = distance * noise - latents
    scale = codes.norm(dim=1) / latents.norm(dim=1)
    found = passed("rotation", latents, codes, gradient)
    torch.testing.assert_close(found.norm(dim=1), scale * gradient.norm(dim=1), rtol=2e-3, atol=0)


def test_the_quantizer_uses_the_chosen_gradient():
    torch.manual_seed(0)
    latents = torch.randn(2, 8, 4, 4, requires_grad=True)
    quantizer = VectorQuantizer(32, 8, gradient="rotation")
    quantizer.codebook.data.normal_()
    output = quantizer(latents)
    assert torch.equal(output.quantized, quantizer.embed(output.indices))
    gradient = torch.randn(output.quantized.shape)
    output.quantized.backward(gradient)
    z, q, g = (t.detach().permute(0, 2, 3, 1).flatten(0, 2) for t in (latents, output.quantized, gradient))
    expected = by_autograd("rotation", z, q, g).view(2, 4, 4, 8).permute(0, 3, 1, 2)
    torch.testing.assert_close(latents.grad.double(), expected, rtol=1e-5, atol=1e-6)


def test_an_unknown_gradient_is_refused():
    with pytest.raises(ValueError, match=r"Unknown gradient 'rotate': expected one of \['rotation', 'straight_through"):
        VectorQuantizer(32, 8, gradient="rotate")
