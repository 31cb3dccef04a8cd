"""What a plume should keep when it is reconstructed: its mass, its outline, its scales, its edges, its motion."""

import math

import torch

from .accumulator import Accumulator
from .power_spectrum import radial_power_spectrum

VISIBLE = 12 / 255  # mean channel above which a pixel counts as smoke
BANDS = ("low", "middle", "high")
ROUNDING = 1 / 255**2 / 12  # power of 8-bit rounding: below it a spectrum says nothing, and black has one


class PlumeQuality(Accumulator):
    """Faithfulness to the plume over a dataset; brightness is the mean channel in [0, 1], a frame's mass its sum.

    - `mass_error`: `sum_i |M'_i - M_i| / sum_i M_i`, the mean over frames of the relative error of the mass, each
      weighted by its mass: a nearly empty frame cannot outweigh a plume, and smoke drawn into it still counts;
    - `mask_iou`: mean over frames of the intersection over union of the visible pixels; frames in which neither shows
      any are left out;
    - `spectrum_low`, `_middle`, `_high`: `|log10|` of the ratio of the mean powers of luminance in thirds of the
      octaves from one wave a frame to the finest (of 64 pixels: 1-3, 4-10 and 11-31 waves); 0.3 is a factor of two;
    - `sharpness`: mean brightness gradient of the outputs over that of the targets, where the target shows smoke;
      1 is right, less is blurred, more is noisy or overdrawn.
    """

    def update(self, sample: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """sample, target: (B, 3, H, H) in [-1, 1]. Returns `mass_error` and `mask_iou` of each frame, (B,).

        A frame's own figures may be undefined (NaN): the error of a mass of nothing, the outline of nothing.
        """
        sample, target = sample.float().clamp(-1, 1) / 2 + 0.5, target.float() / 2 + 0.5
        light, true_light = sample.mean(dim=1), target.mean(dim=1)
        mass, true_mass = (value.double().sum(dim=(1, 2)) for value in (light, true_light))
        difference = (mass - true_mass).abs()
        self.add("mass_difference", difference.sum())
        self.add("mass", true_mass.sum())

        visible, smoke = light > VISIBLE, true_light > VISIBLE
        union = (visible | smoke).sum(dim=(1, 2))
        iou = (visible & smoke).sum(dim=(1, 2)).double() / union
        self.add("iou", iou[union > 0].sum())
        self.add("iou_frames", (union > 0).sum())

        self.add("sample_power", radial_power_spectrum(sample).double().sum(dim=0))
        self.add("target_power", radial_power_spectrum(target).double().sum(dim=0))
        self.add("frames", torch.tensor(len(sample), device=sample.device))

        inner = smoke[:, :-1, :-1]
        self.add("gradient", (gradient(light) * inner).sum(dtype=torch.float64))
        self.add("true_gradient", (gradient(true_light) * inner).sum(dtype=torch.float64))
        undefined = torch.full_like(true_mass, float("nan"))
        return {"mass_error": torch.where(true_mass > 0, difference / true_mass, undefined), "mask_iou": iou}

    def compute(self) -> dict[str, float]:
        """What is undefined (a dataset without smoke) is left out."""
        sums = {name: value.cpu() for name, value in self.sums.items()}
        ratios = {
            "mass_error": (sums["mass_difference"], sums["mass"]),
            "mask_iou": (sums["iou"], sums["iou_frames"]),
            "sharpness": (sums["gradient"], sums["true_gradient"]),
        }
        figures = {name: float(part / whole) for name, (part, whole) in ratios.items() if whole > 0}
        sample, target = (sums[f"{name}_power"] / sums["frames"] + ROUNDING for name in ("sample", "target"))
        band = band_of_rings(len(target))
        for index, name in enumerate(BANDS):
            ratio = sample[band == index].mean() / target[band == index].mean()
            figures[f"spectrum_{name}"] = abs(float(ratio.log10()))
        return figures


def gradient(light: torch.Tensor) -> torch.Tensor:
    """(B, H, W) to the length of its forward differences, (B, H - 1, W - 1)."""
    down = light[:, 1:, :-1] - light[:, :-1, :-1]
    right = light[:, :-1, 1:] - light[:, :-1, :-1]
    return torch.hypot(down, right)


def band_of_rings(count: int) -> torch.Tensor:
    """(count,): 0, 1 or 2 for each ring from one wave a frame on, by thirds of the octaves up to `count + 1` waves."""
    thirds = [3 * math.log(waves) / math.log(count + 1) for waves in range(1, count + 1)]
    return torch.tensor([int(third + 1e-9) for third in thirds])


def flicker(sample: torch.Tensor, target: torch.Tensor, sequences: torch.Tensor) -> float | None:
    """Change that is not in the smoke: `sum |dx' - dx| / sum |dx|`, dx the change of brightness between two frames.

    Summed over the pixels that show smoke in either target of a pair. 0 where the outputs move as the targets do; 1
    for outputs that do not move at all.

    Args:
        sample, target: (N, H, W, 3) uint8, in order.
        sequences: (N,), equal for neighbours that follow each other.

    Returns:
        None where no two frames follow each other, or nothing changes between those that do.
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
