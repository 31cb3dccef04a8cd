import numpy as np
import pytest

from smoke_vq.preparation.futures.divergence import divergence, horizons
from smoke_vq.preparation.futures.pictures import SPREAD_GAIN, spread
from smoke_vq.simulation import Futures


def futures(levels: list[list[int]]) -> Futures:
    """Grey frames with the given levels, by member and time."""
    image = np.array(levels, dtype=np.uint8)[:, :, None, None, None] * np.ones((1, 1, 4, 4, 3), dtype=np.uint8)
    return Futures(1, 2, image[0, :1], image[0, :1, ..., 0], image, image[..., 0], {})


def test_differences_are_in_units_of_minus_1_to_1():
    rows = divergence([futures([[0, 0, 0], [0, 51, 99], [0, 255, 99]])])
    assert [row["horizon"] for row in rows] == [1, 2]
    assert rows[0]["rms"] == rows[0]["rms_between"] == 0 and rows[0]["psnr"] == pytest.approx(106.02, abs=0.01)
    assert rows[1]["rms"] == pytest.approx((51 + 255) / 2 / 127.5)
    assert rows[1]["rms_between"] == pytest.approx((255 - 51) / 127.5)
    assert rows[1]["psnr"] == pytest.approx((20 * np.log10(5) + 0) / 2)  # 51 and 255 levels of 255


def test_figures_are_averaged_over_plumes():
    one, two = futures([[0], [10], [10]]), futures([[0], [30], [30]])
    assert divergence(iter([one, two]))[0]["rms"] == pytest.approx(20 / 127.5)


def test_horizons_are_powers_of_two():
    assert horizons(1) == [1] and horizons(7) == [1, 2, 4] and horizons(16) == [1, 2, 4, 8, 16]


def test_spread_is_the_standard_deviation_over_members():
    pictures = spread(futures([[10, 0], [10, 0], [10, 30]]))
    assert pictures.shape == (2, 4, 4) and (pictures[0] == 0).all()
    assert (pictures[1] == round(SPREAD_GAIN * np.std([0, 0, 30]))).all()
