"""A forecast by a pipeline."""

import torch

from smoke_vq import LatentProjection, SmokeFlowTransformer, SmokeForecastPipeline, SmokeVQVAE
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.tokens import latents_digest, model_digest

from .sizes import autoencoder_sizes
from .timing import interleaved, report


def forecast(device: str, rounds: int) -> None:
    """A forecast of 16 frames by the pipeline, against its network and its decoder alone."""
    sizes = autoencoder_sizes(device)
    width = {} if device == "cuda" else {"num_layers": 5, "num_attention_heads": 5, "attention_head_dim": 32}
    samples, steps, frames = (64 if device == "cuda" else 4), 10, 16
    autoencoder = SmokeVQVAE(**sizes).to(device).eval()
    identity = latents_digest(autoencoder)
    projection = LatentProjection(autoencoder.config.latent_channels, 4, autoencoder_sha256=identity).to(device).eval()
    digests = {"autoencoder_sha256": identity, "projection_sha256": model_digest(projection)}
    transformer = SmokeFlowTransformer(**width, **digests).to(device).eval()
    pipeline = SmokeForecastPipeline(autoencoder, transformer, SmokeImageProcessor(), projection)
    past = torch.randint(0, 256, (8, 64, 64, 3), dtype=torch.uint8).numpy()
    noisy, previous = (torch.randn(samples, count, 4, 8, 8, device=device) for count in (frames, 8))
    latents = torch.randn(samples * frames, autoencoder.config.latent_channels, 8, 8, device=device)
    time = torch.zeros(samples, device=device)

    @torch.no_grad()
    def network() -> None:
        for _ in range(steps):
            transformer(noisy, time, previous)

    @torch.no_grad()
    def decoder() -> None:
        for part in latents.split(64):
            autoencoder.decode(part)

    functions = {
        "network and decoder": lambda: (network(), decoder()),
        "network alone": network,
        "decoder alone": decoder,
        "pipeline": lambda: pipeline(past, frames, steps, samples),
    }
    title = f"Forecast of {frames} frames, {samples} samples, {steps} evaluations"
    report(title, interleaved(functions, device, rounds), "network and decoder", "frames/s", samples * frames)
