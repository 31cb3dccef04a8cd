"""k-means initialization of a codebook, and the revival of unused codes."""

import pytest
import torch
from training_runs import batch

K = 32


def latents_of(objective, frames) -> torch.Tensor:
    """(N, D) in float32, as in CodebookHealth."""
    with torch.no_grad():
        latents = objective.player.unwrapped.encode(frames["pixel_values"]).latents
    return latents.float().permute(0, 2, 3, 1).flatten(0, 2)


def health(objective):
    return objective.autoencoder.quantizer_training.healths[0]


def one_step(objective, frames, step: int = 1) -> None:
    objective.begin_step([frames], step)
    with objective.accelerator.accumulate(objective.player.network):
        objective.step(frames)
    objective.end_step(step)


def test_kmeans_places_every_code_on_data(objective):
    trained = objective(codebook_init_vectors=512)
    frames = batch(8)
    vectors = latents_of(trained, frames)
    trained.begin_training([frames])
    codebook = trained.player.unwrapped.quantizer.codebook.detach().float()
    nearest = torch.cdist(vectors, codebook).argmin(dim=1)
    assert torch.bincount(nearest, minlength=K).min() > 0
    low, high = vectors.min(dim=0).values, vectors.max(dim=0).values
    assert ((codebook >= low - 1e-5) & (codebook <= high + 1e-5)).all()
    assert torch.equal(trained.player.ema.shadow_params[position(trained)].float(), codebook)


def test_kmeans_uses_the_requested_number_of_latents(objective):
    trained = objective(codebook_init_vectors=130)  # a frame gives 64
    taken = []

    def batches():
        for seed in range(5):
            taken.append(seed)
            yield batch(1, seed)

    trained.begin_training(batches())
    assert taken == [0, 1, 2]


def test_0_init_vectors_keep_the_codebook(objective):
    trained = objective(codebook_init_vectors=0)
    before = trained.player.unwrapped.quantizer.codebook.detach().clone()
    trained.begin_training([batch(8)])
    assert torch.equal(trained.player.unwrapped.quantizer.codebook, before)


def test_fewer_latents_than_codes_are_refused(objective):
    trained = objective(codebook_init_vectors=512)
    small = {name: tensor[..., :4, :4] for name, tensor in batch(1).items()}
    with pytest.raises(ValueError, match=r"give 4 latents for 32 codes: use more frames, fewer codes, or"):
        trained.begin_training([small])


def position(trained) -> int:
    codebook = trained.player.unwrapped.quantizer.codebook
    return next(i for i, p in enumerate(trained.player.unwrapped.parameters()) if p is codebook)


def set_usage(trained, expected: float) -> tuple[list[int], list[int]]:
    """Set the running use of codes 3 and 7 just below the threshold, and that of 11 just above it."""
    share = expected / 32 / 0.99  # the decay of this step takes 1 %
    health(trained).usage = torch.full((K,), expected)
    health(trained).certainty = 1.0
    far = trained.player.unwrapped.quantizer.codebook.detach().clone()
    far[[3, 7, 11]] = 1e3  # unused in this step
    trained.player.unwrapped.quantizer.codebook.data.copy_(far)
    health(trained).usage[[3, 7]] = share * 0.99
    health(trained).usage[11] = share * 1.01
    return [3, 7], [11]


def test_only_codes_below_a_32nd_of_uniform_use_are_revived(objective):
    trained = objective(codebook_init_vectors=512, revival_steps=2, lr=0.0)
    frames = batch(8)
    trained.begin_training([frames])
    one_step(trained, frames, 1)
    expected = 8 * 64 / K
    dead, alive = set_usage(trained, expected)
    codebook = trained.player.unwrapped.quantizer.codebook
    before, vectors = codebook.detach().clone(), latents_of(trained, frames)
    one_step(trained, frames, 2)
    changed = (codebook.detach() != before).any(dim=1).nonzero().flatten().tolist()
    assert changed == dead and set(alive).isdisjoint(changed)
    for code in dead:
        assert (vectors - codebook[code].detach().float()).abs().sum(dim=1).min() < 1e-5  # on a latent of this step
    assert health(trained).num_revived == 2
    assert health(trained).usage[dead].tolist() == pytest.approx([expected] * 2)


def test_revival_resets_moments_and_average(objective):
    trained = objective(codebook_init_vectors=512, revival_steps=2)
    frames = batch(8)
    trained.begin_training([frames])
    one_step(trained, frames, 1)
    dead, _ = set_usage(trained, 8 * 64 / K)
    codebook = trained.player.unwrapped.quantizer.codebook
    state = trained.player.optimizer.optimizer.state[codebook]
    for name in ("exp_avg", "exp_avg_sq"):
        state[name].fill_(1.0)
    one_step(trained, frames, 2)
    for name in ("exp_avg", "exp_avg_sq"):
        assert (state[name][dead] == 0).all()
        assert (state[name].abs().sum(dim=1) > 0).sum() == K - len(dead)
    assert torch.equal(trained.player.ema.shadow_params[position(trained)][dead], codebook[dead].detach())


def test_codes_are_revived_only_when_due(objective):
    frames = batch(8)
    for step, num_steps in ((1, 100), (6, 7)):  # not a multiple of revival_steps; after 0.8 of the training
        trained = objective(num_steps, codebook_init_vectors=512, revival_steps=2)
        trained.begin_training([frames])
        set_usage(trained, 8 * 64 / K)
        one_step(trained, frames, step)
        assert health(trained).num_revived == 0


def test_revival_can_be_switched_off(objective):
    trained = objective(codebook_init_vectors=512, revival_steps=0)
    frames = batch(8)
    trained.begin_training([frames])
    one_step(trained, frames, 2)
    assert not health(trained).usage.any() and health(trained).num_revived == 0


def test_state_is_restored(objective):
    trained = objective(codebook_init_vectors=512, revival_steps=2)
    frames = batch(8)
    trained.begin_training([frames])
    one_step(trained, frames)
    state = health(trained).state_dict()
    other = objective(codebook_init_vectors=512, revival_steps=2)
    health(other).load_state_dict(state)
    assert torch.equal(health(other).usage, health(trained).usage)
    assert health(other).num_revived == health(trained).num_revived


def test_before_quantization_only_the_reconstruction_has_a_gradient(objective):
    trained = objective(codebook_init_vectors=512, continuous_steps=2)
    frames = batch(8)
    codebook = trained.player.unwrapped.quantizer.codebook
    before = codebook.detach().clone()
    trained.begin_training([frames])
    for step in (1, 2):
        trained.begin_step([frames], step)
        losses = trained.step(frames)
        trained.end_step(step)
        assert losses["total"] == losses["reconstruction"]
    assert torch.equal(codebook, before)
    vectors = latents_of(trained, frames)
    trained.begin_step([frames], 3)
    assert torch.cdist(codebook.detach().float(), vectors).min(dim=1).values.max() < vectors.std() * 4
    assert not torch.equal(codebook, before)
    losses = trained.step(frames)
    assert losses["total"] > losses["reconstruction"]


def test_a_training_that_would_never_quantize_is_refused(objective):
    with pytest.raises(ValueError, match="continuous_steps 100 leaves none of the 100 steps"):
        objective(num_steps=100, continuous_steps=100)
