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


def write_video(path, frames, rate=12, times=None, turn=None):
    """Encode frames, an iterable of (H, W, 3) uint8, with H.264.

    Args:
        times: when each frame is shown, in milliseconds (default: as `rate` says).
        turn: arguments of PyAV's `set_display_rotation`, by which a player turns and mirrors the frames.
    """
    from fractions import Fraction

    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "12"})
        stream.pix_fmt = "yuv420p"
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for index, image in enumerate(frames):
            if index == 0:
                stream.height, stream.width = image.shape[:2]
                if turn is not None:
                    stream.set_display_rotation(**turn)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def shrink(alpha, size=64):
    import cv2

    return np.stack([cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA) for frame in alpha])
