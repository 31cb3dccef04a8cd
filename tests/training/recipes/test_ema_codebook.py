"""A codebook of running means in training: start, revival, weight averaging, and frozen codes."""

import pytest
import torch
from training_runs import batch

K = 32


@pytest.fixture
def trained(objective):
    trained = objective(config={"quantizer_type": "ema"}, codebook_init_vectors=512, revival_steps=2)
    trained.begin_training([batch(8)])
    return trained


def learn(trained, step: int, *parts: dict) -> None:
    trained.begin_step(list(parts), step)
    for part in parts:
        with trained.accelerator.accumulate(trained.player.network):
            trained.step(part)
    trained.end_step(step)


def test_the_statistics_start_with_the_centres_of_kmeans(trained):
    quantizer = trained.player.unwrapped.quantizer
    assert quantizer.counts.tolist() == [1.0] * K and torch.equal(quantizer.sums, quantizer.codebook)


def test_each_step_moves_the_codes_and_no_optimizer_has_them(trained):
    quantizer = trained.player.unwrapped.quantizer
    assert not any(p is quantizer.codebook for g in trained.player.optimizer.param_groups for p in g["params"])
    for step in range(1, 4):
        before = quantizer.codebook.clone()
        learn(trained, step, batch(8, step))
        assert not torch.equal(quantizer.codebook, before)
    assert quantizer.counts.sum() == pytest.approx(K * 0.99**3 + 8 * 64 * (1 - 0.99**3), rel=0.05)


def test_the_averaged_network_has_the_current_codes(trained):
    """The average is taken before the codes of a step are known."""
    network = trained.player.unwrapped
    for step in range(1, 4):
        learn(trained, step, batch(8, step))
    current, weight = network.quantizer.codebook.clone(), network.encoder.conv_in.weight.detach().clone()
    with trained.player.averaged() as model:
        assert torch.equal(model.quantizer.codebook, current)
        assert not torch.equal(model.encoder.conv_in.weight, weight)
    assert torch.equal(network.quantizer.codebook, current) and torch.equal(network.encoder.conv_in.weight, weight)


def test_a_revived_code_stays_where_it_was_put(trained):
    quantizer, health = trained.player.unwrapped.quantizer, trained.autoencoder.quantizer_training.healths[0]
    learn(trained, 1, batch(8))
    quantizer.codebook[3] = 1e3  # unused from now on
    quantizer.codes_replaced(torch.tensor([3]))
    health.usage = torch.full((K,), 16.0)
    health.usage[3] = 0.0
    health.certainty = 1.0
    learn(trained, 2, batch(8))
    assert health.num_revived == 1
    revived = quantizer.codebook[3].clone()
    assert revived.abs().max() < 1e2
    others = quantizer.counts[torch.arange(K) != 3].mean()
    assert quantizer.counts[3] == pytest.approx(float(others), rel=0.5)
    torch.testing.assert_close(quantizer.sums[3], quantizer.counts[3] * revived)


def test_micro_batches_move_the_codes_as_one_batch(objective):
    whole, codebooks = batch(8), []
    halves = [{name: tensor[part] for name, tensor in whole.items()} for part in (slice(0, 4), slice(4, 8))]
    for steps, parts in ((1, [whole]), (2, halves)):
        trained = objective(
            config={"quantizer_type": "ema", "quantizer_kwargs": {"search_dim": 4}},
            codebook_init_vectors=0,
            gradient_accumulation_steps=steps,
        )
        learn(trained, 1, *parts)
        codebooks.append(trained.player.unwrapped.quantizer.codebook.clone())
    torch.testing.assert_close(*codebooks, rtol=1e-5, atol=1e-8)


def test_frozen_codes_and_their_statistics_stay(trained):
    trained.autoencoder.quantizer_training.frozen = True
    before = {name: value.clone() for name, value in trained.player.unwrapped.quantizer.state_dict().items()}
    learn(trained, 2, batch(8))
    after = trained.player.unwrapped.quantizer.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
