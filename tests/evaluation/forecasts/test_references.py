import numpy as np
import pytest
import torch

from smoke_vq.data.frames import PackedFrames
from smoke_vq.evaluation.forecasts.cases import ForecastCase
from smoke_vq.evaluation.forecasts.references import (
    FLOW,
    PERFECT,
    REFERENCES,
    REPEAT,
    THROUGH_CODES,
    NearestNeighbours,
    reference_rows,
    through_codes,
)
from smoke_vq.evaluation.forecasts.references.optical_flow import optical_flow


def darker(frames: torch.Tensor) -> torch.Tensor:
    return frames - 0.25


def test_every_reference_makes_frames_of_the_right_shape(cases):
    pytest.importorskip("cv2")
    rows = reference_rows(cases, darker)
    assert [row.name for row in rows] == list(REFERENCES)
    for row in rows:
        members = row.predict(cases[0])
        assert members.shape[1:] == (4, 3, 12, 12) and members.dtype == torch.float32, row.name


def test_limits_know_the_future_and_references_only_the_past(cases):
    case = cases[0]
    rows = {row.name: row.predict for row in reference_rows(cases, darker)}
    assert torch.equal(rows[PERFECT](case), case.future_values[1:])
    assert torch.equal(rows[THROUGH_CODES](case), case.future_values[1:] - 0.25)
    assert torch.equal(rows["truth, through codes"](case)[0], case.future_values[0] - 0.25)
    assert torch.equal(rows[REPEAT](case)[0], case.past_values[-1].expand(4, -1, -1, -1))
    assert torch.allclose(rows["mean of the past"](case)[0, 3], case.past_values.mean(dim=0))


def test_frames_through_codes_are_those_decoded_from_the_indices(tiny_model):
    frames = (
        torch.rand(260, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    )  # more than are taken at once
    output = through_codes(tiny_model)(frames)
    assert output.shape == frames.shape and output.dtype == torch.float32 and not output.requires_grad
    parts = [frames[:256], frames[256:]]
    expected = [tiny_model.decode_indices(tiny_model.encode(part).indices).sample.clamp(-1, 1) for part in parts]
    assert torch.equal(output, torch.cat(expected))


def test_rows_that_cannot_be_computed_are_left_out(cases):
    one_future = [ForecastCase(c.name, c.group, c.past, c.futures[:1]) for c in cases]
    assert not any(row.from_futures for row in reference_rows(one_future, darker))
    assert "truth, through codes" not in [row.name for row in reference_rows(cases, None)]


def moving_blob(num_frames: int, speed: float, size: int = 48) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    frames = [200 * np.exp(-((y - 24) ** 2 + (x - 12 - speed * t) ** 2) / 40) for t in range(num_frames)]
    return np.repeat(np.stack(frames)[..., None], 3, axis=3).round().astype(np.uint8)


def test_optical_flow_continues_a_steady_motion():
    pytest.importorskip("cv2")
    film = moving_blob(10, speed=1.5)
    case = ForecastCase("blob", "blob", film[:4], film[None, 4:])
    error = (optical_flow(case)[0] - case.future_values[0]).square().mean(dim=(1, 2, 3))
    standing = (case.past_values[-1] - case.future_values[0]).square().mean(dim=(1, 2, 3))
    assert (error < 0.1 * standing).all()


def test_optical_flow_needs_two_frames(cases):
    pytest.importorskip("cv2")
    case = ForecastCase("short", "short", cases[0].past[:1], cases[0].futures)
    with pytest.raises(ValueError, match="short has one observed frame"):
        optical_flow(case)


@pytest.fixture
def training_frames() -> PackedFrames:
    """Four clips of 7 frames."""
    images = torch.randint(256, (28, 12, 12, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return PackedFrames(images, sequences=torch.arange(4).repeat_interleave(7))


def encode(frames: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(frames, 3)


def test_the_nearest_neighbour_of_a_training_frame_is_followed_by_its_next_frames(cases, training_frames):
    neighbours = NearestNeighbours(training_frames, encode, num_frames=4, num_members=3)
    case = ForecastCase("copy", "copy", training_frames.images[14:17].numpy(), cases[0].futures)
    members = neighbours(case)
    assert members.shape == (3, 4, 3, 12, 12)
    following = training_frames.images[17:21].permute(0, 3, 1, 2) / 127.5 - 1
    assert torch.allclose(members[0], following, atol=1e-6)
    clips = [
        (training_frames.images.permute(0, 3, 1, 2) / 127.5 - 1 - m[0]).abs().amax((1, 2, 3)).argmin() // 7
        for m in members
    ]
    assert len(set(map(int, clips))) == 3, "each clip has one neighbour"


def test_neighbours_need_long_clips(training_frames):
    with pytest.raises(ValueError, match="4 clips of at least 6 frames: expected 5"):
        NearestNeighbours(training_frames, encode, num_frames=4, num_members=5)
    with pytest.raises(ValueError, match="does not say which frames follow"):
        NearestNeighbours(PackedFrames(training_frames.images), encode, num_frames=4)


def test_the_table_is_in_the_order_of_the_report():
    names = list(REFERENCES)
    assert names.index(PERFECT) < names.index(THROUGH_CODES) < names.index(REPEAT) < names.index(FLOW)
