"""FID (Heusel et al., 2017, arXiv:1706.08500) and KID (Binkowski et al., 2018, arXiv:1801.01401) on Inception features.

The features of a dataset are computed once and compared with those of several models; torchmetrics does the rest.
"""

import os
import tempfile
import warnings
from pathlib import Path

import torch
from torch import nn

INCEPTION_VARIABLE = "SMOKE_VQ_INCEPTION"
NUM_FEATURES = 2048
KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000


class InceptionFeatures(nn.Module):
    """The Inception network of FID up to its pooling layer of 2048 features: torch-fidelity's, which torchmetrics uses.

    Args:
        weights: a safetensors file in torchvision's names, without the classifier (half precision will do; it is
            computed in float32); None for what the environment variable SMOKE_VQ_INCEPTION names, or else for
            torch-fidelity's download.

    Raises:
        OSError: no such file, or nothing to be had from the download.
        ValueError: a file that holds another network, or torch-fidelity is not installed.
    """

    def __init__(self, weights: str | Path | None = None):
        from torchmetrics.image.fid import NoTrainInceptionV3

        super().__init__()
        path = weights or os.environ.get(INCEPTION_VARIABLE)
        if path is not None and not Path(path).is_file():
            raise FileNotFoundError(f"There is no file of Inception weights at {path}.")
        with tempfile.TemporaryDirectory() as folder:
            file = None if path is None else _as_pth(Path(path), Path(folder) / "inception.pth")
            try:
                self.network = NoTrainInceptionV3("inception-v3-compat", [str(NUM_FEATURES)], file)
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
        """(B, 3, H, W) uint8 to (B, 2048) float32; the network brings them to 299x299."""
        return self.network(images)


def _as_pth(source: Path, path: Path) -> str:
    """A safetensors file without the classifier as the file that torch-fidelity reads, with a classifier of zeros."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = {name: tensor.float() for name, tensor in load_file(source).items()}
    except SafetensorError as error:
        raise ValueError(f"{source} is no whole safetensors file: {error}.") from error
    weights |= {"fc.weight": torch.zeros(1008, NUM_FEATURES), "fc.bias": torch.zeros(1008)}
    torch.save(weights, path)
    return str(path)


class _Features(nn.Identity):
    """Stands for the network where its features are at hand."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features


def distribution_distances(real: torch.Tensor, fake: torch.Tensor) -> dict[str, float]:
    """`fid`, `kid` and `num_images` of features (N, F), all of them: nothing is gathered here.

    KID is the mean over 100 subsets of 1,000 images, always the same ones, or of all images where there are fewer.
    Both depend on the number of images, FID heavily so below some thousands: compare only at equal numbers.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    num_images = min(len(real), len(fake))
    if num_images < 2:
        raise ValueError(f"FID and KID compare 2 images or more, found {num_images}.")
    network = _Features(real.shape[1])
    fid = FrechetInceptionDistance(network, sync_on_compute=False).to(real.device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance` will save all extracted features")
        kid = KernelInceptionDistance(
            network,
            subsets=KID_SUBSETS if num_images > KID_SUBSET_SIZE else 1,
            subset_size=min(num_images, KID_SUBSET_SIZE),
            sync_on_compute=False,
        )
    for metric in (fid, kid):
        metric.update(real, real=True)
        metric.update(fake, real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mean, _ = kid.compute()
    return {"fid": float(fid.compute()), "kid": float(mean), "num_images": num_images}
