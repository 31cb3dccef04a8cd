"""Squares of frames where the smoke is."""

import pytest
import torch
from training_runs import smoke

from smoke_vq.data.crops import smoke_crops
from smoke_vq.data.loader import FrameLoader
from smoke_vq.data.order import uniforms
from smoke_vq.data.processor import SmokeImageProcessor


def numbered(count: int, size: int) -> torch.Tensor:
    """(count, 1, size, size) whose pixels are all different."""
    return torch.arange(count * size**2, dtype=torch.float32).view(count, 1, size, size)


def test_a_crop_is_a_square_of_its_frame_at_a_multiple_of_8_pixels():
    frames, mask = numbered(200, 32), torch.rand(200, 1, 32, 32)
    pixels, cut_mask = smoke_crops(frames, mask, 16, torch.rand(200))
    places = set()
    for frame, own_mask, crop, own_cut in zip(frames, mask, pixels, cut_mask, strict=True):
        row, column = divmod(int(crop[0, 0, 0] - frame[0, 0, 0]), 32)
        assert row % 8 == column % 8 == 0
        assert torch.equal(crop, frame[:, row : row + 16, column : column + 16])
        assert torch.equal(own_cut, own_mask[:, row : row + 16, column : column + 16])
        places.add((row, column))
    assert places == {(row, column) for row in (0, 8, 16) for column in (0, 8, 16)}


def test_places_are_drawn_in_proportion_to_their_smoke_and_one():
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., :8, :8] = 1  # 64 pixels, in one of the nine squares of 16
    count = 20_000
    frames = numbered(1, 32).expand(count, -1, -1, -1)
    pixels, _ = smoke_crops(frames, mask.expand(count, -1, -1, -1), 16, (torch.arange(count) + 0.5) / count)
    found = (pixels[:, 0, 0, 0] == 0).double().mean()
    assert found == pytest.approx(65 / (65 + 8), abs=1e-3)


def test_a_crop_of_the_size_of_the_frame_is_the_frame():
    frames, mask = numbered(3, 16), torch.rand(3, 1, 16, 16)
    pixels, cut_mask = smoke_crops(frames, mask, 16, torch.tensor([0.0, 0.5, 1 - 2**-24]))
    assert torch.equal(pixels, frames) and torch.equal(cut_mask, mask)


def test_the_uniforms_are_even_and_depend_on_seed_epoch_and_row_alone():
    rows = torch.arange(20_000)
    values = uniforms(3, 1, rows)
    assert values.dtype == torch.float32 and values.min() >= 0 and values.max() < 1
    assert torch.histc(values, 10, 0, 1).sub(2000).abs().max() < 200
    assert torch.equal(uniforms(3, 1, rows.flip(0)), values.flip(0))
    assert not torch.equal(uniforms(3, 2, rows), values) and not torch.equal(uniforms(4, 1, rows), values)


def loader(**options) -> FrameLoader:
    return FrameLoader(smoke(40), SmokeImageProcessor(size=16), 8, shuffle=True, flip=True, **options)


def test_the_loader_crops_the_first_batches_also_after_a_resume():
    crops, frames = loader(crop_size=8, crop_batches=8), loader()
    assert len(crops) == 5
    sizes = [[batch["pixel_values"].shape[-1] for batch in crops.epoch(epoch)] for epoch in range(3)]
    assert sizes == [[8] * 5, [8, 8, 8, 16, 16], [16] * 5]
    whole = list(frames.epoch(1))
    for start in (1, 4):
        resumed = list(crops.epoch(1, start))
        for batch, full in zip(resumed, whole[start:], strict=True):
            assert torch.equal(batch["row"], full["row"])
            size = batch["pixel_values"].shape[-1]
            expected = smoke_crops(full["pixel_values"], full["mask"], size, uniforms(0, 1, full["row"]))
            assert torch.equal(batch["pixel_values"], expected[0]) and torch.equal(batch["mask"], expected[1])
