"""Smoke cut out of a video."""

import itertools
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from smoke_vq.films import film_file
from smoke_vq.preparation.matting.cut_out import WORKING_SIZE, cut_out
from smoke_vq.preparation.matting.image_filters import box
from smoke_vq.preparation.matting.video import iter_frames
from smoke_vq.preparation.rise.clip_frames import ClipSettings, cut_out_video, load_clip_frames
from smoke_vq.preparation.rise.clips import Clip
from smoke_vq.simulation import PlumeSettings, simulate_plumes

from .timing import clock, interleaved, report

NUM_FRAMES = 120


def preparation(device: str, rounds: int) -> None:
    """A clip of RISE's size as `smoke-vq prepare` cuts it out, relative to its decoding; CPU time of one thread."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "clip.mp4"
        write_clip(path)
        frames = np.stack(list(iter_frames(path, WORKING_SIZE)))
        grey = frames.mean(axis=3, dtype=np.float32) / 255
        clip, numbers = Clip("clip", path), itertools.count()
        settings = ClipSettings(keep_all=True)

        def prepare() -> bytes:
            return cut_out_video(clip, settings, path.with_name(f"clip_{next(numbers)}"))

        functions = {
            "decoding": lambda: list(iter_frames(path, WORKING_SIZE)),
            "six box filters, as of the matte": lambda: [box(frame, 3) for frame in grey for _ in range(6)],
            "cut-out of decoded frames": lambda: cut_out(frames),
            "prepare: decoding to a file": prepare,
        }
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        seconds = interleaved(functions, "cpu", rounds, clock("cpu"))
        cv2.setNumThreads(threads)
        kept = len(load_clip_frames(path.with_name("clip_0-000000.npz"))["image"])
    title = f"Preparation, {NUM_FRAMES} frames of {WORKING_SIZE} pixels, {kept} of them with smoke"
    report(title, seconds, "decoding", "frames/s", NUM_FRAMES)


def write_clip(path: Path) -> None:
    """A film of simulated smoke over a still background with texture, and noise."""
    (plume,) = simulate_plumes([1], PlumeSettings(num_frames=NUM_FRAMES, dimensions=2))
    generator = np.random.default_rng(0)
    background = 60 + 300 * box(generator.normal(0, 0.1, (WORKING_SIZE, WORKING_SIZE, 3)).astype(np.float32), 1)
    with film_file(path, fps=12) as film:
        for image, alpha in zip(plume.image, plume.alpha, strict=True):
            smoke, opacity = (cv2.resize(part, background.shape[:2]).astype(np.float32) for part in (image, alpha))
            frame = (1 - opacity[..., None] / 255) * background + smoke + generator.normal(0, 2, background.shape)
            film.add(Image.fromarray(np.rint(frame.clip(0, 255)).astype(np.uint8)))
