"""How well reconstructions preserve plumes: mass, outline, scales, edges and motion."""

import math

import torch

from ..float64 import to_float64
from ..pixels import clamp, to_images, to_unit
from .figure import Figure
from .metric import Batch, Metric
from .power_spectrum import radial_power_spectrum

VISIBLE = 12 / 255  # a pixel shows smoke where its mean channel is above this
_BANDS = ("low", "middle", "high")
_ROUNDING = 1 / 255**2 / 12  # power of the error of rounding to 8 bits, added so that black has a spectrum


class PlumeQuality(Metric):
    """Faithfulness to the plume. Brightness is the mean channel in [0, 1], the mass of a frame its summed brightness.

    - `mass_error`: `sum_i |M'_i - M_i| / sum_i M_i` over frames i, so that nearly empty frames cannot dominate, while
      smoke that is added to an empty frame counts;
    - `mask_iou`: mean over frames of the intersection over union of the visible pixels; frames without visible pixels
      in both sample and target are left out;
    - `spectrum_low`, `_middle`, `_high`: `|log10|` of the ratio of the mean powers of luminance in thirds of the
      octaves from one wave per frame to the finest (with 64 pixels: 1-3, 4-10 and 11-31 waves); 0.3 is a factor of 2;
    - `sharpness`: mean brightness gradient of the samples relative to that of the targets, where the target shows
      smoke; below 1 is blurred, above 1 noisy;
    - `flicker`: see `flicker`; None where the sequences are unknown or no frame follows another.

    The first two and the sharpness are left out for a dataset without smoke.
    """

    figures = (
        Figure("mass_error", "mass error", "lower", ".4f", meaning="relative error of the total brightness of a frame"),
        Figure("mask_iou", "mask IoU", "higher", ".4f", meaning="intersection over union of the visible pixels"),
        *(
            Figure(f"spectrum_{band}", f"spectrum error ({band})", "lower", ".3f", "log10", f"{band} third of octaves")
            for band in _BANDS
        ),
        Figure("sharpness", "sharpness", 1.0, ".3f", meaning="brightness gradient on smoke relative to the targets'"),
        Figure("flicker", "flicker", "lower", ".3f", meaning="change over time that is not in the targets, relative"),
    )

    def update(self, batch: Batch) -> None:
        sample, target = to_unit(clamp(batch.sample.float())), to_unit(batch.target.float())
        light, true_light = sample.mean(dim=1), target.mean(dim=1)
        mass, true_mass = (to_float64(value).sum(dim=(1, 2)) for value in (light, true_light))
        difference = (mass - true_mass).abs()
        self.add("mass_difference", difference.sum())
        self.add("mass", true_mass.sum())

        visible, smoke = light > VISIBLE, true_light > VISIBLE
        union = to_float64((visible | smoke).sum(dim=(1, 2)))
        iou = to_float64((visible & smoke).sum(dim=(1, 2))) / union
        self.add("iou", iou[union > 0].sum())
        self.add("iou_frames", (union > 0).sum())

        self.add("sample_power", to_float64(radial_power_spectrum(sample)).sum(dim=0))
        self.add("target_power", to_float64(radial_power_spectrum(target)).sum(dim=0))
        self.add("num_frames", torch.tensor(len(sample), device=sample.device))

        inner = smoke[:, :-1, :-1]
        self.add("gradient", to_float64(gradient(light) * inner).sum())
        self.add("true_gradient", to_float64(gradient(true_light) * inner).sum())

        undefined = torch.full_like(true_mass, float("nan"))
        self.keep("mass_error", torch.where(true_mass > 0, difference / true_mass, undefined))
        self.keep("mask_iou", iou)
        if batch.sequence is not None:
            self.keep("sequence", batch.sequence)
            self.keep("sample", to_images(batch.sample))
            self.keep("target", to_images(batch.target))

    def compute(self) -> dict[str, float | None]:
        sums = {name: value.cpu() for name, value in self.sums.items()}
        ratios = {
            "mass_error": (sums["mass_difference"], sums["mass"]),
            "mask_iou": (sums["iou"], sums["iou_frames"]),
            "sharpness": (sums["gradient"], sums["true_gradient"]),
        }
        figures = {name: float(part / whole) for name, (part, whole) in ratios.items() if whole > 0}
        sample, target = (sums[f"{name}_power"] / sums["num_frames"] + _ROUNDING for name in ("sample", "target"))
        band = band_of_wavenumbers(len(target))
        for index, name in enumerate(_BANDS):
            ratio = sample[band == index].mean() / target[band == index].mean()
            figures[f"spectrum_{name}"] = abs(float(ratio.log10()))
        known = "sequence" in self.frames
        names = ("sample", "target", "sequence")
        return figures | {"flicker": flicker(*(self.frames[name] for name in names)) if known else None}


def gradient(light: torch.Tensor) -> torch.Tensor:
    """(B, H, W) to the norm of its forward differences, (B, H - 1, W - 1)."""
    down = light[:, 1:, :-1] - light[:, :-1, :-1]
    right = light[:, :-1, 1:] - light[:, :-1, :-1]
    return torch.hypot(down, right)


def band_of_wavenumbers(count: int) -> torch.Tensor:
    """The third of the octaves, 0, 1 or 2, of the wavenumbers from 1 to `count` per frame: (count,)."""
    thirds = [3 * math.log(waves) / math.log(count + 1) for waves in range(1, count + 1)]
    return torch.tensor([int(third + 1e-9) for third in thirds])


def flicker(sample: torch.Tensor, target: torch.Tensor, sequences: torch.Tensor) -> float | None:
    """Change over time that is not in the target: `sum |dx' - dx| / sum |dx|`.

    dx is the change of brightness between two consecutive frames, summed over the pixels that show smoke in either
    target of the pair. 0 where the sample changes as the target does, 1 where it does not change at all.

    Args:
        sample, target: (N, H, W, 3) uint8, in order.
        sequences: (N,), equal for neighbours that follow each other.

    Returns:
        None where no frame follows another, or nothing changes between those that do.
    """
    wrong = change = 0.0
    for index in (sequences[1:] == sequences[:-1]).nonzero()[:, 0].split(512):
        light, true_light = (
            torch.stack([frames[index], frames[index + 1]]).float().mean(dim=4) / 255 for frames in (sample, target)
        )
        smoke = (true_light > VISIBLE).any(dim=0)
        true_change = true_light[1] - true_light[0]
        wrong += float(((light[1] - light[0] - true_change).abs() * smoke).sum(dtype=torch.float64))
        change += float((true_change.abs() * smoke).sum(dtype=torch.float64))
    return wrong / change if change > 0 else None
