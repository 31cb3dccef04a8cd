"""The last observed frame, moved by the optical flow of the last two."""

import numpy as np
import torch

from ....checks import check_installed
from ....pixels import to_pixel_values
from ..cases import ForecastCase

# Farneback, 2003, as OpenCV's tutorial sets it.
_FARNEBACK = dict(pyr_scale=0.5, levels=3, winsize=15, iterations=3, poly_n=5, poly_sigma=1.2, flags=0)


def optical_flow(case: ForecastCase) -> torch.Tensor:
    """The flow between the last two frames, applied again and again: (1, T, 3, H, W).

    Raises:
        ValueError: OpenCV is not installed, or only one frame is observed.
    """
    check_installed("Optical flow", "forecast", cv2="OpenCV")
    import cv2

    if len(case.past) < 2:
        raise ValueError(f"{case.name} has one observed frame: optical flow expects two or more.")
    before, last = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in case.past[-2:])
    flow = cv2.calcOpticalFlowFarneback(before, last, None, **_FARNEBACK)
    height, width = last.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    frame, frames = case.past[-1].astype(np.float32), []
    for _ in range(case.num_frames):
        frame = cv2.remap(frame, x - flow[..., 0], y - flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        frames.append(frame)
    return to_pixel_values(torch.from_numpy(np.stack(frames)))[None]
