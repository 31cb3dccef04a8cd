"""Error on smoke and on background, PSNR, SSIM and diversity of reconstructions."""

import torch

from ..float64 import to_float64
from ..pixels import DATA_RANGE, clamp, to_unit
from .figure import Figure
from .metric import Batch, Metric

_SSIM_MARGIN = 5  # keep the 11x11 windows inside the frame, as Wang et al. and scikit-image do; torchmetrics pads
_SMALLEST_MSE = 1e-10  # limits the PSNR of a perfect frame to 106 dB


class ImageQuality(Metric):
    """Reconstruction quality over a dataset. Squared errors are in squared units of [-1, 1].

    The figures of an empty set of pixels are left out: `masked_mse` without any smoke, `background_mse` without any
    background, `diversity` where all targets are the same.
    """

    figures = (
        Figure("num_frames", "frames", None, "d", meaning="number of frames"),
        Figure("masked_mse", "masked MSE", "lower", ".5f", meaning="squared error on smoke, sum(m e^2) / sum(m)"),
        Figure("background_mse", "background MSE", "lower", ".6f", meaning="the same with 1 - m for the mask m"),
        Figure("mse", "MSE", "lower", ".5f", meaning="squared error over all pixels"),
        Figure("psnr", "PSNR", "higher", ".2f", "dB", "mean over frames of 10 log10(4 / mse)"),
        Figure("ssim", "SSIM", "higher", ".4f", meaning="mean over frames (Wang et al., 2004; Gaussian of 1.5 pixels)"),
        Figure("diversity", "diversity", 1.0, ".3f", meaning="variance over frames relative to that of the targets"),
        Figure("coverage", "coverage", None, ".4f", meaning="mean of the mask over all pixels"),
    )

    def update(self, batch: Batch) -> None:
        from torchmetrics.functional.image import structural_similarity_index_measure

        sample, target, mask = clamp(batch.sample.float()), batch.target.float(), batch.mask.float()
        error = (sample - target).square().mean(dim=1, keepdim=True)
        self.add("smoke_error", to_float64(mask * error).sum())
        self.add("smoke_weight", to_float64(mask).sum())
        self.add("background_error", to_float64((1 - mask) * error).sum())
        self.add("background_weight", to_float64(1 - mask).sum())
        mse = error.flatten(1).mean(dim=1)
        psnr = 10 * torch.log10(DATA_RANGE**2 / mse.clamp(min=_SMALLEST_MSE))
        # In [0, 1], because the luminance term of SSIM depends on where black is.
        _, ssim = structural_similarity_index_measure(
            to_unit(sample), to_unit(target), data_range=1.0, reduction="none", return_full_image=True
        )
        ssim = ssim[..., _SSIM_MARGIN:-_SSIM_MARGIN, _SSIM_MARGIN:-_SSIM_MARGIN].flatten(1).mean(dim=1)
        self.keep("mse", mse)
        for name, values in (("psnr", psnr), ("ssim", ssim)):
            self.keep(name, values)
            self.add(name, values.sum())
        self.add("num_frames", torch.tensor(len(sample), device=sample.device))
        for name, images in (("sample", sample), ("target", target)):
            images = to_float64(images)
            self.add(f"{name}_sum", images.sum(dim=0))
            self.add(f"{name}_square", images.square().sum(dim=0))

    def compute(self) -> dict[str, float]:
        sums = self.sums
        num_frames, total = sums["num_frames"], sums["smoke_weight"] + sums["background_weight"]
        ratios = {
            "masked_mse": (sums["smoke_error"], sums["smoke_weight"]),
            "background_mse": (sums["background_error"], sums["background_weight"]),
            "mse": (sums["smoke_error"] + sums["background_error"], total),
            "psnr": (sums["psnr"], num_frames),
            "ssim": (sums["ssim"], num_frames),
            "diversity": (self._variance("sample"), self._variance("target")),
            "coverage": (sums["smoke_weight"], total),
        }
        figures = {name: float(part / whole) for name, (part, whole) in ratios.items() if whole > 0}
        return {"num_frames": int(num_frames)} | figures

    def _variance(self, name: str) -> torch.Tensor:
        """Variance over frames, averaged over pixels and channels."""
        num_frames = self.sums["num_frames"]
        mean = self.sums[f"{name}_sum"] / num_frames
        return (self.sums[f"{name}_square"] / num_frames - mean.square()).mean()
