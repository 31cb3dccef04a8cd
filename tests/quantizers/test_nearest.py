"""Search on the unit sphere and in fewer dimensions (ViT-VQGAN) against float64 and autograd of the formulas."""

import pytest
import torch
import torch.nn.functional as F

from smoke_vq import SmokeVQVAE
from smoke_vq.quantizers import VectorQuantizer
from smoke_vq.quantizers.kmeans import kmeans

K, D = 64, 16
OPTIONS = [{"cosine": True}, {"search_dim": 4}, {"cosine": True, "search_dim": 4}]
OPTION_NAMES = ["cosine", "search_dim", "both"]


def few_bits(values: torch.Tensor) -> torch.Tensor:
    """Multiples of 1/64, whose products and sums are exact in float32.

    The linear map before the search is then exact on every machine. Otherwise its rounding, which differs between
    machines, is multiplied by the division by a short length.
    """
    return (64 * values).round() / 64


@pytest.fixture(params=OPTIONS, ids=OPTION_NAMES)
def quantizer(request):
    torch.manual_seed(0)
    quantizer = VectorQuantizer(K, D, **request.param)
    for parameter in quantizer.parameters():
        parameter.data = few_bits(parameter.data.normal_())
    return quantizer


@pytest.fixture
def latents():
    return few_bits(torch.randn(2, D, 4, 6, generator=torch.Generator().manual_seed(1))).requires_grad_()


def by_autograd(quantizer: VectorQuantizer, latents: torch.Tensor, pull: torch.Tensor) -> dict[str, torch.Tensor]:
    """Output, losses and gradients of the formulas in float64, with the nearest codes from all distances."""
    z = latents.detach().double().requires_grad_()
    own = {name: p.detach().double().requires_grad_() for name, p in quantizer.named_parameters()}
    vectors, codes = z.permute(0, 2, 3, 1).flatten(0, 2), own["codebook"]
    if "projection.down.weight" in own:
        vectors = vectors @ own["projection.down.weight"].t() + own["projection.down.bias"]
    if quantizer.cosine:
        vectors, codes = (t / t.norm(dim=1, keepdim=True) for t in (vectors, codes))
    indices = (vectors[:, None] - codes).square().sum(dim=2).argmin(dim=1)
    if quantizer.cosine:
        assert torch.equal(indices, (vectors @ codes.t()).argmax(dim=1))
    e = codes[indices]
    commitment, codebook = ((vectors - e.detach()) ** 2).mean(), ((vectors.detach() - e) ** 2).mean()
    quantized = vectors + (e - vectors).detach()
    if "projection.up.weight" in own:
        quantized = quantized @ own["projection.up.weight"].t() + own["projection.up.bias"]
    quantized = quantized.view(2, 4, 6, D).permute(0, 3, 1, 2)
    ((pull * quantized).sum() + 0.25 * commitment + codebook).backward()
    gradients = {name: p.grad for name, p in own.items()}
    return {"indices": indices, "quantized": quantized.detach(), "latents": z.grad, **gradients} | {
        "commitment": commitment.detach(),
        "codebook loss": codebook.detach(),
    }


def test_values_and_gradients_equal_the_formulas(quantizer, latents):
    pull = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
    output = quantizer(latents)
    losses = output.losses
    ((pull * output.quantized).sum() + 0.25 * losses["commitment"] + losses["codebook"]).backward()
    found = {"quantized": output.quantized, "latents": latents.grad, "commitment": losses["commitment"]}
    found |= {"codebook loss": losses["codebook"]} | {name: p.grad for name, p in quantizer.named_parameters()}
    expected = by_autograd(quantizer, latents, pull)
    assert torch.equal(output.indices.flatten(), expected.pop("indices"))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name].double() - value).norm() < 1e-6 * value.norm(), name


def test_the_codebook_is_in_the_space_of_the_search(quantizer, latents):
    width = quantizer.search_dim
    assert quantizer.codebook.shape == quantizer.codes().shape == (K, width)
    assert quantizer.to_code_space(latents).shape == (2, 4, 6, width)
    if quantizer.cosine:
        for vectors in (quantizer.codes(), quantizer.to_code_space(latents)):
            torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(vectors.shape[:-1]))


def test_scaled_latents_have_the_same_codes_with_cosine(latents):
    torch.manual_seed(0)
    quantizer = VectorQuantizer(K, D, cosine=True)
    scale = torch.rand(2, 1, 4, 6) + 0.1
    assert torch.equal(quantizer(scale * latents).indices, quantizer(latents).indices)
    assert torch.equal(quantizer(latents * 0).losses["commitment"].isfinite(), torch.tensor(True))


def test_without_options_nothing_is_added():
    torch.manual_seed(0)
    quantizer = VectorQuantizer(K, D)
    assert list(quantizer.state_dict()) == ["codebook"]
    torch.manual_seed(0)
    assert torch.equal(quantizer.codebook, torch.empty(K, D).uniform_(-1 / K, 1 / K))


def test_kmeans_centres_become_directions(latents):
    """Spherical k-means: the mean direction of the vectors of a cluster."""
    quantizer = VectorQuantizer(4, D, cosine=True)
    vectors = quantizer.to_code_space(latents.detach()).flatten(0, 2)
    quantizer.codebook.data.copy_(kmeans(vectors, 4))
    indices = quantizer(latents).indices.flatten()
    means = torch.stack([vectors[indices == code].mean(dim=0) for code in range(4)])
    assert F.cosine_similarity(quantizer.codes(), means).min() > 0.95


@pytest.mark.parametrize("options", OPTIONS, ids=OPTION_NAMES)
def test_a_model_with_options_is_saved_and_loaded(options, tmp_path):
    sizes = {"latent_channels": 8, "encoder_block_out_channels": (8, 16), "decoder_block_out_channels": (16, 8)}
    torch.manual_seed(0)
    model = SmokeVQVAE(sample_size=16, **sizes, num_vq_embeddings=32, quantizer_kwargs=options).eval()
    pixel_values = torch.rand(2, 3, 16, 16) * 2 - 1
    output = model(pixel_values)
    model.save_pretrained(tmp_path)
    loaded = SmokeVQVAE.from_pretrained(tmp_path)
    assert loaded.config.quantizer_kwargs == options
    assert torch.equal(loaded(pixel_values).sample, output.sample)
    assert torch.equal(loaded.decode_indices(output.indices).sample, output.sample)


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"cosine": 1}, "cosine expects true or false, found 1"),
        ({"cosine": "no"}, "cosine expects true or false, found 'no'"),
        (
            {"search_dim": 0},
            "search_dim expects an integer from 1 to 16, the dimension of the latents, or null: found 0",
        ),
        ({"search_dim": 17}, "found 17"),
        ({"search_dim": 4.0}, "found 4.0"),
        ({"search_dim": True}, "found True"),
    ],
)
def test_invalid_options_are_refused(kwargs, said):
    with pytest.raises(ValueError, match=said):
        VectorQuantizer(K, D, **kwargs)
