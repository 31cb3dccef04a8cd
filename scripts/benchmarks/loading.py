"""Loading a model from a folder."""

import tempfile
from pathlib import Path

from diffusers.models.modeling_utils import ModelMixin

from smoke_vq import SmokeVQVAE
from smoke_vq.downloads.checksums import digest

from .timing import interleaved, report


def loading(device: str, rounds: int) -> None:
    """The full model from a folder, with and without the checks of this library, of which the sha256 takes most."""
    with tempfile.TemporaryDirectory() as name:
        SmokeVQVAE().save_pretrained(name)
        file = Path(name) / "diffusion_pytorch_model.safetensors"
        seconds = interleaved(
            {
                "diffusers alone": lambda: ModelMixin.from_pretrained.__func__(SmokeVQVAE, name),
                "smoke_vq, verify=False": lambda: SmokeVQVAE.from_pretrained(name, verify=False),
                "smoke_vq": lambda: SmokeVQVAE.from_pretrained(name),
                "sha256 of the weights": lambda: digest(file),
            },
            device,
            rounds,
        )
        report("Loading", seconds, "diffusers alone", "MB/s", file.stat().st_size / 1e6)
