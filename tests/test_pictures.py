import numpy as np
import pytest

from smoke_vq.pictures import code_colours, fitting_scale, image_grid

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 8, 10, 3), dtype=np.uint8)


def test_frames_are_enlarged_without_smoothing():
    grid = np.asarray(image_grid([FRAMES, FRAMES[:1]], scale=3))
    assert grid.shape == (2 * 24 + 2, 3 * 30 + 2 * 2, 3)
    assert np.array_equal(grid[:24:3, 32:62:3], FRAMES[1]) and np.array_equal(grid[26::3, :30:3], FRAMES[0])


def test_labels_are_to_the_left_or_above():
    plain = image_grid([FRAMES])
    for above in (False, True):
        labelled = image_grid([FRAMES], ["a"], labels_above=above)
        left, top = labelled.width - plain.width, labelled.height - plain.height
        assert (left > 0, top > 0) == (not above, above)
        assert np.array_equal(np.asarray(labelled)[top:, left:], np.asarray(plain))


def test_labels_above_columns_leave_the_frames_as_they_are():
    plain = image_grid([FRAMES], ["a"])
    labelled = image_grid([FRAMES], ["a"], column_labels=["one", "two", "three"])
    top = labelled.height - plain.height
    assert top > 0 and np.array_equal(np.asarray(labelled)[top:], np.asarray(plain))
    assert np.asarray(labelled)[:top].std() > 0


def test_grey_frames_and_smaller_tiles():
    grid = np.asarray(image_grid([[FRAMES[0], FRAMES[0, ..., 0]]], scale=0.5, smooth=True))
    assert grid.shape == (4, 12, 3) and (grid[:, 7:].std(-1) == 0).all()


def test_the_colour_of_a_code_is_its_direction_and_distance_from_the_background():
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    colours = code_colours(np.concatenate([circle, 10 * circle]), np.zeros(3)).astype(int)
    assert colours.shape == (400, 3) and colours[:200].max() < 128 <= colours[200:].max(axis=1).min()
    hues = colours[200:] / colours[200:].max(axis=1, keepdims=True)
    assert np.abs(np.diff(hues, axis=0)).max() < 0.1 and np.abs(hues[:100] - hues[100:]).max(axis=1).min() > 0.3


def test_codes_of_one_dimension_have_colours():
    assert code_colours(np.arange(4.0)[:, None], np.zeros(1)).shape == (4, 3)


@pytest.mark.parametrize(("size", "scale"), [(16, 16), (64, 4), (96, 2), (128, 2), (256, 1), (512, 1)])
def test_large_frames_are_not_enlarged(size, scale):
    assert fitting_scale(np.zeros((size, size, 3)), 256) == scale
