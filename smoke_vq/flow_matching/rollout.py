"""Forecasts of latents: the flow is sampled for one chunk of frames after the other."""

import torch
from torch import nn

from .samplers import sample

_AT_ONCE = 64  # forecasts that the network makes at a time, so that memory stays bounded


@torch.no_grad()
def rollout(
    transformer: nn.Module,
    past: torch.Tensor,
    num_frames: int,
    num_evaluations: int = 10,
    sampler: str = "euler",
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Predict the latents of the next frames.

    Each chunk has `transformer.config.num_frames` frames, from the last of the past and the chunks before it. With an
    earlier frame, one is drawn anew from everything before the previous frames at each evaluation (Davtyan et al.,
    2023, section 3.2).

    Args:
        transformer: a `SmokeFlowTransformer` in eval mode.
        past: (B, T, C, h, w), the observed frames, normalized, in order of time.
        num_frames: number of frames to predict.
        num_evaluations: evaluations of the network for each chunk, at most; a regression always takes one.
        sampler: a name in `smoke_vq.flow_matching.SAMPLERS`.
        generator: of random numbers, on the CPU or on the device of `past`.

    Returns:
        (B, num_frames, C, h, w).

    Raises:
        ValueError: too few observed frames, another shape, or too few evaluations.
    """
    config, coupling = transformer.config, transformer.coupling
    expected = (config.in_channels, config.sample_size, config.sample_size)
    if past.ndim != 5 or past.shape[2:] != expected:
        raise ValueError(
            f"Expected latents of shape (B, T, {', '.join(map(str, expected))}), found {tuple(past.shape)}."
        )
    least = config.num_previous + config.use_earlier_frame
    if past.shape[1] < least:
        raise ValueError(f"The forecaster needs {least} observed frames or more, found {past.shape[1]}.")
    if num_frames < 1:
        raise ValueError(f"num_frames expects 1 or more, found {num_frames}.")
    if num_evaluations < 1:
        raise ValueError(f"The number of evaluations expects 1 or more, found {num_evaluations}.")
    device = past.device if generator is None else generator.device
    frames = past
    while frames.shape[1] < past.shape[1] + num_frames:
        previous = frames[:, -config.num_previous :]
        last = previous[:, -1:].expand(-1, config.num_frames, -1, -1, -1)
        noise = torch.zeros_like(last)
        if coupling.is_random:
            noise = config.noise_scale * torch.randn(last.shape, generator=generator, device=device).to(past)

        def velocity(x: torch.Tensor, t: torch.Tensor, frames=frames, previous=previous, last=last) -> torch.Tensor:
            earlier = distance = None
            if config.use_earlier_frame:
                num_earlier = frames.shape[1] - config.num_previous
                drawn = torch.randint(num_earlier, (len(x),), generator=generator, device=device).to(past.device)
                earlier = frames[torch.arange(len(x), device=past.device), drawn]
                distance = frames.shape[1] - 1 - drawn
            return coupling.velocity(x, _in_parts(transformer, x, t, previous, earlier, distance), last, t)

        if coupling.is_random:
            chunk = sample(velocity, coupling.start(last, noise), num_evaluations, sampler)
        else:
            chunk = sample(velocity, noise, 1)
        frames = torch.cat([frames, chunk], dim=1)
    return frames[:, past.shape[1] : past.shape[1] + num_frames]


def _in_parts(transformer: nn.Module, *inputs: torch.Tensor | None) -> torch.Tensor:
    """What the transformer predicts from inputs (B, ...), a part of the batch after another."""
    parts = []
    for first in range(0, len(inputs[0]), _AT_ONCE):
        part = [None if one is None else one[first : first + _AT_ONCE] for one in inputs]
        parts.append(transformer(*part).sample)
    return torch.cat(parts)
