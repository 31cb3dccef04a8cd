"""Nearest-code search and quantizer."""

import torch
from diffusers.models.autoencoders.vae import VectorQuantizer as DiffusersQuantizer

from smoke_vq.quantizers import VectorQuantizer
from smoke_vq.quantizers.nearest import nearest_codes

from .timing import interleaved, report


def quantizer(device: str, rounds: int) -> None:
    """Nearest-code search, and forward and backward, for 64 images of the full model: 1024 codes, D = 256."""
    ours = VectorQuantizer(1024, 256).to(device)
    theirs = DiffusersQuantizer(1024, 256, beta=0.1, legacy=False).to(device)
    theirs.embedding.weight.data.copy_(ours.codebook.data)
    latents = torch.randn(64, 256, 8, 8, device=device, requires_grad=True)
    rows = latents.detach().permute(0, 2, 3, 1).reshape(-1, 256)

    def ours_step():
        output = ours(latents)
        (output.quantized.sum() + sum(output.losses.values())).backward()

    def theirs_step():
        quantized, loss, _ = theirs(latents)
        (quantized.sum() + loss).backward()

    seconds = interleaved(
        {
            "bare matrix product": lambda: rows @ ours.codebook.detach().t(),
            "smoke_vq search": lambda: nearest_codes(rows, ours.codebook),
            "cdist + argmin": lambda: torch.cdist(rows, ours.codebook.detach()).argmin(1),
            "smoke_vq forward + backward": ours_step,
            "diffusers forward + backward": theirs_step,
        },
        device,
        rounds,
    )
    report("Quantizer, 4096 vectors", seconds, "bare matrix product", "vectors/s", 4096)
