"""SimVQ against autograd of the paper's formulas in float64."""

import pytest
import torch
from training_runs import MODEL

from smoke_vq import SmokeVQVAE
from smoke_vq.quantizers import SimVectorQuantizer

K, D = 64, 16


@pytest.fixture
def quantizer():
    torch.manual_seed(0)
    return SimVectorQuantizer(K, D)


def test_values_and_gradients_equal_the_formulas(quantizer):
    generator = torch.Generator().manual_seed(1)
    latents = 0.3 * torch.randn(2, D, 4, 6, generator=generator)
    pull = torch.randn(2, D, 4, 6, generator=generator)
    found = latents.clone().requires_grad_()
    output = quantizer(found)
    losses = output.losses
    ((pull * output.quantized).sum() + 0.25 * losses["commitment"] + losses["codebook"]).backward()

    z = latents.double().requires_grad_()
    weight = quantizer.code_map.weight.detach().double().requires_grad_()
    table = quantizer.fixed_codes.double() @ weight.t()
    vectors = z.permute(0, 2, 3, 1).flatten(0, 2)
    indices = (vectors[:, None] - table).square().sum(dim=2).argmin(dim=1)
    e = table[indices]
    commitment, codebook = ((e.detach() - vectors) ** 2).mean(), ((e - vectors.detach()) ** 2).mean()
    quantized = (vectors + (e - vectors).detach()).view(2, 4, 6, D).permute(0, 3, 1, 2)
    ((pull * quantized).sum() + 0.25 * commitment + codebook).backward()

    assert torch.equal(output.indices.flatten(), indices)
    for one, other in (
        (output.quantized, quantized),
        (losses["commitment"], commitment),
        (losses["codebook"], codebook),
        (found.grad, z.grad),
        (quantizer.code_map.weight.grad, weight.grad),
    ):
        assert (one.double() - other).norm() < 1e-6 * other.norm()


def test_the_table_is_fixed_and_its_rows_have_length_1_on_average():
    torch.manual_seed(0)
    quantizer = SimVectorQuantizer(4096, 32)
    assert [name for name, _ in quantizer.named_parameters()] == ["code_map.weight"]
    assert sorted(quantizer.state_dict()) == ["code_map.weight", "fixed_codes"]
    assert float(quantizer.fixed_codes.mean()) == pytest.approx(0, abs=2e-3)
    assert float(quantizer.fixed_codes.square().sum(dim=1).mean()) == pytest.approx(1, rel=0.02)


def test_a_step_moves_every_code(quantizer):
    """Also the codes that no latent chose."""
    latents = torch.randn(1, D, 1, 2, generator=torch.Generator().manual_seed(1))
    before = quantizer.codes().detach().clone()
    quantizer(latents).losses["codebook"].backward()
    with torch.no_grad():
        quantizer.code_map.weight -= 0.1 * quantizer.code_map.weight.grad
    assert ((quantizer.codes() - before).norm(dim=1) > 1e-6).all()


def test_a_loaded_model_decodes_stored_codes_to_the_last_bit(tmp_path):
    torch.manual_seed(0)
    model = SmokeVQVAE(**MODEL, quantizer_type="simvq")
    model.save_pretrained(tmp_path)
    loaded, pixel_values = SmokeVQVAE.from_pretrained(tmp_path), torch.rand(2, 3, 16, 16) * 2 - 1
    output = loaded(pixel_values)
    assert torch.equal(loaded.quantizer.codes(), model.quantizer.codes())
    assert torch.equal(loaded.decode_indices(output.indices).sample, output.sample)
