"""Several datasets as one: consecutive rows, one rule for masks, an order by weight that reaches every frame."""

from collections import Counter

import pytest
import torch
from training_runs import smoke

from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.loader import FrameLoader
from smoke_vq.data.mixed_frames import MixedFrames
from smoke_vq.data.order import mixed_order, permutation, shares
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.data.sources import load_frames

PROCESSOR = SmokeImageProcessor(size=16)


def assert_same(some: dict, others: dict) -> None:
    assert set(some) == set(others)
    for name in some:
        assert torch.equal(some[name], others[name]), name


def without_alpha(frames: PackedFrames) -> PackedFrames:
    return PackedFrames(frames.images, None, f"{frames.name} without alpha")


@pytest.fixture
def parts() -> list[PackedFrames]:
    return [smoke(24, seed=0), smoke(10, seed=1), smoke(7, seed=2)]


def test_rows_are_numbered_consecutively(parts):
    mixed = MixedFrames(parts)
    images, alphas = torch.cat([p.images for p in parts]), torch.cat([p.alphas for p in parts])
    for rows in ([0, 40, 24, 33, 34, 23, 0], [40], list(range(41))):
        assert_same(mixed.__getitems__(rows), {"image": images[rows], "alpha": alphas[rows], "row": torch.tensor(rows)})
    assert (len(mixed), mixed.size, mixed.in_memory) == (41, (16, 16), True)


def test_packed_frames_are_the_same(parts):
    parts[1] = without_alpha(parts[1])
    mixed = MixedFrames(parts)
    assert_same(mixed.pack().__getitems__(range(41)), mixed.__getitems__(range(41)))
    assert [mixed.to("cpu").name, mixed.pack().name] == [mixed.name] * 2 == ["blobs + blobs without alpha + blobs"] * 2


@pytest.mark.parametrize("packed", [True, False])
def test_frames_without_alpha_keep_the_mask_of_their_pixels(parts, packed):
    dark = torch.arange(7, dtype=torch.uint8)[:, None, None, None].expand(7, 16, 16, 3)  # around the threshold
    parts = [without_alpha(parts[0]), parts[1], PackedFrames(dark, None, "dark")]
    mixed = MixedFrames(parts)
    alone = [PROCESSOR.to_mask(PROCESSOR.to_pixel_values(p.images), p.alphas) for p in parts]
    loader = FrameLoader(mixed.pack() if packed else mixed, PROCESSOR, batch_size=9)
    found = torch.cat([batch["mask"] for batch in loader.epoch(0)])
    assert torch.equal(found, torch.cat(alone))
    assert set(found[-7:].unique().tolist()) == {0, 1}


def test_without_any_alpha_a_mix_has_none(parts):
    mixed = MixedFrames([without_alpha(part) for part in parts])
    assert set(mixed.__getitems__([0, 30])) == {"image", "row"} and mixed.pack().alphas is None


def test_decoded_on_demand_and_in_memory_give_the_same_frames(dataset_folder, tiny_frames, parts):
    decoded = MixedFrames([load_frames(str(dataset_folder), size=16, packed=False), parts[1]])
    packed = MixedFrames([tiny_frames, parts[1]])
    assert_same(decoded.__getitems__([30, 3, 24, 3]), packed.__getitems__([30, 3, 24, 3]))
    assert not decoded.in_memory and packed.in_memory
    assert_same(decoded.pack().__getitems__(range(34)), packed.__getitems__(range(34)))


def test_the_fingerprint_changes_with_a_part_or_their_order(parts):
    mixes = [parts, parts[:2], parts[::-1], [*parts[:2], without_alpha(parts[2])], [*parts[:2], smoke(7, seed=3)]]
    assert len({MixedFrames(mix).fingerprint() for mix in mixes}) == 5
    assert MixedFrames(parts).fingerprint() == MixedFrames(list(parts)).fingerprint()


@pytest.mark.parametrize("packed", [True, False])
def test_max_frames_are_spaced_over_all_parts(dataset_folder, tmp_path, packed):
    smoke(8, seed=1).save(tmp_path / "train.safetensors")
    sources = [str(dataset_folder), str(tmp_path)]
    mixed = load_frames(sources, size=16, packed=packed, max_frames=8, weights=[1, 1])
    assert mixed.lengths == [6, 2] and mixed.weights == [1, 1]
    expected = [load_frames(source, size=16, max_frames=n).images for source, n in zip(sources, (6, 2), strict=True)]
    assert torch.equal(mixed.__getitems__(range(8))["image"], torch.cat(expected))
    assert load_frames(sources, size=16, max_frames=99).lengths == [24, 8]
    with pytest.raises(ValueError, match=r"1 of the frames of .* include none of "):
        load_frames(sources, size=16, max_frames=1)


def test_a_single_source_is_not_mixed(dataset_folder, tiny_frames):
    frames = load_frames([str(dataset_folder)], size=16, weights=[3])
    assert isinstance(frames, PackedFrames) and frames.fingerprint() == tiny_frames.fingerprint()


def test_refuses_different_sizes_and_weights_that_are_too_small(parts):
    with pytest.raises(ValueError, match=r"has frames of \(8, 8\), blobs of \(16, 16\)"):
        MixedFrames([parts[0], smoke(3, size=8)])
    with pytest.raises(ValueError, match="An epoch of 34 frames has no frame of blobs: give it a larger weight"):
        MixedFrames(parts[:2], [100, 1])


# The order


@pytest.mark.parametrize(
    ("total", "weights", "expected"),
    [(10, [1, 1, 1], [4, 3, 3]), (41, [24, 10, 7], [24, 10, 7]), (7, [0.1, 0.2, 0.3], [1, 2, 4]), (5, [9], [5])],
)
def test_shares_add_up(total, weights, expected):
    assert shares(total, weights) == expected
    assert sum(shares(total, [weight * 1e300 for weight in weights])) == total


@pytest.mark.parametrize("weights", [[1, 1, 1], [0.7, 0.2, 0.1], [1, 20, 3]])
def test_every_epoch_has_the_shares_and_every_frame_is_drawn(weights):
    lengths = [24, 10, 7]
    counts, seen = shares(41, weights), Counter()
    for epoch in range(9):
        order = mixed_order(lengths, weights, seed=5, epoch=epoch).tolist()
        assert len(order) == 41
        assert [sum(start <= row < end for row in order) for start, end in [(0, 24), (24, 34), (34, 41)]] == counts
        seen.update(order)
        for start, end in [(0, 24), (24, 34), (34, 41)]:
            times = [seen[row] for row in range(start, end)]
            assert max(times) - min(times) <= 1


def test_the_order_differs_by_seed_and_epoch_alone():
    orders = {(seed, epoch): mixed_order([24, 10], [1, 1], seed, epoch).tolist() for seed in (0, 1) for epoch in (0, 1)}
    assert len({tuple(order) for order in orders.values()}) == 4
    assert mixed_order([24, 10], [3, 3], 1, 1).tolist() == orders[1, 1]


def test_datasets_are_mixed_throughout_an_epoch():
    order = mixed_order([500, 500], [1, 3], seed=0, epoch=2)
    quarters = (order < 500).reshape(4, -1).sum(dim=1)
    assert (quarters - 62.5).abs().max() < 25 and quarters.sum() == 250


def test_one_dataset_keeps_its_order(parts):
    """So that older runs can be repeated and resumed."""
    generator = torch.Generator().manual_seed(3 * 1_000_003 + 2)
    expected = torch.randperm(24, generator=generator)
    assert torch.equal(permutation(24, seed=3, epoch=2), expected)
    loader = FrameLoader(parts[0], PROCESSOR, 8, shuffle=True, seed=3)
    assert torch.equal(torch.cat([batch["row"] for batch in loader.epoch(2)]), expected)


def test_without_weights_a_mix_is_one_dataset_of_all_frames(parts):
    mixed = MixedFrames(parts)
    loaders = [FrameLoader(frames, PROCESSOR, 8, shuffle=True, flip=True) for frames in (mixed, mixed.pack())]
    for one, other in zip(loaders[0].epoch(1), loaders[1].epoch(1), strict=True):
        assert_same(one, other)
