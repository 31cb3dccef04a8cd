"""Datasets of codes and latents for generative models: encoding frames, decoding codes, statistics of latents."""

from .decode import decode_dataset
from .encode import encode_dataset
from .files import is_code_folder
from .identity import latents_digest, makes_latents, model_digest
from .latent_frames import LatentFrames, encode_frames, join_latents, read_latents
from .latent_space import LatentSpace
from .principal_components import PrincipalComponents, principal_components
from .statistics import latent_statistics, statistics_digest

__all__ = [
    "LatentFrames",
    "LatentSpace",
    "PrincipalComponents",
    "decode_dataset",
    "encode_dataset",
    "encode_frames",
    "is_code_folder",
    "join_latents",
    "latent_statistics",
    "latents_digest",
    "makes_latents",
    "model_digest",
    "principal_components",
    "read_latents",
    "statistics_digest",
]
