import numpy as np

from smoke_vq.preparation.matting.cut_out import cut_out
from smoke_vq.preparation.matting.quality import failed_criterion


def test_a_shaken_camera_is_dropped(known, cut):
    assert failed_criterion(cut.measures) is None
    frames = np.stack([np.roll(frame, (3 * (t % 3), 2 * (t % 4)), (0, 1)) for t, frame in enumerate(known[0])])
    dropped = failed_criterion(cut_out(frames).measures)
    assert dropped["reason"] == "camera shake" and dropped["value"] > dropped["limit"]


def test_a_large_change_of_light_is_dropped(known):
    frames = (known[0] * np.linspace(0.4, 1.0, 36)[:, None, None, None]).astype(np.uint8)
    assert failed_criterion(cut_out(frames).measures)["reason"] == "light change"
