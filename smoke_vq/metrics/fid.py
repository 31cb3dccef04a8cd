"""FID (Heusel et al., 2017, arXiv:1706.08500) and KID (Binkowski et al., 2018, arXiv:1801.01401) on Inception features.

torchmetrics computes both from the features of all images.
"""

import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from ..pixels import to_images
from .figure import Figure
from .metric import Batch, Metric

INCEPTION_VARIABLE = "SMOKE_VQ_INCEPTION"
_NUM_FEATURES = 2048
_KID_SUBSETS, _KID_SUBSET_SIZE = 100, 1000


class InceptionDistance(Metric):
    """FID and KID between samples and targets. All frames have to be gathered, and have to be the same after `reset`.

    Args:
        network: (B, 3, H, W) uint8 -> (B, F), such as `InceptionFeatures`.
    """

    figures = (
        Figure("fid", "FID", "lower", ".2f", meaning="Frechet inception distance; compare at equal numbers of images"),
        Figure("kid", "KID", "lower", ".5f", meaning="kernel inception distance"),
        Figure("num_images", "images", None, "d", meaning="number of images of FID and KID"),
    )
    min_frames = 2

    def __init__(self, network: Callable[[torch.Tensor], torch.Tensor]):
        super().__init__()
        self.network = network
        self._real: torch.Tensor | None = None  # features of the targets, computed once

    def update(self, batch: Batch) -> None:
        self.keep("fake", self._features(batch.sample))
        if self._real is None:
            self.keep("real", self._features(batch.target))

    def gather(self, gather_frames: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().gather(gather_frames)
        self._real = self.frames.get("real", self._real)  # on all processes, which have to keep the same values

    def compute(self) -> dict[str, float]:
        return fid_and_kid(self._real, self.frames["fake"])

    def _features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.network(to_images(pixel_values).permute(0, 3, 1, 2))


class InceptionFeatures(nn.Module):
    """The Inception network of FID up to its pooling layer of 2048 features, from torch-fidelity.

    Args:
        weights: safetensors file with torchvision's names, with or without the classifier, of any precision (computed
            in float32). By default the file in the environment variable SMOKE_VQ_INCEPTION, or else torch-fidelity's
            download.

    Raises:
        OSError: the file does not exist, or the download failed.
        ValueError: the file holds another network, or torch-fidelity is not installed.
    """

    def __init__(self, weights: str | Path | None = None):
        from torchmetrics.image.fid import NoTrainInceptionV3

        super().__init__()
        path = weights or os.environ.get(INCEPTION_VARIABLE)
        if path is not None and not Path(path).is_file():
            raise FileNotFoundError(f"Inception weights {path} do not exist.")
        with tempfile.TemporaryDirectory() as folder:
            file = None if path is None else _as_pth(Path(path), Path(folder) / "inception.pth")
            try:
                self.network = NoTrainInceptionV3("inception-v3-compat", [str(_NUM_FEATURES)], file)
            except ModuleNotFoundError as error:
                raise ValueError("FID and KID need the package torch-fidelity: pip install torch-fidelity.") from error
            except OSError as error:
                raise OSError(
                    f"FID's Inception weights cannot be downloaded ({error}): name a file with --inception-weights or "
                    f"{INCEPTION_VARIABLE}."
                ) from error
            except RuntimeError as error:
                raise ValueError(f"{path} does not hold the weights of FID's Inception network.") from error

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) uint8 to (B, 2048) float32. The network resizes the images to 299x299."""
        return self.network(images)


def _as_pth(source: Path, path: Path) -> str:
    """Convert a safetensors file to the file that torch-fidelity reads, with a classifier of zeros."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = {name: tensor.float() for name, tensor in load_file(source).items()}
    except SafetensorError as error:
        raise ValueError(f"{source} is damaged or not a safetensors file: {error}.") from error
    weights |= {"fc.weight": torch.zeros(1008, _NUM_FEATURES), "fc.bias": torch.zeros(1008)}
    torch.save(weights, path)
    return str(path)


class _Features(nn.Identity):
    """Replaces the network, because features are already computed."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features


def fid_and_kid(real: torch.Tensor, fake: torch.Tensor) -> dict[str, float]:
    """`fid`, `kid` and `num_images` of the features (N, F) of all images.

    KID is the mean over 100 subsets of 1,000 images, always the same ones, or of all images if there are fewer. Both
    depend on the number of images, FID strongly so below a few thousand: compare only at equal numbers.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    num_images = min(len(real), len(fake))
    if num_images < 2:
        raise ValueError(f"FID and KID need at least 2 images, found {num_images}.")
    network = _Features(real.shape[1])
    fid = FrechetInceptionDistance(network, sync_on_compute=False).to(real.device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance` will save all extracted features")
        kid = KernelInceptionDistance(
            network,
            subsets=_KID_SUBSETS if num_images > _KID_SUBSET_SIZE else 1,
            subset_size=min(num_images, _KID_SUBSET_SIZE),
            sync_on_compute=False,
        )
    for metric in (fid, kid):
        metric.update(real, real=True)
        metric.update(fake, real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mean, _ = kid.compute()
    return {"fid": float(fid.compute()), "kid": float(mean), "num_images": num_images}
