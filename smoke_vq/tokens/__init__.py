"""Datasets of codes and latents for generative models: encoding frames, decoding codes, statistics of latents."""

from .decode import decode_dataset
from .encode import encode_dataset, model_digest
from .statistics import latent_statistics

__all__ = ["decode_dataset", "encode_dataset", "latent_statistics", "model_digest"]
