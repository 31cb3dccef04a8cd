"""Batches as a function of (seed, epoch, position)."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.loader import FrameLoader, StreamLoader, coin_flips
from smoke_vq.data.mixed_frames import MixedFrames, stream_mixed_frames
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.data.sources import load_frames, stream_frames

PROCESSOR = SmokeImageProcessor(size=16)


def rows_of(batches) -> list[list[int]]:
    return [batch["row"].tolist() for batch in batches]


def flat(lists: list[list]) -> list:
    return [item for items in lists for item in items]


def assert_same_batches(some, others) -> None:
    some, others = list(some), list(others)
    assert len(some) == len(others) > 0
    for one, other in zip(some, others, strict=True):
        assert set(one) == set(other) == {"pixel_values", "mask", "row"}
        for name in one:
            assert torch.equal(one[name], other[name]), name


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


def test_a_coin_depends_on_its_row_alone_not_on_its_place():
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


def test_validation_is_in_order_and_whole(tiny_frames):
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
    tiny_frames.alphas = None
    for batch in FrameLoader(tiny_frames, PROCESSOR, 8, flip=True).epoch(0):
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


@pytest.fixture
def stream(write_dataset, rows, no_sleep):
    """A function: a loader of a stream of 12 shards, 16 frames an epoch."""
    folder = write_dataset("stream", {"train": rows(24)}, num_shards=12)

    def make(frames_per_epoch=16, batch_size=4, buffer_size=8, **kwargs):
        options = {"size": 16, "resize": False, "processor": PROCESSOR, "flip": True, "seed": 3}
        return StreamLoader(
            stream_frames(str(folder)),
            frames_per_epoch,
            batch_size=batch_size,
            buffer_size=buffer_size,
            **options | kwargs,
        )

    return make


def pixels(batches) -> list[bytes]:
    """Each frame, mirrored or not, as bytes."""
    images = torch.cat([batch["pixel_values"] for batch in batches])
    return [min(image.numpy().tobytes(), image.flip(2).numpy().tobytes()) for image in images]


def test_a_stream_gives_frames_of_its_dataset(stream, tiny_frames):
    batches = list(stream().epoch(0))
    known = set(pixels([{"pixel_values": PROCESSOR.to_pixel_values(tiny_frames.images)}]))
    assert len(batches) == len(stream()) == 4
    assert set(pixels(batches)) <= known and len(set(pixels(batches))) == 16
    assert all(batch["mask"].shape == (4, 1, 16, 16) for batch in batches)


def test_a_stream_is_deterministic(stream):
    assert_same_batches(stream().epoch(1), stream().epoch(1))


def test_a_stream_is_in_another_order_each_epoch(stream):
    loader = stream(frames_per_epoch=24)
    first, second = pixels(loader.epoch(0)), pixels(loader.epoch(1))
    assert sorted(first) == sorted(second)
    assert first != second
    assert pixels(loader.epoch(0)) == first, "epochs may be asked for in any order"


def test_short_epochs_of_a_stream_see_all_of_its_shards(stream):
    """`IterableDataset.skip` froze the order of the shards: each epoch began with the same ones."""
    loader = stream(frames_per_epoch=4, buffer_size=2)
    seen = {frame for epoch in range(12) for frame in pixels(loader.epoch(epoch))}
    assert len(seen) > 10, "each shard has two frames: the first of each should be seen"


@pytest.mark.parametrize("start", [1, 3])
@pytest.mark.parametrize("world_size", [1, 2])
def test_a_stream_resumes_exactly(stream, start, world_size):
    kwargs = {"batch_size": 4 // world_size, "rank": world_size - 1, "world_size": world_size}
    assert_same_batches(stream(**kwargs).epoch(2, start), list(stream(**kwargs).epoch(2))[start:])


@pytest.mark.parametrize("world_size", [2, 5])
def test_ranks_of_a_stream_are_disjoint(stream, world_size):
    """By shards where they divide evenly, else by turns."""
    ranks = [stream(20, batch_size=2, rank=rank, world_size=world_size) for rank in range(world_size)]
    seen = [pixels(loader.epoch(0)) for loader in ranks]
    assert len(set(flat(seen))) == 20


def test_a_short_stream_says_so(stream):
    with pytest.raises(ValueError, match="The stream ended after 6 batches of an epoch of 10: lower frames_per_epoch"):
        list(stream(frames_per_epoch=40).epoch(0))


@pytest.mark.parametrize("kept", [8, 60])
def test_a_stream_with_a_bad_frame_says_so(write_dataset, rows, no_sleep, kept):
    bad = rows(4)
    bad[3]["image"] = bad[3]["image"][:kept]
    dataset = stream_frames(str(write_dataset("bad", {"train": bad})))
    with pytest.raises(ValueError, match="of the stream cannot be read"):
        list(StreamLoader(dataset, 4, size=16, resize=False, processor=PROCESSOR, batch_size=2).epoch(0))


def test_a_stream_of_another_size_is_refused_or_resized(stream):
    with pytest.raises(ValueError, match="The stream has a frame of 16x16: expected 8x8"):
        next(stream(size=8).epoch(0))
    assert next(stream(size=8, resize=True).epoch(0))["pixel_values"].shape == (4, 3, 8, 8)


@pytest.fixture
def mixed_stream(write_dataset, rows, no_sleep):
    """A function: a loader of two streams of 24 and 16 frames, the second three times as often."""
    folders = [write_dataset(str(n), {"train": rows(n, seed=n)}, num_shards=4) for n in (24, 16)]

    def make(frames_per_epoch=40, batch_size=4, weights=(1, 3), seed=3, **kwargs):
        stream = stream_mixed_frames([str(folder) for folder in folders], "train", list(weights), seed)
        options = {"size": 16, "resize": False, "processor": PROCESSOR, "buffer_size": 8, "seed": seed}
        return StreamLoader(stream, frames_per_epoch, batch_size=batch_size, **options | kwargs)

    return make


def test_a_mixed_stream_draws_by_weight_and_forgets_no_frame(mixed_stream, rows):
    known = [
        set(pixels([PROCESSOR([Image.open(io.BytesIO(row["image"])) for row in rows(n, seed=n)])])) for n in (24, 16)
    ]
    loader = mixed_stream(frames_per_epoch=80)
    first, second = pixels(loader.epoch(0)), pixels(loader.epoch(1))
    for epoch in (first, second):
        assert set(epoch) <= known[0] | known[1]
        assert 0.6 < sum(frame in known[1] for frame in epoch) / len(epoch) < 0.9
    assert first != second and pixels(loader.epoch(0)) == first
    read_to_its_end = torch.stack([torch.from_numpy(np.array(example["image"])) for example in loader.dataset])
    assert set(pixels([{"pixel_values": PROCESSOR.to_pixel_values(read_to_its_end)}])) == known[0] | known[1]


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_mixed_stream_resumes_exactly(mixed_stream, world_size):
    kwargs = {"rank": world_size - 1, "world_size": world_size}
    assert_same_batches(mixed_stream(**kwargs).epoch(2, 3), list(mixed_stream(**kwargs).epoch(2))[3:])


def test_ranks_of_a_mixed_stream_are_disjoint(mixed_stream):
    seen = [set(pixels(mixed_stream(rank=rank, world_size=2).epoch(1))) for rank in range(2)]
    assert seen[0].isdisjoint(seen[1]) and min(map(len, seen)) > 5


def test_streams_mix_only_with_weights_and_the_same_columns(dataset_folder, write_dataset, rows):
    bare = write_dataset("bare", {"train": [{"image": row["image"]} for row in rows(4)]})
    sources = [str(dataset_folder), str(bare)]
    with pytest.raises(ValueError, match="Streaming several datasets needs dataset_weights"):
        stream_mixed_frames(sources, "train", None, seed=0)
    with pytest.raises(
        ValueError, match=r"need the same columns: .*smoke has \['image', 'alpha'\] and .*bare \['image'\]"
    ):
        stream_mixed_frames(sources, "train", [1, 1], seed=0)
    assert stream_mixed_frames(sources[1:], "train", None, seed=0).column_names == ["image"]
