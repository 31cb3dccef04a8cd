import numpy as np
import pytest

from smoke_vq.metrics.smoke_statistics import smoke_statistics


def frames(count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    image = np.zeros((count, 16, 16, 3), dtype=np.uint8)
    alpha = np.zeros((count, 16, 16), dtype=np.uint8)
    image[:, 4:8, 4:12] = 102
    alpha[:, 4:8, 4:12] = 51
    return image, alpha


def test_statistics_of_a_constant_patch():
    image, alpha = frames()
    found = smoke_statistics(image, alpha, np.zeros(6))
    assert found["coverage"] == pytest.approx(32 / 256)
    assert found["opacity"] == pytest.approx(0.2)
    assert found["brightness_p5"] == found["brightness_p95"] == pytest.approx(0.4)
    assert found["frame_change"] == 0 and found["colour"] == 0


def test_change_is_measured_within_sequences():
    image, alpha = frames()
    image[3:] //= 2
    assert smoke_statistics(image, alpha, np.array([0, 0, 0, 1, 1, 1]))["frame_change"] == 0
    # One of five steps falls from 0.4 to 0.2.
    expected = (0.2 / 5) / ((0.4 * 2 + 0.3 + 0.2 * 2) / 5)
    assert smoke_statistics(image, alpha, np.zeros(6))["frame_change"] == pytest.approx(expected, rel=1e-5)


def test_frames_without_smoke_are_refused():
    with pytest.raises(ValueError, match="None of the 2 frames shows smoke"):
        smoke_statistics(np.zeros((2, 16, 16, 3), np.uint8), np.zeros((2, 16, 16), np.uint8), np.zeros(2))
