"""Datasets of codes and latents for generative models: encoding frames, decoding codes, statistics of latents."""

from .decode import decode_dataset
from .encode import encode_dataset, model_digest
from .principal_components import PrincipalComponents, principal_components
from .statistics import latent_statistics

__all__ = [
    "PrincipalComponents",
    "decode_dataset",
    "encode_dataset",
    "latent_statistics",
    "model_digest",
    "principal_components",
]
