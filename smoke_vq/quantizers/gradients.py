"""How the gradient passes from the codes to the latents."""

import torch


class StraightThrough(torch.autograd.Function):
    """Returns the codes; the gradient passes unchanged to the latents (van den Oord et al., 2017, section 3.2).

    The usual `z + (e - z).detach()` returns codes with a rounding error; this returns them unchanged, so that decoding
    stored indices gives exactly the same image.
    """

    @staticmethod
    def forward(ctx, latents: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        return codes.clone()

    @staticmethod
    def backward(ctx, gradient: torch.Tensor):
        return gradient, None
