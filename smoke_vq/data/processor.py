"""The image processor: pictures to what a model takes (`pixel_values`, `mask`), and back."""

import os
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from transformers.image_processing_base import ImageProcessingMixin  # noqa: F401  (a pipeline looks for it here)
from transformers.image_processing_utils import BaseImageProcessor, BatchFeature

from .. import pixels
from ..downloads.download import download_files, find_folder, normal_subfolder

CONFIG = "preprocessor_config.json"


class SmokeImageProcessor(BaseImageProcessor):
    """Turns frames into `pixel_values` and back.

    Saves itself as `preprocessor_config.json` beside a model's `config.json`, and loads back from there or the Hub.

    Args:
        size: height and width of the frames that the model was trained on.
        do_resize: bring frames of other sizes to `size` (area averaging down, bicubic up); otherwise refuse them.
    """

    model_input_names = ["pixel_values", "mask"]  # noqa: RUF012  (transformers' name and form)

    def __init__(self, size: int = 64, do_resize: bool = True, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"size expects a positive whole number, found {size!r}.")
        self.size = size
        self.do_resize = do_resize

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike,
        cache_dir: str | os.PathLike | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str | None = None,
        subfolder: str | None = None,
        verify: bool = True,
        **kwargs,
    ) -> "SmokeImageProcessor":
        """Load from a model's folder or its Hub repository; `kwargs` take the place of saved values.

        A download is compared with what the Hub recorded, as a model's is; with the model's `revision` it is of the
        same commit.

        Raises:
            OSError: no such folder, repository, revision or file.
            ValueError: the file is damaged; a revision of a folder.
        """
        subfolder = normal_subfolder(subfolder)
        folder = find_folder(pretrained_model_name_or_path, subfolder, revision)
        if folder is None:
            folder = download_files(
                str(pretrained_model_name_or_path),
                [CONFIG],
                [CONFIG],
                revision=revision,
                subfolder=subfolder,
                token=token,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                verify=verify,
            )
        elif not (folder / CONFIG).is_file():
            raise FileNotFoundError(f"The folder {folder} does not hold {CONFIG}.")
        return super().from_pretrained(folder, **kwargs)

    def preprocess(self, images, alpha=None, return_tensors: str = "pt", **kwargs) -> BatchFeature:
        """Turn pictures into what a model takes.

        Args:
            images: one RGB frame or a list of them (PIL images or (H, W, 3) uint8 arrays), or a (B, H, W, 3) uint8
                array or tensor.
            alpha: opacity of the smoke in the same forms without the channel axis, or None.

        Returns:
            `pixel_values` (B, 3, size, size) in [-1, 1] and `mask` (B, 1, size, size) in [0, 1].

        Raises:
            ValueError: another type, number of channels or, without `do_resize`, size.
        """
        if kwargs:
            raise ValueError(f"Unknown keyword {next(iter(kwargs))!r}: expected 'images', 'alpha' or 'return_tensors'.")
        if return_tensors != "pt":
            raise ValueError(f"return_tensors expects 'pt', found {return_tensors!r}.")
        frames = [self._resize(as_array(image, channels=3)) for image in _as_list(images)]
        pixel_values = self.to_pixel_values(torch.stack([torch.from_numpy(frame) for frame in frames]))
        if alpha is not None:
            alpha = torch.stack([torch.from_numpy(self._resize(as_array(a, channels=1))) for a in _as_list(alpha)])
        return BatchFeature({"pixel_values": pixel_values, "mask": self.to_mask(pixel_values, alpha)})

    def to_pixel_values(self, images: torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in [-1, 1]."""
        return pixels.to_pixel_values(images)

    def to_mask(self, pixel_values: torch.Tensor, alpha: torch.Tensor | None = None) -> torch.Tensor:
        """(B, 1, H, W) in [0, 1]: the soft alpha (B, H, W) uint8 if there is one, else 1 where the target is not black.

        From the target alone, never from a reconstruction.
        """
        if alpha is not None:
            return alpha.unsqueeze(1).float().div(255)
        return pixels.smoke_mask(pixel_values).float()

    def postprocess(self, sample: torch.Tensor, output_type: str = "pil"):
        """(B, 3, H, W) in [-1, 1] to a list of PIL images ("pil") or to a (B, H, W, 3) uint8 array ("np")."""
        if output_type not in ("pil", "np"):
            raise ValueError(f"output_type expects 'pil' or 'np', found {output_type!r}.")
        arrays = self.to_images(sample).cpu().numpy()
        return arrays if output_type == "np" else [Image.fromarray(array) for array in arrays]

    def to_images(self, sample: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [-1, 1] to (B, H, W, 3) uint8, what is shown; inverse of `to_pixel_values`."""
        return pixels.to_images(sample)

    def _resize(self, array: np.ndarray) -> np.ndarray:
        if array.shape[:2] == (self.size, self.size):
            return array
        if not self.do_resize:
            raise ValueError(f"Expected frames of {self.size}x{self.size}, found {array.shape[1]}x{array.shape[0]}.")
        return resize(array, self.size)


def resize(array: np.ndarray, size: int) -> np.ndarray:
    """(H, W[, C]) uint8 to (size, size[, C]) uint8: area averaging on the way down, bicubic on the way up."""
    planes = torch.from_numpy(np.atleast_3d(array)).permute(2, 0, 1)[None].float()
    if min(array.shape[:2]) >= size:
        planes = F.interpolate(planes, (size, size), mode="area")
    else:
        planes = F.interpolate(planes, (size, size), mode="bicubic", antialias=True)
    resized = planes[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
    return resized.reshape(resized.shape[: array.ndim])


def as_array(image, channels: int) -> np.ndarray:
    """Return a PIL image, array or tensor as (H, W, 3) or, for one channel, (H, W) uint8; refuse anything else."""
    if isinstance(image, Image.Image):
        expected = {3: "RGB", 1: "L"}[channels]
        if image.mode != expected:
            raise ValueError(f"Expected {expected} images, found one of mode {image.mode}.")
    array = np.asarray(image)
    shape = "(H, W, 3)" if channels == 3 else "(H, W)"
    if array.dtype != np.uint8 or array.ndim != (3 if channels == 3 else 2) or (channels == 3 and array.shape[2] != 3):
        raise ValueError(f"Expected {shape} uint8 images, found {array.dtype} of shape {array.shape}.")
    return np.array(array)  # a copy: PIL's memory is read-only


def _as_list(images) -> Sequence:
    if isinstance(images, Image.Image):
        return [images]
    if isinstance(images, (np.ndarray, torch.Tensor)):
        return images if images.ndim == 4 else [images]
    return images
