"""Frames that an epoch draws by how much smoke they have."""

import pytest
import torch
from training_runs import smoke

from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.loader import FrameLoader
from smoke_vq.data.mixed_frames import MixedFrames
from smoke_vq.data.order import proportional_order
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.data.smoke_sampling import SmokeSampledFrames, smoke_pixels


def counts(frames: SmokeSampledFrames, epochs: range, seed: int = 0) -> torch.Tensor:
    drawn = torch.cat([frames.epoch_order(seed, epoch) for epoch in epochs])
    return torch.bincount(drawn, minlength=len(frames))


def test_an_epoch_draws_each_frame_by_its_share_rounded_up_or_down():
    frames = SmokeSampledFrames(smoke(500), 0.5)
    expected = frames.weights / frames.weights.sum() * len(frames)
    assert expected.min() < 0.7 and expected.max() > 1.5
    for epoch in range(3):
        found = counts(frames, range(epoch, epoch + 1)).double()
        assert found.sum() == len(frames)
        assert (found - expected).abs().max() < 1


def test_over_many_epochs_the_draws_are_proportional():
    frames = SmokeSampledFrames(smoke(300), 1.0)
    found = counts(frames, range(100)).double() / 100
    expected = frames.weights / frames.weights.sum() * len(frames)
    assert (found - expected).abs().max() < 0.05  # a fair coin for each draw would be off by 0.2


def test_the_order_depends_on_seed_and_epoch_alone():
    frames, same = (SmokeSampledFrames(smoke(60), 0.5) for _ in range(2))
    order = frames.epoch_order(3, 1)
    assert torch.equal(order, same.epoch_order(3, 1))
    others = [frames.epoch_order(3, 2), frames.epoch_order(4, 1)]
    assert not any(torch.equal(order, other) for other in others)


def test_power_zero_draws_every_frame_once():
    assert (counts(SmokeSampledFrames(smoke(60), 0.0), range(1)) == 1).all()


def test_a_row_of_weight_zero_is_never_drawn():
    weights = torch.tensor([0.0, 1.0, 0.0, 3.0, 0.0], dtype=torch.float64)
    for epoch in range(20):
        assert set(proportional_order(weights, 0, epoch).tolist()) <= {1, 3}


@pytest.mark.parametrize("has_alpha", [True, False])
def test_smoke_is_counted_in_pixels(has_alpha):
    images = torch.zeros(3, 16, 16, 3, dtype=torch.uint8)
    images[1, :4, :4], images[2] = 200, 255
    alphas = torch.zeros(3, 16, 16, dtype=torch.uint8)
    alphas[1, :4, :4], alphas[2] = 51, 255
    frames = PackedFrames(images, alphas if has_alpha else None)
    torch.testing.assert_close(smoke_pixels(frames), torch.tensor([0, 3.2 if has_alpha else 16, 256]).double())


def test_statistics_of_latents_see_every_frame_once():
    parts = MixedFrames([smoke(24), smoke(10, seed=1)])
    loader = FrameLoader(SmokeSampledFrames(parts, 1.0), SmokeImageProcessor(size=16), 8, shuffle=True)
    rows = torch.cat([batch["row"] for batch in loader.in_order().epoch(0)])
    assert rows.tolist() == list(range(34))
    assert len(loader.in_order(5).frames) == 5
    assert loader.frames.fingerprint() == parts.fingerprint()  # a run of other frames is still refused
