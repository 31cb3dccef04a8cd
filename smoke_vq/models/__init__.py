"""The networks: diffusers models that are saved to and loaded from a folder or the Hub."""

from .auto import AutoSmokeModel
from .decoder import Decoder
from .discriminator import PatchDiscriminator
from .encoder import Encoder
from .flow_transformer import SmokeFlowTransformer, SmokeFlowTransformerOutput
from .latent_projection import LatentProjection, LatentProjectionOutput
from .pretrained import PretrainedModel
from .vqvae import SmokeVQGAN, SmokeVQVAE, SmokeVQVAEEncoderOutput, SmokeVQVAEOutput

__all__ = [
    "AutoSmokeModel",
    "Decoder",
    "Encoder",
    "LatentProjection",
    "LatentProjectionOutput",
    "PatchDiscriminator",
    "PretrainedModel",
    "SmokeFlowTransformer",
    "SmokeFlowTransformerOutput",
    "SmokeVQGAN",
    "SmokeVQVAE",
    "SmokeVQVAEEncoderOutput",
    "SmokeVQVAEOutput",
]
