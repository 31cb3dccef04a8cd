"""The codebook of running means against a float64 loop over the paper's equations."""

import pytest
import torch

from smoke_vq.quantizers import EMAVectorQuantizer

K, D = 16, 8


def alone(value: torch.Tensor) -> torch.Tensor:
    """The sum over one process."""
    return value


def batch(seed: int, count: int = 3) -> torch.Tensor:
    return torch.randn(count, D, 4, 4, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def quantizer():
    torch.manual_seed(0)
    return EMAVectorQuantizer(K, D)


def learn(quantizer: EMAVectorQuantizer, *micro_batches: torch.Tensor) -> None:
    indices = [quantizer(part).indices for part in micro_batches]
    for part, own in zip(micro_batches, indices, strict=True):
        quantizer.observe(part, own)
    quantizer.end_step(alone)


@pytest.mark.parametrize("decay", [0.99, 0.5, 0.0])
def test_codes_follow_the_equations_of_the_paper(decay):
    torch.manual_seed(0)
    quantizer = EMAVectorQuantizer(K, D, decay=decay, epsilon=1e-3)
    codes = quantizer.codebook.double()
    counts, sums = [1.0] * K, [code.clone() for code in codes]
    for seed in range(20):
        latents = batch(seed)
        found = quantizer(latents).indices.flatten()
        n, s = [0] * K, [torch.zeros(D, dtype=torch.float64) for _ in range(K)]
        for token, vector in enumerate(latents.permute(0, 2, 3, 1).flatten(0, 2).double()):
            nearest = min(range(K), key=lambda i: float((vector - codes[i]).square().sum()))
            assert nearest == found[token]
            n[nearest] += 1
            s[nearest] += vector
        learn(quantizer, latents)
        for i in range(K):
            counts[i] = decay * counts[i] + (1 - decay) * n[i]
            sums[i] = decay * sums[i] + (1 - decay) * s[i]
        total = sum(counts)
        for i in range(K):
            codes[i] = sums[i] / ((counts[i] + 1e-3) / (total + K * 1e-3) * total)
        torch.testing.assert_close(quantizer.codebook.double(), codes, rtol=1e-5, atol=1e-6)


def test_micro_batches_count_as_one_batch():
    quantizers = []
    for parts in ((batch(0, 4),), batch(0, 4).split(1)):
        torch.manual_seed(0)
        quantizers.append(EMAVectorQuantizer(K, D))
        learn(quantizers[-1], *parts)
    assert torch.equal(quantizers[0].counts, quantizers[1].counts)
    torch.testing.assert_close(quantizers[0].codebook, quantizers[1].codebook, rtol=1e-6, atol=1e-7)


def test_sums_are_reduced_over_processes(quantizer):
    """Two processes that see the same batch, beside one that sees it twice."""
    torch.manual_seed(0)
    twice = EMAVectorQuantizer(K, D)
    learn(twice, batch(0), batch(0))
    quantizer.observe(batch(0), quantizer(batch(0)).indices)
    quantizer.end_step(lambda value: 2 * value)
    torch.testing.assert_close(quantizer.codebook, twice.codebook)


def test_constant_latents_draw_their_code_to_them(quantizer):
    target = torch.full((1, D, 4, 4), 3.0)
    code = int(quantizer(target).indices[0, 0, 0])
    for _ in range(500):
        learn(quantizer, target)
    torch.testing.assert_close(quantizer.codebook[code], torch.full((D,), 3.0), rtol=1e-3, atol=0.0)


def test_a_step_without_latents_of_a_code_keeps_it(quantizer):
    """At first every code counts as one vector: a code that is not used is not drawn to 0."""
    before = quantizer.codebook.clone()
    indices = quantizer(batch(0, 1)).indices
    learn(quantizer, batch(0, 1))
    unused = torch.bincount(indices.flatten(), minlength=K) == 0
    assert unused.any()
    torch.testing.assert_close(quantizer.codebook[unused], before[unused], rtol=1e-4, atol=0.0)


def test_codes_stay_finite_when_their_counts_underflow():
    torch.manual_seed(0)
    quantizer = EMAVectorQuantizer(K, D, decay=1e-20)
    for seed in range(5):
        learn(quantizer, batch(seed, 1)[..., :1, :1])
    assert quantizer.counts.min() == 0 and quantizer.codebook.isfinite().all()


def test_replaced_codes_restart(quantizer):
    """Otherwise the old sums would draw a revived code back."""
    for seed in range(30):
        learn(quantizer, batch(seed))
    rows = torch.tensor([2, 5])
    quantizer.codebook[rows] = 7.0
    mean = quantizer.counts.mean()
    quantizer.codes_replaced(rows)
    torch.testing.assert_close(quantizer.counts[rows], mean.expand(2))
    learn(quantizer, batch(30))
    torch.testing.assert_close(quantizer.codebook[rows], torch.full((2, D), 7.0), rtol=1e-3, atol=0.0)


def test_no_gradient_and_only_a_commitment_loss(quantizer):
    latents = batch(0).requires_grad_()
    output = quantizer(latents)
    codes = output.quantized.detach()
    torch.testing.assert_close(output.losses["commitment"], (latents - codes).square().mean())
    output.losses["commitment"].backward()
    torch.testing.assert_close(latents.grad, 2 * (latents - codes).detach() / latents.numel())
    assert quantizer.codebook.grad is None and not quantizer.codebook.requires_grad


def test_statistics_are_saved_and_those_of_an_unfinished_step_are_not(quantizer):
    quantizer.observe(batch(0), quantizer(batch(0)).indices)
    assert sorted(quantizer.state_dict()) == ["codebook", "counts", "sums"]
    quantizer.end_step(alone)
    other = EMAVectorQuantizer(K, D)
    other.load_state_dict(quantizer.state_dict())
    for one in (quantizer, other):
        learn(one, batch(1))
    assert torch.equal(other.codebook, quantizer.codebook)


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"decay": 1.0}, r"decay expects a number in \[0, 1\), found 1.0"),
        ({"decay": -0.1}, "found -0.1"),
        ({"decay": "0.9"}, "found '0.9'"),
        ({"decay": True}, "found True"),
        ({"epsilon": 0}, "epsilon expects a finite number above 0, found 0"),
        ({"epsilon": float("nan")}, "found nan"),
    ],
)
def test_invalid_values_are_refused(kwargs, said):
    with pytest.raises(ValueError, match=said):
        EMAVectorQuantizer(K, D, **kwargs)
