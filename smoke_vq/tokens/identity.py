"""SHA-256 of weights, by which codes, projections and forecasters know the autoencoder that they belong to."""

import hashlib

import torch
from torch import nn

_DECODER = "decoder."


def model_digest(model: nn.Module) -> str:
    """SHA-256 of all weights of a model, in float32: the same for a file, its shards and a copy on the Hub."""
    return _digest(model.state_dict())


def latents_digest(autoencoder: nn.Module) -> str:
    """SHA-256 of the weights of encoder and quantizer, which make latents and codes, in float32.

    Autoencoders that differ only in their decoder share it: each of them decodes the codes of the others.
    """
    weights = autoencoder.state_dict()
    return _digest({name: tensor for name, tensor in weights.items() if not name.startswith(_DECODER)})


def makes_latents(autoencoder: nn.Module, sha256: str | None) -> bool:
    """Whether `sha256` is the `latents_digest` of this autoencoder or, as in older files, its `model_digest`."""
    return sha256 == latents_digest(autoencoder) or sha256 == model_digest(autoencoder)


def _digest(weights: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
