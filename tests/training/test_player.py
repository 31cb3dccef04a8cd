"""A network with its optimizer, schedule and averaged weights."""

import pytest
import torch
from training_runs import batch

from smoke_vq.quantizers import Quantizer


def learn(trained, parts: list[dict], step: int = 1) -> None:
    trained.begin_step(parts, step)
    for part in parts:
        with trained.accelerator.accumulate(trained.player.network):
            trained.step(part)
    trained.end_step(step)


def values(trained) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in trained.player.unwrapped.parameters()]


def halves(whole: dict) -> list[dict]:
    """The two halves of a batch whose masks have very different areas."""
    order = whole["mask"].sum(dim=(1, 2, 3)).argsort()
    whole = {name: tensor[order] for name, tensor in whole.items()}
    return [{name: tensor[part] for name, tensor in whole.items()} for part in (slice(0, 4), slice(4, 8))]


@pytest.mark.parametrize("decay", [0.999, 0.5])
def test_average_follows_its_closed_form(objective, decay):
    """After step t, a <- d a + (1 - d) w with d = min(decay, 1 - t^(-3/4)) and t counted from 1 with d = 0."""
    trained = objective(ema_decay=decay, codebook_init_vectors=0)
    average = values(trained)
    for step in range(1, 8):
        learn(trained, [batch(4, seed=step)], step)
        d = min(decay, 1 - step ** (-3 / 4)) if step > 1 else 0.0
        average = [d * a + (1 - d) * w for a, w in zip(average, values(trained), strict=True)]
    for found, expected in zip(trained.player.ema.shadow_params, average, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)


def test_averaged_swaps_and_restores_to_the_last_bit(objective):
    trained = objective(codebook_init_vectors=0)
    for step in (1, 2, 3):
        learn(trained, [batch(4, seed=step)], step)
    live, network = values(trained), trained.player.unwrapped
    with trained.player.averaged() as model:
        assert model is network and not model.training
        assert all(torch.equal(p, a) for p, a in zip(model.parameters(), trained.player.ema.shadow_params, strict=True))
    assert network.training and all(map(torch.equal, values(trained), live))
    with pytest.raises(RuntimeError, match="in the middle"), trained.player.averaged():
        raise RuntimeError("in the middle")
    assert network.training and all(map(torch.equal, values(trained), live))


def test_without_averaging_the_current_weights_are_used(objective):
    trained = objective(ema_decay=0.0, codebook_init_vectors=0)
    learn(trained, [batch(4)])
    live = values(trained)
    with trained.player.averaged() as model:
        assert not model.training and all(map(torch.equal, model.parameters(), live))
    assert trained.player.unwrapped.training


def test_norms_biases_and_the_codebook_have_no_weight_decay(objective):
    trained = objective(weight_decay=0.3, codebook_init_vectors=0)
    names = {id(p): name for name, p in trained.player.unwrapped.named_parameters()}
    decay = {names[id(p)]: g["weight_decay"] for g in trained.player.optimizer.param_groups for p in g["params"]}
    assert set(decay) == set(names.values())
    for name, parameter in trained.player.unwrapped.named_parameters():
        spared = parameter.ndim < 2 or "codebook" in name
        assert decay[name] == (0.0 if spared else 0.3), name
    assert {"quantizer.codebook"} < {name for name, value in decay.items() if value == 0}
    assert all(isinstance(m, Quantizer) for m in [trained.player.unwrapped.quantizer])


def test_two_micro_batches_equal_one_batch(objective):
    """The masks have different areas, so that a mean of the parts' means would weight their pixels differently."""
    first, second = halves(batch(8))
    assert second["mask"].sum() > 2 * first["mask"].sum()
    whole = {name: torch.cat([first[name], second[name]]) for name in first}
    results = []
    for steps, parts in ((1, [whole]), (2, [first, second])):
        trained = objective(gradient_accumulation_steps=steps, codebook_init_vectors=0, revival_steps=0)
        start = values(trained)
        learn(trained, parts)
        moved = [(w - s).abs().max() for w, s in zip(values(trained), start, strict=True)]
        assert max(moved) > 1e-6
        moments = [s["exp_avg"] for s in trained.player.optimizer.optimizer.state.values()]
        results.append((moments, values(trained)))
    for one, two in zip(*results, strict=True):
        for expected, found in zip(one, two, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-9)


def test_the_gradient_is_clipped_by_its_norm(objective):
    trained = objective(max_grad_norm=1e-3, codebook_init_vectors=0)
    learn(trained, [batch(4)])
    moments = [s["exp_avg"] / 0.1 for s in trained.player.optimizer.optimizer.state.values()]
    norm = torch.stack([m.norm() for m in moments]).norm()
    torch.testing.assert_close(norm, torch.tensor(1e-3, dtype=norm.dtype), rtol=1e-3, atol=0.0)


def test_the_schedule_counts_optimizer_steps(objective):
    trained = objective(gradient_accumulation_steps=2, codebook_init_vectors=0)
    for step in (1, 2, 3):
        learn(trained, [batch(2, seed=step), batch(2, seed=9)], step)
    assert trained.player.scheduler.last_epoch == 3
    assert trained.player.ema.optimization_step == 3


def test_a_restored_player_has_the_new_learning_rate(objective):
    trained = objective(lr=1e-2, codebook_init_vectors=0)
    learn(trained, [batch(2)])
    state, schedule = trained.player.optimizer.state_dict(), trained.player.scheduler.state_dict()
    other = objective(lr=1e-4, codebook_init_vectors=0).player
    other.optimizer.load_state_dict(state)
    other.scheduler.load_state_dict(schedule)
    other.restored()
    assert {group["lr"] for group in other.optimizer.param_groups} == {1e-4} and other.learning_rate == 1e-4
    other.scheduler.step()
    assert {group["lr"] for group in other.optimizer.param_groups} == {1e-4}
