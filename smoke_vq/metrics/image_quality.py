"""How close reconstructions are to their frames: error on smoke and on background, PSNR, SSIM, diversity."""

import torch

from .accumulator import Accumulator

DATA_RANGE = 2.0  # pixels are in [-1, 1]
SSIM_MARGIN = 5  # the 11x11 windows that lie inside the frame, as in Wang et al. and scikit-image; torchmetrics pads
SMALLEST_MSE = 1e-10  # a perfect frame has a PSNR of 106 dB instead of infinity


class ImageQuality(Accumulator):
    """Reconstruction quality over a dataset; errors in squared units of [-1, 1].

    - `masked_mse`: `sum(m * mean_c(e^2)) / sum(m)` over all pixels of the dataset, the error on smoke;
    - `background_mse`: the same with `1 - m`;
    - `mse`: over all pixels;
    - `psnr`: dB, mean over frames of `10 log10(4 / mse)`;
    - `ssim`: mean over frames of frames in [0, 1] (Wang et al., 2004: 11x11 Gaussian window of 1.5 pixels);
    - `diversity`: variance over frames of the outputs, divided by that of the targets; near 0 when all look alike.
    """

    def update(self, sample: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """sample, target: (B, C, H, W) in [-1, 1]; mask: (B, 1, H, W) in [0, 1].

        Returns `mse`, `psnr` and `ssim` of each frame, (B,).
        """
        from torchmetrics.functional.image import structural_similarity_index_measure

        sample, target, mask = sample.float().clamp(-1, 1), target.float(), mask.float()
        error = (sample - target).square().mean(dim=1, keepdim=True)
        self.add("smoke_error", (mask * error).sum(dtype=torch.float64))
        self.add("smoke_weight", mask.sum(dtype=torch.float64))
        self.add("background_error", ((1 - mask) * error).sum(dtype=torch.float64))
        self.add("background_weight", (1 - mask).sum(dtype=torch.float64))
        mse = error.flatten(1).mean(dim=1)
        psnr = 10 * torch.log10(DATA_RANGE**2 / mse.clamp(min=SMALLEST_MSE))
        self.add("psnr", psnr.sum())
        # In [0, 1]: SSIM's luminance term compares intensities, and is not indifferent to where black lies.
        _, ssim = structural_similarity_index_measure(
            sample / 2 + 0.5, target / 2 + 0.5, data_range=1.0, reduction="none", return_full_image=True
        )
        ssim = ssim[..., SSIM_MARGIN:-SSIM_MARGIN, SSIM_MARGIN:-SSIM_MARGIN].flatten(1).mean(dim=1)
        self.add("ssim", ssim.sum())
        self.add("frames", torch.tensor(len(sample), device=sample.device))
        for name, images in (("sample", sample), ("target", target)):
            self.add(f"{name}_sum", images.sum(dim=0, dtype=torch.float64))
            self.add(f"{name}_square", images.double().square().sum(dim=0))
        return {"mse": mse, "psnr": psnr, "ssim": ssim}

    def compute(self) -> dict[str, float]:
        sums = self.sums
        frames = sums["frames"]
        total = sums["smoke_weight"] + sums["background_weight"]
        result = {
            "masked_mse": sums["smoke_error"] / sums["smoke_weight"],
            "background_mse": sums["background_error"] / sums["background_weight"],
            "mse": (sums["smoke_error"] + sums["background_error"]) / total,
            "psnr": sums["psnr"] / frames,
            "ssim": sums["ssim"] / frames,
            "diversity": self._variance("sample") / self._variance("target"),
        }
        return {name: float(value) for name, value in result.items()} | {"num_frames": int(frames)}

    def _variance(self, name: str) -> torch.Tensor:
        frames = self.sums["frames"]
        return (self.sums[f"{name}_square"] / frames - (self.sums[f"{name}_sum"] / frames).square()).mean()
