"""Muon for matrices and convolutions, AdamW for all other parameters."""

from collections import defaultdict

import torch
from torch.optim.adamw import adamw

# Coefficients of the quintic iteration of Jordan et al. (2024): they bring singular values near 1 in five steps.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
RMS = 0.2  # of an update, as AdamW's usually is, so that both learn with one learning rate (arXiv:2502.16982, eq. 4)


class Muon(torch.optim.Optimizer):
    """Momentum that is made orthogonal (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon).

    Groups with `orthogonal` have parameters of two or more dimensions; a convolution (O, I, k, k) is a matrix
    (O, I k k). Their update is `lr 0.2 sqrt(max(rows, columns))` times the orthogonal matrix nearest to their Nesterov
    momentum, with decoupled weight decay. All other groups learn by AdamW.

    Args:
        params: groups; `orthogonal` is False where it is not given.
        momentum: decay of the momentum of orthogonal groups; the authors use 0.95.
    """

    def __init__(
        self,
        params,
        lr: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        defaults = dict(lr=lr, momentum=momentum, betas=betas, eps=eps, weight_decay=weight_decay, orthogonal=False)
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            learning = [parameter for parameter in group["params"] if parameter.grad is not None]
            (self._orthogonal_step if group["orthogonal"] else self._adamw_step)(learning, group)
        return loss

    def _adamw_step(self, parameters: list[torch.Tensor], group: dict) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] |= {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
                self.state[parameter]["step"] = torch.zeros(())
        states = [self.state[parameter] for parameter in parameters]
        adamw(
            parameters,
            [parameter.grad for parameter in parameters],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            foreach=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _orthogonal_step(self, parameters: list[torch.Tensor], group: dict) -> None:
        by_shape = defaultdict(list)  # matrices of one shape in one product
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
            momentum = self.state[parameter]["momentum"]
            momentum.lerp_(parameter.grad, 1 - group["momentum"])
            update = parameter.grad.lerp(momentum, group["momentum"]).flatten(1)
            by_shape[update.shape].append((parameter, update))
        for shape, pairs in by_shape.items():
            updates = orthogonalized(torch.stack([update for _, update in pairs]))
            step = group["lr"] * RMS * max(shape) ** 0.5
            for (parameter, _), update in zip(pairs, updates, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(update.view_as(parameter), alpha=step)


def orthogonalized(matrices: torch.Tensor) -> torch.Tensor:
    """U V^T of the singular value decompositions U S V^T, roughly: with singular values between 0.7 and 1.2.

    Args:
        matrices: (B, M, N).

    Returns:
        (B, M, N), bfloat16.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)  # a x + (b g + c g g) x
    return x.mT if tall else x
