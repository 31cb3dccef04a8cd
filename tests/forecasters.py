"""A tiny pipeline of real parts: 16x16 frames, four observed, two predicted at once."""

import copy

import numpy as np
import pytest
import torch

from smoke_vq import LatentProjection, SmokeFlowTransformer, SmokeForecastPipeline, SmokeImageProcessor, SmokeVQVAE
from smoke_vq.tokens import latents_digest, model_digest, statistics_digest

CHANNELS = 3


@pytest.fixture
def make_pipeline(tiny_model):
    """A function (transformer's keywords, with_projection) -> a pipeline whose parts fit each other."""

    def make(with_projection: bool = True, **changes) -> SmokeForecastPipeline:
        torch.manual_seed(1)
        digest, projection, statistics = latents_digest(tiny_model), None, None
        if with_projection:
            projection = LatentProjection(8, CHANNELS, autoencoder_sha256=digest).eval()
        else:
            tiny_model.register_to_config(latents_mean=[0.1] * 8, latents_std=[0.5] * 8)
            statistics = statistics_digest(tiny_model)
        arguments = dict(
            in_channels=CHANNELS if with_projection else 8, num_previous=4, num_frames=2, num_layers=1,
            num_attention_heads=2, attention_head_dim=8, autoencoder_sha256=digest,
            projection_sha256=model_digest(projection) if with_projection else None, statistics_sha256=statistics,
        )  # fmt: skip
        transformer = SmokeFlowTransformer(**arguments | changes).eval()
        for layer in (transformer.proj_in, transformer.proj_out):  # the noise has no influence before a training
            torch.nn.init.normal_(layer.weight, std=0.5)
        return SmokeForecastPipeline(tiny_model, transformer, SmokeImageProcessor(16), projection)

    return make


@pytest.fixture
def other_decoder(tiny_model, tiny_kwargs):
    """The tiny model with another decoder."""
    torch.manual_seed(5)
    model = copy.deepcopy(tiny_model)
    model.decoder.load_state_dict(SmokeVQVAE(**tiny_kwargs).decoder.state_dict())
    return model


@pytest.fixture
def pipeline(make_pipeline):
    return make_pipeline()


@pytest.fixture
def clip() -> np.ndarray:
    """(5, 16, 16, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)


def forecast(pipeline, frames, seed: int = 0, **arguments):
    arguments = {
        "num_frames": 3,
        "num_inference_steps": 2,
        "generator": torch.Generator().manual_seed(seed),
    } | arguments
    return pipeline(frames, **arguments).frames
