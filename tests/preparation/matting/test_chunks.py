import numpy as np
import pytest

from smoke_vq.preparation.matting.chunks import as_they_are, cut_out_chunks
from smoke_vq.preparation.matting.cut_out import cut_out, is_on_black


@pytest.mark.parametrize(
    ("total", "lengths"), [(4, [4]), (10, [10]), (11, [6, 5]), (15, [10, 5]), (20, [10, 10]), (24, [10, 7, 7])]
)
def test_the_last_two_chunks_have_at_least_half_of_the_frames(total, lengths):
    frames = np.arange(total, dtype=np.uint8)[:, None, None, None] * np.ones((1, 16, 16, 3), np.uint8)
    chunks = list(as_they_are(iter(frames), size=16, num_frames=10))
    assert [len(chunk.image) for chunk in chunks] == lengths
    assert np.array_equal(np.concatenate([chunk.original for chunk in chunks]), frames)
    assert all(chunk.alpha is None and chunk.image is chunk.original for chunk in chunks)


def test_one_chunk_is_the_cut_out_of_the_clip(known):
    frames, whole = known[0][:20], cut_out(known[0][:20])
    (chunk,) = cut_out_chunks(iter(frames))
    assert np.array_equal(chunk.image, whole.image) and np.array_equal(chunk.alpha, whole.alpha)
    assert chunk.original.shape == (20, 64, 64, 3) and chunk.failed is None


def test_all_chunks_have_the_brightness_factor_of_the_first_with_smoke(known):
    parts = [known[0][:1].repeat(16, axis=0), known[0][:16] // 2, known[0][16:32]]
    still, dark, bright = cut_out_chunks(iter(np.concatenate(parts)), num_frames=16)
    gain = cut_out(parts[1]).measures["gain"]
    assert not still.alpha.any() and gain > 1
    assert np.array_equal(dark.image, cut_out(parts[1], gain=gain).image)
    assert np.array_equal(bright.image, cut_out(parts[2], gain=gain).image)


def test_frames_are_read_as_they_are_needed(known):
    taken = []

    def frames():
        for number in range(100):
            taken.append(number)
            yield known[0][number % 36]

    next(as_they_are(frames(), num_frames=10))
    assert len(taken) == 10 + 5


def test_too_few_frames_are_refused(known):
    with pytest.raises(ValueError, match="Found 7 frames: the background is estimated from 8 or more"):
        list(cut_out_chunks(iter(known[0][:7])))


def test_smoke_on_black_is_told_from_a_scene(known, cut):
    assert is_on_black(cut.image) and is_on_black(cut.image[:1])
    assert not is_on_black(known[0])
    letterbox = known[0][:8].copy()
    letterbox[:, :40] = letterbox[:, -40:] = 0
    assert not is_on_black(letterbox)
