"""A network with its optimizer, schedule and averaged weights."""

import pytest
import torch
from diffusers.training_utils import EMAModel
from training_runs import batch

from smoke_vq.quantizers import Quantizer
from smoke_vq.training.player import clip_gradients
from smoke_vq.training.weight_average import WeightAverage


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


def reference_average(trained, every: int, num_steps: int, decay: float) -> tuple[list, list]:
    """The averages after `num_steps` steps that each have the decay min(decay, 1 - t^(-3/4)), t counted from 1 with 0.

    Returns:
        With an update after each of the first `every` steps and then after every `every` steps, and with one after
        each step.
    """
    thinned, full, pending = values(trained), values(trained), 1.0
    for step in range(1, num_steps + 1):
        learn(trained, [batch(4, seed=step)], step)
        d = min(decay, 1 - step ** (-3 / 4)) if step > 1 else 0.0
        full = [d * a + (1 - d) * w for a, w in zip(full, values(trained), strict=True)]
        pending *= d
        if step <= every or step % every == 0:
            thinned = [pending * a + (1 - pending) * w for a, w in zip(thinned, values(trained), strict=True)]
            pending = 1.0
    return thinned, full


@pytest.mark.parametrize("decay", [0.999, 0.5])
@pytest.mark.parametrize("every", [1, 3])
def test_average_follows_its_closed_form(objective, decay, every):
    trained = objective(ema_decay=decay, ema_steps=every, codebook_init_vectors=0)
    average, _ = reference_average(trained, every, 7, decay)
    for found, expected in zip(trained.player.ema.shadow_params, average, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)


def test_fewer_updates_change_the_average_little(objective):
    """By less than a fifth of how far the weights are from their average, already after 32 steps."""
    trained = objective(ema_steps=4, codebook_init_vectors=0)
    thinned, full = (torch.cat([a.flatten() for a in average]) for average in reference_average(trained, 4, 32, 0.999))
    weights = torch.cat([w.flatten() for w in values(trained)])
    assert 0 < (thinned - full).norm() < 0.2 * (weights - full).norm()


def test_the_average_continues_from_one_of_diffusers(objective):
    """Checkpoints of before have the state of an `EMAModel`."""
    trained = objective(codebook_init_vectors=0)
    theirs = EMAModel(trained.player.parameters, 0.999, use_ema_warmup=True, power=3 / 4, foreach=True)
    for step in range(1, 9):
        learn(trained, [batch(4, seed=step)], step)
        theirs.step(trained.player.parameters)
    ours = WeightAverage(trained.player.parameters, 0.999, 1)
    ours.load_state_dict(theirs.state_dict())
    learn(trained, [batch(4, seed=9)], 9)
    ours.step(trained.player.parameters)
    theirs.step(trained.player.parameters)
    for found, expected in zip(ours.shadow_params, theirs.shadow_params, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)
    assert ours.state_dict().keys() == theirs.state_dict().keys() and ours.optimization_step == 9


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


@pytest.mark.parametrize("limit", [1e-3, 1.0, 1e3, float("inf")])
@pytest.mark.parametrize("value", [1.0, float("inf"), float("nan")])
def test_clipping_equals_that_of_torch(limit, value):
    generator = torch.Generator().manual_seed(0)
    shapes, twins = [(3, 4), (5,), (2, 3, 3, 3), ()], []
    for _ in range(2):
        twins.append([torch.nn.Parameter(torch.zeros(shape)) for shape in shapes])
    for one, other in zip(*twins, strict=True):
        one.grad = torch.randn(one.shape, generator=generator)
        one.grad.view(-1)[0] *= value
        other.grad = one.grad.clone()
    unused = torch.nn.Parameter(torch.zeros(2))
    expected = torch.nn.utils.clip_grad_norm_(twins[0], limit)
    found = clip_gradients([unused, *twins[1]], limit)
    assert torch.equal(found, expected) or (found.isnan() and expected.isnan())
    for one, other in zip(*twins, strict=True):
        assert torch.equal(one.grad.nan_to_num(7.0), other.grad.nan_to_num(7.0))


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
