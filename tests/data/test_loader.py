"""Batches as a function of (seed, epoch, position)."""

import math

import pytest
import torch
from batches import PROCESSOR, assert_same_batches, flat, rows_of

from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.loader import FrameLoader
from smoke_vq.data.mixed_frames import MixedFrames
from smoke_vq.data.order import coin_flips
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.data.sources import load_frames
from smoke_vq.data.windows import windows


@pytest.fixture
def training(tiny_frames):
    """A function: a shuffling, flipping loader of the tiny frames, or of other frames."""

    def make(batch_size=5, frames=tiny_frames, **kwargs):
        return FrameLoader(frames, PROCESSOR, batch_size, **{"shuffle": True, "flip": True, "seed": 3} | kwargs)

    return make


@pytest.fixture(params=["one dataset", "a mix", "a weighted mix"])
def frames(request, tiny_frames):
    if request.param == "one dataset":
        return tiny_frames
    other = PackedFrames(tiny_frames.images[5:16].flip(2), name="others, mirrored and without alpha")
    return MixedFrames([tiny_frames, other], [1, 2] if request.param == "a weighted mix" else None)


def test_coin_flips_are_fair():
    count = 100_000
    flips = coin_flips(0, 0, torch.arange(count)).double()
    assert abs(flips.mean() - 0.5) < 4 * 0.5 / math.sqrt(count)
    neighbours = (flips[1:] == flips[:-1]).double().mean()
    assert abs(neighbours - 0.5) < 4 * 0.5 / math.sqrt(count)


@pytest.mark.parametrize("other", [(0, 1), (1, 0), (123456789, 0), (0, 10**6)])
def test_coin_flips_are_keyed_by_seed_and_epoch(other):
    rows = torch.arange(20_000)
    flips = coin_flips(0, 0, rows)
    assert torch.equal(flips, coin_flips(0, 0, rows))
    agreement = (flips == coin_flips(*other, rows)).double().mean()
    assert abs(agreement - 0.5) < 4 * 0.5 / math.sqrt(len(rows))


def test_a_flip_depends_on_the_row_and_not_on_its_position():
    rows = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(coin_flips(7, 2, rows), coin_flips(7, 2, torch.arange(1000))[rows])


def test_an_epoch_is_a_permutation(training):
    loader = training(batch_size=4)
    epochs = [flat(rows_of(loader.epoch(epoch))) for epoch in range(3)]
    assert len(loader) == 6
    for rows in epochs:
        assert sorted(rows) == list(range(24))
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] == flat(rows_of(training(batch_size=4).epoch(0)))
    assert epochs[0] != flat(rows_of(training(batch_size=4, seed=4).epoch(0)))


def test_training_leaves_out_what_does_not_fill_a_batch(training):
    assert [len(rows) for rows in rows_of(training(batch_size=5).epoch(0))] == [5] * 4


def test_batches_hold_the_frames_and_their_flips(training, tiny_frames):
    for batch in training().epoch(1):
        images, alphas = tiny_frames.images[batch["row"]], tiny_frames.alphas[batch["row"]]
        flips = coin_flips(3, 1, batch["row"])
        assert 0 < flips.sum() < len(flips) or len(flips) < 5
        for i, flip in enumerate(flips):
            image, alpha = (images[i].flip(1), alphas[i].flip(1)) if flip else (images[i], alphas[i])
            assert torch.equal(batch["pixel_values"][i], PROCESSOR.to_pixel_values(image[None])[0])
            assert torch.equal(batch["mask"][i, 0], alpha / 255)


def plain_batches(frames, processor: SmokeImageProcessor, batch_size: int, epoch: int, grey: bool) -> list[dict]:
    """What a training loader with seed 3 gives, in whole-batch operations on floats, row by row."""
    order, batches = frames.epoch_order(3, epoch).tolist(), []
    frames = frames.at_epoch(3, epoch)
    for first in range(0, len(frames) // batch_size * batch_size, batch_size):
        batch = frames.__getitems__(order[first : first + batch_size])
        pixel_values = batch.pop("image").movedim(-1, -3).float().div(127.5).sub(1)
        pixel_values = (pixel_values.mean(dim=-3, keepdim=True) if grey else pixel_values).contiguous()
        mask = (pixel_values.amax(dim=-3, keepdim=True) > -0.99).float()
        if frames.has_alpha:
            mask = batch.pop("alpha").unsqueeze(-3).float().div(255)
        for i, flip in enumerate(coin_flips(3, epoch, batch["row"]).tolist()):
            if flip:
                pixel_values[i], mask[i] = pixel_values[i].flip(-1), mask[i].flip(-1)
        batches.append({"pixel_values": pixel_values, "mask": mask} | batch)
    return batches


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("kind", ["with alpha", "without alpha", "a mix", "windows"])
def test_batches_equal_a_plain_computation_to_the_last_bit(tiny_frames, kind, channels):
    noise = torch.randint(0, 256, (23, 16, 16, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    noise[:5] = noise[:5] % 4  # around the threshold of the mask
    noise = PackedFrames(noise, name="noise")
    clips = PackedFrames(noise.images, name="clips", sequences=torch.arange(23) // 8)
    choices = {"with alpha": tiny_frames, "without alpha": noise, "a mix": MixedFrames([noise, tiny_frames], [1, 2])}
    frames = choices[kind] if kind in choices else windows(clips, 1, 1)
    processor = SmokeImageProcessor(size=16, num_channels=channels)
    loader = FrameLoader(frames, processor, 5, shuffle=True, flip=True, seed=3)
    found, expected = list(loader.epoch(2)), plain_batches(frames, processor, 5, 2, channels == 1)
    assert_same_batches(found, expected)
    assert all(tensor.is_contiguous() for batch in found for tensor in batch.values())


def test_an_epoch_leaves_the_global_generator_alone(training):
    """So that a run that is resumed within an epoch draws what an uninterrupted one draws."""
    state = torch.get_rng_state()
    list(training().epoch(0))
    assert torch.equal(torch.get_rng_state(), state)


def test_validation_is_in_order_and_complete(tiny_frames):
    loader = FrameLoader(tiny_frames, PROCESSOR, 5)
    assert (
        rows_of(loader.epoch(0))
        == rows_of(loader.epoch(1))
        == [list(range(i, min(i + 5, 24))) for i in range(0, 24, 5)]
    )
    assert len(loader) == 5


def test_validation_ranks_share_every_frame_once(tiny_frames):
    loaders = [FrameLoader(tiny_frames, PROCESSOR, 5, rank=rank, world_size=3) for rank in range(3)]
    seen = [flat(rows_of(loader.epoch(0))) for loader in loaders]
    assert sorted(flat(seen)) == list(range(24))
    assert [len(list(loader.epoch(0))) for loader in loaders] == [len(loader) for loader in loaders]


def test_two_processes_see_what_one_with_twice_the_batch_sees(training, frames):
    one = list(training(batch_size=6, frames=frames).epoch(2))
    two = [list(training(batch_size=3, frames=frames, rank=rank, world_size=2).epoch(2)) for rank in range(2)]
    if getattr(frames, "weights", None) is None:  # by weight a frame may come twice in an epoch
        assert set(flat(rows_of(two[0]))).isdisjoint(flat(rows_of(two[1])))
    joined = [
        {name: torch.cat([part[name] for part in parts]) for name in parts[0]} for parts in zip(*two, strict=True)
    ]
    assert_same_batches(joined, one)


@pytest.mark.parametrize("start", [0, 1, 3])
@pytest.mark.parametrize("rank", [0, 1])
def test_an_epoch_resumes_exactly(training, frames, start, rank):
    kwargs = {"batch_size": 3, "frames": frames, "rank": rank, "world_size": 2}
    assert_same_batches(training(**kwargs).epoch(4, start), list(training(**kwargs).epoch(4))[start:])


def test_an_epoch_resumed_at_its_end_is_over(training):
    assert list(training().epoch(0, start=len(training()))) == []


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("frames", ["a mix", "a weighted mix"], indirect=True)
def test_a_mix_may_be_part_in_memory_and_part_decoded(dataset_folder, training, frames, num_workers):
    decoded = load_frames(str(dataset_folder), size=16, packed=False)
    partly = MixedFrames([decoded, frames.parts[1]], frames.weights)
    assert_same_batches(training(frames=partly, num_workers=num_workers).epoch(1), training(frames=frames).epoch(1))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_decoding_on_demand_gives_the_same_batches(dataset_folder, training, num_workers):
    frames = load_frames(str(dataset_folder), size=16, packed=False)
    loader = FrameLoader(frames, PROCESSOR, 5, shuffle=True, flip=True, seed=3, num_workers=num_workers)
    assert_same_batches(loader.epoch(1), training().epoch(1))


def test_workers_report_a_bad_frame_by_its_row(write_dataset, rows):
    bad = rows(4)
    bad[2]["image"] = bad[2]["image"][:60]
    frames = load_frames(str(write_dataset("bad", {"train": bad})), size=16, packed=False)
    with pytest.raises(ValueError, match=r"Row 2 of split 'train' of .* cannot be decoded"):
        list(FrameLoader(frames, PROCESSOR, 2, num_workers=1).epoch(0))


def test_without_alpha_the_mask_comes_from_the_target(tiny_frames):
    for batch in FrameLoader(PackedFrames(tiny_frames.images), PROCESSOR, 8, flip=True).epoch(0):
        assert torch.equal(batch["mask"], (batch["pixel_values"].amax(1, keepdim=True) > -0.99).float())


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"batch_size": 25}, "tiny frames has 24 frames, fewer than one batch of 25"),
        ({"batch_size": 13, "world_size": 2}, r"fewer than one batch of 13 on 2 process\(es\)"),
        ({"batch_size": 1, "shuffle": False, "world_size": 25}, "fewer than the 25 processes"),
    ],
)
def test_refuses_more_than_there_is(training, kwargs, sentence):
    with pytest.raises(ValueError, match=sentence):
        training(**kwargs)
