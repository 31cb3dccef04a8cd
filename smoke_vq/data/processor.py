"""The image processor: converts frames to `pixel_values` and `mask`, and outputs back to images."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, PreTrainedConfig
from transformers.image_processing_base import ImageProcessingMixin  # noqa: F401  (a pipeline looks for it here)
from transformers.image_processing_utils import BaseImageProcessor, BatchFeature

from .. import pixels
from ..downloads.checksums import compare_checksums, record_checksums, take_checksums
from ..downloads.download import DOWNLOAD_KEYWORDS, download_files, find_folder, normal_subfolder
from ..layout import PROCESSOR, PROCESSOR_CODE
from ..limits import check_image_size, read_json
from ..remote_code import auto_map, write_code
from ..tensors import check_maps
from .images import as_frame


class SmokeImageProcessor(BaseImageProcessor):
    """Converts frames to `pixel_values` and back.

    Saved as `preprocessor_config.json` beside a model's `config.json`; loaded from there or from the Hub, also by
    `transformers.AutoImageProcessor` once this class is imported, or with `trust_remote_code=True`.

    Args:
        size: height and width of the frames that the model was trained on, as one number or as
            {"height": 64, "width": 64}, which is how it is saved. Only square frames are supported.
        do_resize: resize frames of other sizes (area averaging down, bicubic up); otherwise refuse them.
        num_channels: 3, or 1 for a model of grey frames, such as infrared: it gets the mean of the channels, and its
            outputs become images of three equal channels.
    """

    model_input_names = ["pixel_values", "mask"]  # noqa: RUF012  (transformers' name and form)

    def __init__(self, size: int | Mapping[str, int] = 64, do_resize: bool = True, num_channels: int = 3, **kwargs):
        super().__init__(**kwargs)
        height, width = (size.get("height"), size.get("width")) if isinstance(size, Mapping) else (size, size)
        if type(height) is not int or height < 1 or width != height:
            raise ValueError(
                f"size expects a positive whole number, or 'height' and 'width' that are equal, found {size!r}."
            )
        check_image_size(width, height, "size")
        if num_channels not in (1, 3):
            raise ValueError(f"num_channels expects 3 for RGB or 1 for grey frames, found {num_channels!r}.")
        self.size = {"height": height, "width": width}
        self.do_resize = do_resize
        self.num_channels = num_channels

    @classmethod
    def for_model(cls, config: Mapping) -> "SmokeImageProcessor":
        """The processor of an autoencoder's frames, from the size and channels in its configuration."""
        return cls(size=config["sample_size"], num_channels=1 if config["in_channels"] == 1 else 3)

    @property
    def height(self) -> int:
        """Height and width, in pixels."""
        return self.size["height"]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs) -> "SmokeImageProcessor":
        """Load from a model's folder or its Hub repository.

        A download is verified like that of a model, and with the model's `revision` it comes from the same commit.

        Args:
            kwargs: `subfolder`, `revision`, `token`, `cache_dir`, `force_download`, `local_files_only` and `verify` as
                for a model; all others override saved values.

        Raises:
            OSError: the folder, repository, revision or file does not exist.
            ValueError: the file is damaged, or a revision of a local folder is requested.
        """
        subfolder = normal_subfolder(kwargs.pop("subfolder", None))
        download = {key: kwargs.pop(key) for key in DOWNLOAD_KEYWORDS & set(kwargs)}
        verify = download.get("verify", True)
        folder = find_folder(pretrained_model_name_or_path, subfolder, download.get("revision"))
        if folder is None:
            name = str(pretrained_model_name_or_path)
            folder = download_files(name, [PROCESSOR], [PROCESSOR], subfolder=subfolder, **download)
        elif not (folder / PROCESSOR).is_file():
            raise FileNotFoundError(f"The folder {folder} does not hold {PROCESSOR}.")
        name = f"The {PROCESSOR} of {pretrained_model_name_or_path}"
        settings = read_json(folder / PROCESSOR, name)
        if not isinstance(settings, dict) or settings.get("image_processor_type", cls.__name__) != cls.__name__:
            raise ValueError(f"{name} does not hold the settings of a {cls.__name__}.")
        if verify:
            compare_checksums(folder, [PROCESSOR], str(pretrained_model_name_or_path))
        return super().from_pretrained(folder, **kwargs)

    def to_dict(self) -> dict:
        return super().to_dict() | {"auto_map": auto_map("AutoImageProcessor", type(self), PROCESSOR_CODE)}

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs) -> list[str]:
        """Save the processor, and a file by which `AutoImageProcessor` finds its class."""
        folder = Path(save_directory)
        checksums = take_checksums(folder)
        saved = super().save_pretrained(save_directory, **kwargs)
        write_code(type(self), folder / PROCESSOR_CODE)
        record_checksums(folder, [PROCESSOR, PROCESSOR_CODE], checksums)
        return saved

    def preprocess(self, images, alpha=None, return_tensors: str = "pt", **kwargs) -> BatchFeature:
        """Convert frames to `pixel_values` and `mask`.

        Args:
            images: one RGB or grey frame or a list of them (PIL images, or (H, W, 3) or (H, W) uint8 arrays), or a
                (B, H, W, 3) uint8 array or tensor. Grey frames become RGB frames of three equal channels.
            alpha: opacity of the smoke in the same forms without the channel axis, or None.

        Returns:
            `pixel_values` (B, C, H, W) in [-1, 1], where C is `num_channels`, and `mask` (B, 1, H, W) in [0, 1].

        Raises:
            ValueError: no images; another type, number of channels or, without `do_resize`, size; another number of
                alphas.
        """
        if kwargs:
            raise ValueError(f"Unknown keyword {next(iter(kwargs))!r}: expected 'images', 'alpha' or 'return_tensors'.")
        if return_tensors != "pt":
            raise ValueError(f"return_tensors expects 'pt', found {return_tensors!r}.")
        images = self._stack(images, channels=3)
        if alpha is not None:
            alpha = self._stack(alpha, channels=1)
            if len(alpha) != len(images):
                raise ValueError(f"Expected one alpha per image, found {len(alpha)} for {len(images)} image(s).")
        return BatchFeature(self.to_batch(images, alpha))

    def to_batch(
        self, images: torch.Tensor, alpha: torch.Tensor | None = None, mirror: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """`pixel_values` and `mask`, as `to_pixel_values` and `to_mask` give them, in half the time.

        Args:
            images: (B, ..., H, W, 3) uint8.
            alpha: (B, ..., H, W) uint8, or None.
            mirror: (B,) bool, which images to mirror left and right; None mirrors none.
        """
        planes = pixels.to_planes(images, mirror)
        pixel_values = pixels.from_planes(planes, grey=self.num_channels == 1)
        if alpha is not None:
            mask = self.to_mask(pixel_values, pixels.to_planes(alpha.unsqueeze(-1), mirror).squeeze(-3))
        elif self.num_channels == 1:
            mask = self.to_mask(pixel_values)
        else:
            mask = pixels.smoke_of_planes(planes).float()
        return {"pixel_values": pixel_values, "mask": mask}

    def to_pixel_values(self, images: torch.Tensor) -> torch.Tensor:
        """(..., H, W, 3) uint8 to (..., C, H, W) float32 in [-1, 1]."""
        return pixels.to_pixel_values(images, grey=self.num_channels == 1)

    def to_mask(self, pixel_values: torch.Tensor, alpha: torch.Tensor | None = None) -> torch.Tensor:
        """The mask (..., 1, H, W) in [0, 1] of a target (..., 3, H, W), never of a reconstruction.

        The soft alpha (..., H, W) uint8 if there is one, otherwise 1 where the target is not black.
        """
        if alpha is not None:
            return alpha.unsqueeze(-3).float().div(255)
        return pixels.smoke_mask(pixel_values).float()

    def postprocess(self, sample: torch.Tensor, output_type: str = "pil"):
        """(B, C, H, W) in [-1, 1] to a list of PIL images ("pil") or to a (B, H, W, 3) uint8 array ("np").

        Values outside the range are clamped to it.

        Raises:
            ValueError: another type or shape, or NaN.
        """
        if output_type not in ("pil", "np"):
            raise ValueError(f"output_type expects 'pil' or 'np', found {output_type!r}.")
        check_maps(sample, "a sample", self.num_channels, "H, W")
        if sample.isnan().any():
            raise ValueError("Expected a sample in [-1, 1], found NaN.")
        arrays = self.to_images(sample).cpu().numpy()
        return arrays if output_type == "np" else [Image.fromarray(array) for array in arrays]

    def to_images(self, sample: torch.Tensor) -> torch.Tensor:
        """(..., C, H, W) in [-1, 1] to (..., H, W, 3) uint8, clamped; the inverse of `to_pixel_values`."""
        return pixels.to_images(sample)

    def _stack(self, images, channels: int) -> torch.Tensor:
        axes = 3 if channels == 3 else 2  # of a single frame
        is_array = isinstance(images, (np.ndarray, torch.Tensor))
        if isinstance(images, Image.Image) or (is_array and images.ndim <= axes):
            images = [images]
        elif not isinstance(images, Iterable) or isinstance(images, (str, bytes, Mapping)):
            raise ValueError(f"Expected images, arrays or tensors, found {type(images).__name__}.")
        frames = [as_frame(image, channels, self.height, self.do_resize) for image in images]
        if not frames:
            raise ValueError(f"Expected at least one {'image' if channels == 3 else 'alpha'}, found none.")
        return torch.stack([torch.from_numpy(frame) for frame in frames])


class _SmokeConfig(PreTrainedConfig):
    """Only a key: AutoImageProcessor finds classes of other libraries by a configuration class."""

    model_type = "smoke_vq"


_BACKENDS = {"torchvision": SmokeImageProcessor, "pil": SmokeImageProcessor}
AutoImageProcessor.register(_SmokeConfig, image_processor_classes=_BACKENDS, exist_ok=True)
