"""Frames followed by the same frames mirrored."""

import torch

from smoke_vq.data.frames import PackedFrames
from smoke_vq.data.mirrored_frames import WithMirroredFrames
from smoke_vq.data.windows import windows


def frames() -> PackedFrames:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (7, 8, 8, 3), generator=generator, dtype=torch.uint8)
    alphas = torch.randint(0, 256, (7, 8, 8), generator=generator, dtype=torch.uint8)
    return PackedFrames(images, alphas, sequences=torch.tensor([4, 4, 4, 4, 5, 5, 5]))


def test_the_second_half_is_mirrored():
    plain, both = frames(), WithMirroredFrames(frames())
    assert len(both) == 14
    batch = both.__getitems__([0, 7, 13, 3])
    assert torch.equal(batch["image"][0], plain.images[0]) and torch.equal(batch["image"][3], plain.images[3])
    assert torch.equal(batch["image"][1], plain.images[0].flip(1)) and torch.equal(
        batch["image"][2], plain.images[6].flip(1)
    )
    assert torch.equal(batch["alpha"][1], plain.alphas[0].flip(1)) and batch["row"].tolist() == [0, 7, 13, 3]
    assert both.fingerprint() != plain.fingerprint()


def test_no_window_joins_a_sequence_with_its_mirror_image():
    assert WithMirroredFrames(frames()).sequences.tolist() == [4, 4, 4, 4, 5, 5, 5, 10, 10, 10, 10, 11, 11, 11]
    assert len(windows(WithMirroredFrames(frames()), earlier=False)) == 2 * len(windows(frames(), earlier=False))
