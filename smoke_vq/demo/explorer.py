"""What the page of the demo computes: clips and their codes, changed codes, comparisons and forecasts."""

import math
import os
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..data.clips import open_clip
from ..data.processor import SmokeImageProcessor
from ..evaluation.codecs import rate_distortion_curves, thumbnail
from ..evaluation.forecasts.pictures.film import draw_film
from ..evaluation.reconstruction import Reconstruction
from ..films import film_bytes
from ..metrics import Batch, make_metrics
from ..models.auto import AutoAutoencoder
from ..models.vqvae import SmokeVQVAE
from ..pictures import error_map
from ..pipelines import SmokeForecastPipeline
from ..preparation.matting.chunks import CHUNK_FRAMES, CUT_OUT, MIN_FRAMES, as_they_are, choose_way, cut_out_chunks
from ..simulation import PlumeSettings, simulate_plumes
from ..tokens.colours import colours_of, first_codes
from .pictures import code_grid, enlarged

ERROR_GAIN = 4
PANELS = ("original", "smoke on black", "codes", "from the codes", f"error x{ERROR_GAIN}")
MAX_FRAMES = CHUNK_FRAMES  # of a video: one background for all of them
_BATCH = 32
_FORECAST_FPS = 6
_MAX_SEED = 2**32 - 2


@dataclass(frozen=True)
class EncodedClip:
    """A clip and its codes.

    original: (T, S, S, 3) uint8, before the smoke was cut out.
    image: (T, S, S, 3) uint8, smoke on black.
    encoded: codes of `image`, (T, h, w) or (T, h, w, depth), int64 in [0, K).
    codes: the same, as changed by the user.
    note: how the frames became smoke on black, in a sentence or two.
    """

    original: np.ndarray
    image: np.ndarray
    encoded: torch.Tensor
    codes: torch.Tensor
    note: str


@dataclass(frozen=True)
class Compared:
    """A frame as coded in one way.

    image: (S, S, 3) uint8.
    num_bytes, num_payload_bytes: with and without the headers of a file.
    psnr: dB.
    """

    name: str
    image: np.ndarray
    num_bytes: float
    num_payload_bytes: float
    psnr: float


class Explorer:
    """Turns clips into codes and back with one model.

    Args:
        model: a SmokeVQVAE or SmokeVQGAN.
        processor: knows the size S of the frames.
        forecaster: predicts the next frames of a clip.
    """

    def __init__(self, model: SmokeVQVAE, processor: SmokeImageProcessor, forecaster: SmokeForecastPipeline):
        self.model, self.processor, self.forecaster = model.eval(), processor, forecaster
        self.colours = colours_of(model, processor)

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike = "nano",
        forecaster: str | os.PathLike = "nano_forecaster",
        device: torch.device | str = "cpu",
    ) -> "Explorer":
        """Load a model and a forecaster by folder, Hub name, or the name of an installed one.

        Raises:
            OSError, ValueError: as `AutoAutoencoder.from_pretrained` and `SmokeForecastPipeline.from_pretrained`.
        """
        return cls(
            AutoAutoencoder.from_pretrained(model).to(device),
            SmokeImageProcessor.from_pretrained(model),
            SmokeForecastPipeline.from_pretrained(forecaster).to(device),
        )

    def read(self, path: str | os.PathLike, fps: float | None = None) -> EncodedClip:
        """Read at most `MAX_FRAMES` frames of a video, photo or NumPy file, and cut the smoke out if it is needed.

        Raises:
            OSError, ValueError: as `open_clip` and `choose_way`.
        """
        path, size = Path(path), self.processor.height
        frames, *_ = open_clip(path, size, fps, MAX_FRAMES)
        first = list(islice(frames, MIN_FRAMES))
        note = choose_way(path.name, first, size)
        (chunk,) = (cut_out_chunks if note == CUT_OUT else as_they_are)(chain(first, frames), size)
        if note == CUT_OUT:
            note = "Smoke was cut out."
        if chunk.failed:
            note += f" The cut-out may be wrong: {chunk.failed}."
        if not chunk.image.any():
            note += " No smoke was found."
        if len(chunk.image) == MAX_FRAMES:
            note += f" These are the first {MAX_FRAMES} frames."
        return self.encode(chunk.original, chunk.image, note)

    def simulate(self, seed: int, num_frames: int) -> EncodedClip:
        """Simulate a plume on the CPU.

        Raises:
            ValueError: a seed below 0 or above 2**32 - 2, or no frames.
        """
        if seed != int(seed) or not 0 <= seed <= _MAX_SEED:
            raise ValueError(f"seed expects a whole number from 0 to {_MAX_SEED}, found {seed}.")
        (plume,) = simulate_plumes([int(seed)], PlumeSettings(self.processor.height, num_frames))
        return self.encode(plume.image, plume.image, f"The simulated plume {int(seed)}.")

    @torch.no_grad()
    def encode(self, original: np.ndarray, image: np.ndarray, note: str) -> EncodedClip:
        parts = (self.processor(part).pixel_values for part in _batches(image))
        codes = torch.cat([self.model.encode(part.to(self.model.device)).indices.cpu() for part in parts])
        return EncodedClip(original, image, codes, codes, note)

    @torch.no_grad()
    def decode(self, codes: torch.Tensor) -> np.ndarray:
        """Codes (N, h, w) or (N, h, w, depth) to frames (N, S, S, 3) uint8."""
        parts = (self.model.decode_indices(part.to(self.model.device)).sample for part in _batches(codes))
        return np.concatenate([self.processor.postprocess(part, "np") for part in parts])

    def paint(self, clip: EncodedClip, frame: int, row: int, column: int, code: int) -> EncodedClip:
        """Give one cell of a frame another code; with several codes at a cell, another first one.

        Raises:
            ValueError: there is no such code.
        """
        num_codes = self.model.quantizer.num_codes
        if code is None or code != int(code) or not 0 <= code < num_codes:
            raise ValueError(f"A code is a whole number from 0 to {num_codes - 1}, found {code}.")
        codes = clip.codes.clone()
        codes[(frame, row, column, 0)[: codes.ndim]] = int(code)
        return replace(clip, codes=codes)

    def restore(self, clip: EncodedClip, frame: int) -> EncodedClip:
        """Give a frame its own codes again."""
        codes = clip.codes.clone()
        codes[frame] = clip.encoded[frame]
        return replace(clip, codes=codes)

    def brightest_code(self, clip: EncodedClip, frame: int) -> int:
        """The code of the cell with most light in a frame."""
        codes = first_codes(clip.encoded[frame][None])
        return int(codes.flat[_light(clip.image[frame][None], codes.shape).argmax()])

    def palette_codes(self, clip: EncodedClip, most: int) -> list[int]:
        """At most `most` codes of a clip before any change: the most frequent one, then codes of smoke, dim to bright.

        The codes of smoke are spread evenly over their order by the mean light in their cells.
        """
        codes = first_codes(clip.encoded)
        counts = np.bincount(codes.ravel())
        light = np.bincount(codes.ravel(), _light(clip.image, codes.shape).ravel()) / np.maximum(counts, 1)
        background = int(counts.argmax())
        smoky = [code for code in np.argsort(light, kind="stable").tolist() if light[code] > 1 and code != background]
        places = np.linspace(0, len(smoky) - 1, min(most - 1, len(smoky))).round().astype(int)
        return [background, *(smoky[place] for place in places)]

    def panels(self, clip: EncodedClip, frame: int) -> list[Image.Image]:
        """The pictures of a frame, in the order of `PANELS`."""
        target, codes = clip.image[frame], first_codes(clip.codes[frame][None])[0]
        changed = codes != first_codes(clip.encoded[frame][None])[0]
        (output,) = self.decode(clip.codes[frame][None])
        (error,) = error_map(output[None], target[None], ERROR_GAIN)
        return [
            enlarged(clip.original[frame]),
            enlarged(target),
            code_grid(codes, self.colours, changed),
            enlarged(output),
            enlarged(error),
        ]

    def describe(self, clip: EncodedClip) -> str:
        """How the frames became smoke on black, and the size of their codes."""
        num_used = len(np.unique(first_codes(clip.encoded)))
        return (
            f"{clip.note} {len(clip.image)} frames, each of {clip.encoded[0].numel()} codes out of "
            f"{self.model.quantizer.num_codes:,}: {self.code_bytes(clip):.0f} bytes. {num_used} codes are used."
        )

    def code_bytes(self, clip: EncodedClip) -> float:
        """The size of the codes of a frame."""
        return clip.encoded[0].numel() * math.ceil(math.log2(self.model.quantizer.num_codes)) / 8

    def compare(self, clip: EncodedClip, frame: int) -> list[Compared]:
        """A frame from its own codes, as the largest thumbnail of no more bytes, and by each codec at its smallest."""
        target, size = self.processor(clip.image[frame]).pixel_values, self.code_bytes(clip)
        (output,) = self.decode(clip.encoded[frame][None])
        side = max(1, math.isqrt(int(size) // target.shape[1]))
        coded = {
            "codes": Reconstruction(self.processor(output).pixel_values, torch.tensor([size])),
            f"thumbnail {side}x{side}": thumbnail(target, side),
        }
        for name, settings in rate_distortion_curves().items():
            if name != "thumbnail":
                smallest, function = next(iter(settings.items()))
                coded[f"{name}, {smallest}"] = function(target)
        return [self._compared(name, each, target) for name, each in coded.items()]

    def _compared(self, name: str, coded: Reconstruction, target: torch.Tensor) -> Compared:
        (quality,) = make_metrics(["image"])
        quality.update(Batch(coded.sample, target, self.processor.to_mask(target)))
        (image,) = self.processor.postprocess(coded.sample, "np")
        payload = coded.num_bytes if coded.num_payload_bytes is None else coded.num_payload_bytes
        return Compared(name, image, float(coded.num_bytes), float(payload), quality.compute()["psnr"])

    def forecast(self, clip: EncodedClip, frame: int, num_samples: int, seed: int = 0) -> bytes:
        """Forecast the frames after `frame`: an animated WebP with the frames that came, if any, beside the samples.

        Raises:
            ValueError: too few frames, or frames of another size than the forecaster's.
        """
        config = self.forecaster.transformer.config
        members = self.forecaster(
            clip.image[: frame + 1],
            num_frames=config.num_frames,
            num_samples=num_samples if self.forecaster.transformer.coupling.is_random else 1,
            generator=torch.Generator().manual_seed(seed),
            output_type="pt",
        ).frames.cpu()
        values = self.forecaster.processor(clip.image[: frame + 1 + config.num_frames]).pixel_values
        past, truth = values[: frame + 1][-config.num_previous :], values[frame + 1 :]
        return film_bytes(draw_film(past, members, truth if len(truth) else None), ".webp", _FORECAST_FPS)


def _batches(frames):
    return (frames[start : start + _BATCH] for start in range(0, len(frames), _BATCH))


def _light(images: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The mean of the pixels in each cell of a grid (N, h, w)."""
    number, rows, columns = shape
    return images.reshape(number, rows, images.shape[1] // rows, columns, -1).mean(axis=(2, 4))
