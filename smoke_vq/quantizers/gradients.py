"""How the gradient passes from the codes to the latents."""

import torch
import torch.nn.functional as F


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


class Rotation(torch.autograd.Function):
    """Returns the codes; the gradient passes by the rotation trick (Fifty et al., 2024, arXiv:2410.06424, section 4.2).

    The paper writes the code q as `lambda R z`, with lambda = |q| / |z| and the rotation R in the plane of z and q that
    takes the direction u of z to the direction v of q, and holds lambda and R constant: the gradient g at the code
    becomes `lambda R^T g = lambda (g - 2 (g.w) w + 2 (g.v) u)` at the latent, with w = (u + v) / |u + v|. Latents and
    codes are (..., D) and this holds for each vector of length D.

    What the formula leaves open is defined here; every gradient is finite if the squared norms and lambda are:

    - z = 0: the gradient passes unchanged, as in `StraightThrough`.
    - q = 0 and z is not: the gradient is 0, the limit for lambda to 0.
    - z and q are opposite, up to |u + v| <= sqrt(epsilon of the dtype), below which rounding decides the direction of
      w: no plane is distinguished, and w is 0, so that R is the reflection `I - 2 u u^T`.
    """

    @staticmethod
    def forward(ctx, latents: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(latents, codes)
        return codes.clone()

    @staticmethod
    def backward(ctx, gradient: torch.Tensor):
        latents, codes = ctx.saved_tensors
        norm = torch.linalg.vector_norm(latents, dim=-1, keepdim=True)
        at_zero = norm == 0
        norm = norm.masked_fill(at_zero, 1)
        scale = torch.linalg.vector_norm(codes, dim=-1, keepdim=True) / norm
        u, v = latents / norm, F.normalize(codes, dim=-1)
        w = u + v
        w = F.normalize(w, dim=-1).masked_fill(
            torch.linalg.vector_norm(w, dim=-1, keepdim=True) <= torch.finfo(w.dtype).eps ** 0.5, 0
        )
        along_w, along_v = (gradient * w).sum(dim=-1, keepdim=True), (gradient * v).sum(dim=-1, keepdim=True)
        rotated = scale * (gradient - 2 * along_w * w + 2 * along_v * u)
        return torch.where(at_zero, gradient, rotated), None


GRADIENTS: dict[str, type[torch.autograd.Function]] = {
    "straight_through": StraightThrough,
    "rotation": Rotation,
}
