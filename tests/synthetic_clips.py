"""Synthetic clips of soft puffs over a static scene, with their true alpha."""

import numpy as np

from smoke_vq.preparation.matting.image_filters import box

SIDE = 180


def background(seed=0):
    """A hill, a sky and a building with hard edges."""
    generator = np.random.default_rng(seed)
    texture = generator.normal(0, 0.03, (SIDE, SIDE)).astype(np.float32)
    scene = np.full((SIDE, SIDE, 3), (0.18, 0.22, 0.2), np.float32) + box(texture, 1)[..., None]
    scene[:40] = (0.6, 0.65, 0.7)
    scene[130:, 60:110] = (0.35, 0.3, 0.25)
    return scene


def plume(time, strength=0.9):
    """Two soft puffs that rise and drift, and sometimes disappear for a moment: alpha (SIDE, SIDE)."""
    generator = np.random.default_rng(time)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    alpha = np.zeros((SIDE, SIDE), np.float32)
    for phase in generator.uniform(size=2 if generator.uniform() < 0.8 else 0):
        row, column, radius = 125 - 70 * phase, 60 + 70 * phase + generator.normal(0, 5), 7 + 9 * phase
        alpha += (1 - 0.5 * phase) * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * radius**2))
    return strength * np.clip(alpha, 0, 1) * (alpha > 0.02)


def clip(frames=36, strength=0.9, colour=(0.9, 0.9, 0.92), noise=0.008, scene=None):
    """The composite, uint8 (T, H, W, 3), and its true alpha."""
    generator = np.random.default_rng(1)
    scene = background() if scene is None else scene
    alpha = np.stack([plume(time, strength) for time in range(frames)])
    composite = (1 - alpha[..., None]) * scene + alpha[..., None] * np.float32(colour)
    composite += generator.normal(0, noise, composite.shape)
    return np.rint(255 * np.clip(composite, 0, 1)).astype(np.uint8), alpha


def write_video(path, frames):
    """Encode frames, (T, H, W, 3) uint8, with H.264."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12, options={"crf": "12"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def shrink(alpha, size=64):
    import cv2

    return np.stack([cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA) for frame in alpha])
