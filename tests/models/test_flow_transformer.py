"""The flow transformer, and rollouts of it."""

import sys

import pytest
import torch

from smoke_vq import AutoSmokeModel, SmokeFlowTransformer
from smoke_vq.flow_matching import rollout

TINY = {"in_channels": 2, "sample_size": 4, "num_previous": 2, "num_frames": 3, "num_layers": 1}
TINY |= {"num_attention_heads": 2, "attention_head_dim": 8}


def tiny(**changes) -> SmokeFlowTransformer:
    torch.manual_seed(0)
    model = SmokeFlowTransformer(**TINY | changes).eval()
    for weight in (model.proj_in.weight, model.proj_out.weight, model.adaln_single.linear.weight):
        torch.nn.init.normal_(weight, std=0.1)
    return model


def inputs(batch: int = 3, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sample, previous = (torch.randn(batch, n, 2, 4, 4, generator=generator) for n in (3, 2))
    return {"sample": sample, "timestep": torch.rand(batch, generator=generator), "previous": previous}


VARIANTS = {
    "joint": {},
    "bridge": {"coupling": "bridge", "coupling_kwargs": {"sigma": 1.0}},
    "velocity": {"prediction_type": "velocity"},
    "regression": {"coupling": "regression", "prediction_type": "frame"},
    "RIVER": {"num_previous": 1, "num_frames": 1, "use_earlier_frame": True},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_save_and_load(variant, tmp_path):
    model = tiny(**VARIANTS[variant])
    model.save_pretrained(tmp_path)
    loaded = AutoSmokeModel.from_pretrained(tmp_path)
    assert type(loaded) is SmokeFlowTransformer
    past = torch.randn(2, 4, 2, 4, 4)
    expected, found = (rollout(one, past, 4, 3, generator=torch.Generator().manual_seed(0)) for one in (model, loaded))
    assert torch.equal(found, expected) and expected.shape == (2, 4, 2, 4, 4)


def test_an_untrained_model_repeats_the_last_frame():
    model = SmokeFlowTransformer(**TINY, coupling="regression").eval()
    past = torch.randn(2, 4, 2, 4, 4)
    assert torch.equal(rollout(model, past, 5), past[:, -1:].expand(2, 5, 2, 4, 4))


def test_each_sample_of_a_batch_is_predicted_alone():
    model, all_inputs = tiny(), inputs()
    together = model(**all_inputs).sample
    for i in range(3):
        alone = model(**{name: tensor[i : i + 1] for name, tensor in all_inputs.items()}).sample
        torch.testing.assert_close(alone[0], together[i])


def test_the_time_and_the_distance_matter():
    model, all_inputs = tiny(use_earlier_frame=True), inputs()
    model.distance_embedder.linear_2.weight.data.normal_()
    earlier, distance = torch.zeros(3, 2, 4, 4), torch.tensor([3, 4, 5])
    base = model(**all_inputs, earlier=earlier, distance=distance).sample
    assert not torch.equal(model(**all_inputs, earlier=earlier, distance=distance + 1).sample, base)
    later = all_inputs | {"timestep": all_inputs["timestep"] / 2}
    assert not torch.equal(model(**later, earlier=earlier, distance=distance).sample, base)


def test_a_long_forecast_continues_from_its_own_frames():
    model, past = tiny(coupling="regression"), torch.randn(1, 4, 2, 4, 4)
    both = rollout(model, past, 6)
    second = rollout(model, torch.cat([past, both[:, :3]], dim=1), 3)
    assert torch.equal(both[:, 3:], second)


def test_the_generator_decides_the_samples():
    model, past = tiny(use_earlier_frame=True), torch.randn(1, 6, 2, 4, 4)
    first, again, other = (rollout(model, past, 3, 4, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("variant", VARIANTS)
def test_many_samples_are_forecast_in_parts_with_the_numbers_of_one_batch(variant, monkeypatch):
    model, past, sizes = tiny(**VARIANTS[variant]), torch.randn(150, 4, 2, 4, 4), []
    model.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    parts = rollout(model, past, 4, 3, generator=torch.Generator().manual_seed(0))
    assert set(sizes) == {64, 22}
    monkeypatch.setattr(sys.modules["smoke_vq.flow_matching.rollout"], "_AT_ONCE", 150)
    whole = rollout(model, past, 4, 3, generator=torch.Generator().manual_seed(0))
    assert set(sizes) == {64, 22, 150}
    torch.testing.assert_close(parts, whole)


def test_more_noise_at_the_start_widens_the_forecasts():
    past, spread = torch.randn(1, 4, 2, 4, 4).expand(64, -1, -1, -1, -1), {}
    for scale in (1.0, 3.0):
        model = tiny(noise_scale=scale)
        generator = torch.Generator().manual_seed(0)
        spread[scale] = float(rollout(model, past, 3, 2, generator=generator).std(dim=0).mean())
    assert spread[3.0] > 1.5 * spread[1.0] > 0


def test_the_earlier_frame_is_drawn_anew_at_each_evaluation(monkeypatch):
    model, distances = tiny(num_previous=1, use_earlier_frame=True), []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda *args: distances.append(args[4].tolist()) or forward(*args))
    rollout(model, torch.randn(2, 9, 2, 4, 4), 3, 8, generator=torch.Generator().manual_seed(0))
    assert len(distances) == 8 and len({tuple(drawn) for drawn in distances}) > 1
    assert all(1 <= distance <= 8 for drawn in distances for distance in drawn)


@pytest.mark.parametrize(("coupling", "kwargs"), [("linear", None), ("bridge", {"sigma": 1.0, "sigma_min": 0.5})])
def test_a_toy_drift_is_recovered(coupling, kwargs):
    """Frames move by one of two steps with equal probability; the samples have the mean and spread of the data."""
    torch.manual_seed(0)
    changes = {"num_frames": 1, "num_previous": 1, "num_attention_heads": 4}
    model = SmokeFlowTransformer(**TINY | changes, coupling=coupling, coupling_kwargs=kwargs)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(400):
        previous = torch.randn(64, 1, 2, 4, 4)
        step = torch.where(torch.rand(64, 1, 1, 1, 1) < 0.5, 1.0, -0.4).expand_as(previous)
        frames, t = previous + step, model.coupling.draw_times(64)
        x = model.coupling.path(frames, previous, torch.randn_like(frames), t)
        weight = model.coupling.loss_weight(t).clamp(max=20).view(-1, 1, 1, 1, 1)
        loss = (weight * (model(x, t, previous).sample - frames).square()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    past = torch.randn(256, 1, 2, 4, 4)
    moved = (rollout(model, past, 1, 20, generator=torch.Generator().manual_seed(1)) - past).mean(dim=(1, 2, 3, 4))
    assert float(moved.mean()) == pytest.approx(0.3, abs=0.12)
    assert float(moved.std()) == pytest.approx(0.7, abs=0.15)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_frames": 0}, "num_frames expects a whole number of 1 or more, found 0"),
        ({"noise_scale": 0}, "noise_scale expects a finite number above 0, found 0"),
        ({"attention_head_dim": 3}, "expects a multiple of 4, found 6"),
        ({"prediction_type": "epsilon"}, "Unknown prediction type 'epsilon'"),
        ({"coupling": "regression", "prediction_type": "velocity"}, "has no velocity"),
    ],
)
def test_invalid_configurations_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SmokeFlowTransformer(**TINY | changes)


@pytest.mark.parametrize(
    ("past", "keywords", "message"),
    [
        ((1, 1, 2, 4, 4), {}, "needs 2 observed frames or more, found 1"),
        ((1, 4, 3, 4, 4), {}, r"Expected latents of shape \(B, T, 2, 4, 4\), found \(1, 4, 3, 4, 4\)"),
        ((1, 4, 2, 4, 4), {"num_frames": 0}, "num_frames expects 1 or more, found 0"),
        ((1, 4, 2, 4, 4), {"num_evaluations": 0}, "number of evaluations expects 1 or more, found 0"),
    ],
)
def test_what_a_rollout_refuses(past, keywords, message):
    with pytest.raises(ValueError, match=message):
        rollout(tiny(), torch.zeros(past), **{"num_frames": 3} | keywords)


def test_a_missing_earlier_frame_is_refused():
    with pytest.raises(ValueError, match="needs an earlier frame and its distance"):
        tiny(use_earlier_frame=True)(**inputs())
    with pytest.raises(ValueError, match="does not take an earlier frame"):
        tiny()(**inputs(), earlier=torch.zeros(3, 2, 4, 4), distance=torch.ones(3))
