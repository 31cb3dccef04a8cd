"""Batches from a stream: deterministic, resumed exactly, shared out among processes."""

import io

import numpy as np
import pytest
import torch
from batches import PROCESSOR, assert_same_batches, flat
from PIL import Image

from smoke_vq.data.sources import stream_frames
from smoke_vq.data.stream_loader import StreamLoader


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
    with pytest.raises(ValueError, match="Batch 0 of the stream, column 'image': Expected frames of 8x8, found 16x16"):
        next(stream(size=8).epoch(0))
    assert next(stream(size=8, resize=True).epoch(0))["pixel_values"].shape == (4, 3, 8, 8)


@pytest.fixture
def mixed_stream(write_dataset, rows, no_sleep):
    """A function: a loader of two streams of 24 and 16 frames, the second three times as often."""
    folders = [write_dataset(str(n), {"train": rows(n, seed=n)}, num_shards=4) for n in (24, 16)]

    def make(frames_per_epoch=40, batch_size=4, weights=(1, 3), seed=3, **kwargs):
        stream = stream_frames([str(folder) for folder in folders], "train", list(weights), seed)
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
        stream_frames(sources, "train", None, seed=0)
    with pytest.raises(
        ValueError, match=r"need the same columns: .*smoke has \['image', 'alpha'\] and .*bare \['image'\]"
    ):
        stream_frames(sources, "train", [1, 1], seed=0)
    assert stream_frames(sources[1:], "train", None, seed=0).column_names == ["image"]
