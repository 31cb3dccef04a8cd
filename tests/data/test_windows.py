"""Windows of frames whose pixels hold their run, their time and their column."""

import math

import numpy as np
import pytest
import torch
from batches import PROCESSOR, assert_same_batches, code_of_docs, flat, rows_of

from smoke_vq.data.dataset_frames import DatasetFrames
from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.loader import FrameLoader
from smoke_vq.data.mixed_frames import MixedFrames
from smoke_vq.data.order import coin_flips, draws
from smoke_vq.data.windows import WindowedFrames, windows
from smoke_vq.preparation.folder import png
from smoke_vq.preparation.plumes.builder import PLUME_CONFIGS

LENGTHS = [9, 2, 4, 7]  # the second is too short for most windows


def packed(lengths=LENGTHS, first_run: int = 1, name: str = "clips") -> PackedFrames:
    """Channel 0 is the run, channel 1 the time in the run, channel 2 the column."""
    run = torch.tensor([run for run, length in enumerate(lengths) for _ in range(length)])
    time = torch.tensor([time for length in lengths for time in range(length)])
    images = torch.zeros(len(run), 16, 16, 3, dtype=torch.uint8)
    images[..., 0], images[..., 1] = (first_run + run)[:, None, None], time[:, None, None]
    images[..., 2] = torch.arange(16)
    return PackedFrames(images, (images[..., 1] + images[..., 2]), name, sequences=run % 2 + 5)


def decoded(lengths=LENGTHS) -> DatasetFrames:
    from datasets import Dataset, Features, Image, Value

    frames = packed(lengths)
    columns = {
        column: [png(image.numpy()) for image in images]
        for column, images in (("image", frames.images), ("alpha", frames.alphas))
    }
    columns |= {"sequence_id": [f"clip-{image[0, 0, 0]}" for image in frames.images]}
    columns |= {"frame": frames.images[:, 0, 0, 1].tolist()}
    features = {"image": Image(), "alpha": Image(), "sequence_id": Value("string"), "frame": Value("int32")}
    return DatasetFrames(Dataset.from_dict(columns, features=Features(features)), size=16, name="clips")


def mix(weights=None) -> MixedFrames:
    other = packed([12, 5], first_run=20, name="others")
    return MixedFrames([packed(), PackedFrames(other.images, None, other.name, other.sequences)], weights)


FRAMES = {"packed": packed, "decoded": decoded, "a mix": mix, "a weighted mix": lambda: mix([1, 3])}


@pytest.fixture(params=FRAMES)
def frames(request):
    return FRAMES[request.param]()


def training(frames, batch_size=3, **kwargs) -> FrameLoader:
    return FrameLoader(windows(frames), PROCESSOR, batch_size, **{"shuffle": True, "flip": True, "seed": 3} | kwargs)


def run_and_time(batch) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, T) each, read from the pixels."""
    images = PROCESSOR.to_images(batch["pixel_values"])
    assert (images[..., :2] == images[..., :1, :1, :2]).all()
    return images[..., 0, 0, 0].long(), images[..., 0, 0, 1].long()


@pytest.mark.parametrize("earlier", [True, False])
@pytest.mark.parametrize(("num_previous", "num_next"), [(1, 1), (0, 0), (2, 0), (0, 3), (3, 1)])
def test_a_window_is_in_one_run_and_in_order_of_time(frames, num_previous, num_next, earlier):
    loader = FrameLoader(windows(frames, num_previous, num_next, earlier), PROCESSOR, batch_size=4)
    length = earlier + num_previous + 1 + num_next
    current = []
    for batch in loader.epoch(0):
        count = len(batch["row"])
        assert batch["pixel_values"].shape == (count, length, 3, 16, 16)
        assert batch["mask"].shape == (count, length, 1, 16, 16)
        run, time = run_and_time(batch)
        offset = batch["offset"]
        assert offset.shape == (count, length) and offset.dtype == torch.int64
        assert (run == run[:, :1]).all(), "all frames are of one run"
        now = time[:, earlier + num_previous]
        assert torch.equal(time, now[:, None] + offset), "the offset is the distance in time"
        assert (offset[:, earlier:] == torch.arange(-num_previous, num_next + 1)).all()
        if earlier:
            assert (offset[:, 0] < -num_previous).all() and (time[:, 0] >= 0).all()
        current += zip(run[:, 0].tolist(), now.tolist(), strict=True)
    runs = list(enumerate(LENGTHS, 1)) + ([(20, 12), (21, 5)] if isinstance(frames, MixedFrames) else [])
    expected = [(run, time) for run, n in runs for time in range(num_previous + earlier, n - num_next)]
    assert current == expected, "every frame with enough others around it has one window"


def test_the_example_of_the_docs(few_plumes, monkeypatch):
    monkeypatch.setattr(PLUME_CONFIGS["tiny"], "num_frames", 14)
    exec(code_of_docs("windows("), names := {})
    assert names["batch"]["pixel_values"].shape == (8, 5, 3, 64, 64)
    assert names["batch"]["offset"][:, 1:].tolist() == [[-1, 0, 1, 2]] * 8


def test_the_mask_is_that_of_each_frame(frames):
    for batch in training(frames, flip=False).epoch(0):
        run, time = run_and_time(batch)
        alpha = (time[..., None, None, None] + torch.arange(16)).expand_as(batch["mask"]) / 255
        visible = (PROCESSOR.to_images(batch["pixel_values"]).amax(dim=4) > 1).float()[:, :, None]
        assert torch.equal(batch["mask"], torch.where((run < 20)[..., None, None, None], alpha, visible))


def test_the_frames_of_a_window_are_flipped_together(frames):
    flipped = []
    for batch in training(frames).epoch(1):
        columns = PROCESSOR.to_images(batch["pixel_values"])[..., 2]
        flips = coin_flips(3, 1, batch["row"])
        expected = torch.where(flips[:, None], torch.arange(15, -1, -1), torch.arange(16))
        assert (columns == expected[:, None, None]).all()
        flipped += flips.tolist()
    assert 0 < sum(flipped) < len(flipped)


def test_decoded_windows_are_those_of_packed_frames():
    frames = windows(decoded())
    expected = list(training(packed()).epoch(2))
    for num_workers in (0, 2):
        assert_same_batches(training(decoded(), num_workers=num_workers).epoch(2), expected)
    loader = FrameLoader(frames.pack(), PROCESSOR, 3, shuffle=True, flip=True, seed=3)
    assert_same_batches(loader.epoch(2), expected)


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("rank", [0, 1])
def test_an_epoch_resumes_exactly(frames, start, rank):
    kwargs = {"batch_size": 2, "rank": rank, "world_size": 2}
    assert_same_batches(training(frames, **kwargs).epoch(4, start), list(training(frames, **kwargs).epoch(4))[start:])


def test_two_processes_see_what_one_with_twice_the_batch_sees(frames):
    one = list(training(frames, batch_size=4).epoch(2))
    two = [list(training(frames, batch_size=2, rank=rank, world_size=2).epoch(2)) for rank in range(2)]
    joined = [
        {name: torch.cat([part[name] for part in parts]) for name in parts[0]} for parts in zip(*two, strict=True)
    ]
    assert_same_batches(joined, one)


def test_the_random_frame_differs_by_seed_and_epoch_alone(frames):
    def distances(seed, epoch):
        loader = FrameLoader(windows(frames), PROCESSOR, 5, seed=seed)
        return torch.cat([batch["offset"][:, 0] for batch in loader.epoch(epoch)]).tolist()

    found = {(seed, epoch): tuple(distances(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(set(found.values())) == 4
    assert found[1, 1] == tuple(distances(1, 1))


def test_the_random_frame_is_uniform_over_the_earlier_ones():
    frames = WindowedFrames(packed([20]))
    last = len(frames) - 1  # its current frame has time 18, since one frame follows
    counts = torch.zeros(30)
    for epoch in range(3000):
        counts[-frames.at_epoch(0, epoch).__getitems__([last])["offset"][0, 0]] += 1
    assert counts[:2].sum() == counts[19:].sum() == 0, "from the one before the previous frame to the first of the run"
    assert (counts[2:19] - 3000 / 17).abs().max() < 5 * math.sqrt(3000 / 17)


def test_draws_are_uniform_and_independent_of_the_coins():
    rows = torch.arange(60_000)
    found = draws(0, 0, rows, torch.full_like(rows, 6))
    for value in (True, False):
        counts = found[coin_flips(0, 0, rows) == value].bincount(minlength=6)
        assert len(counts) == 6 and (counts - 5000).abs().max() < 5 * math.sqrt(5000)


def test_a_weighted_mix_draws_windows_by_weight():
    loader = training(mix([1, 3]), batch_size=1)
    (first, second), total = loader.frames.lengths, len(loader)
    assert (first, second) == (6 + 1 + 4, 9 + 2) and total == first + second
    rows = np.array(flat(rows_of(loader.epoch(0))))
    assert (rows >= first).sum() == round(total * 3 / 4)


def test_some_windows_can_be_selected():
    frames = windows(packed())
    some = frames.select(4)
    assert len(some) == 4 and frames.select(99) is frames
    rows = torch.linspace(0, len(frames) - 1, 4).round().long()
    assert torch.equal(some.__getitems__(range(4))["image"][:, 2], frames.__getitems__(rows)["image"][:, 2])


def test_the_fingerprint_changes_with_the_frames_and_the_form_of_the_windows():
    made = [windows(packed()), windows(packed([9, 9])), windows(packed(), 2), windows(packed(), 1, 2)]
    made += [windows(packed(), earlier=False), windows(packed()).select(4)]
    assert len({frames.fingerprint() for frames in made}) == len(made)
    assert windows(packed()).fingerprint() == made[0].fingerprint()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: windows(packed([3, 2])), "clips has no window: the longest run has 3 frames, expected 4 or more"),
        (lambda: windows(packed().select(8)), "clips has no window: the longest run has 1 frames"),
        (
            lambda: windows(PackedFrames(packed().images, name="bare")),
            "bare does not say which frames follow",
        ),
        (lambda: windows(mix(), num_next=9), "clips has no window: the longest run has 9 frames, expected 12"),
        (lambda: windows(packed(), num_previous=-1), "expect 0 or more, found -1 and 1"),
    ],
)
def test_refuses_frames_without_windows(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
