"""Possible futures of one plume: continuations of the same state whose source has other noise.

A forecast of a plume can be compared with them as samples of the true distribution of its futures.
"""

from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import torch

from .parameters import draw_parameters
from .recording import PlumeSettings, background_image, new_solver, one_thread, view
from .solver import PlumeSolver
from .source import ContinuedSource

_NUM_NOISE_SEEDS = 2**32 - 1  # torch's CPU generator uses 32 bits, and the source adds 1 to the seed


@dataclass
class Futures:
    """A plume up to a frame, and continuations from there.

    seed: seed of the plume.
    start: number of observed frames, and thus the number of the first continued frame.
    past_image, past_alpha: the observed frames, (start, size, size, 3) and (start, size, size) uint8.
    image, alpha: M members of T frames, (M, T, size, size, 3) and (M, T, size, size) uint8. Member 0 is the plume
        itself.
    params: fields of `PlumeParameters` of the plume by name.
    """

    seed: int
    start: int
    past_image: np.ndarray
    past_alpha: np.ndarray
    image: np.ndarray
    alpha: np.ndarray
    params: dict[str, float | int]


def simulate_futures(
    seed: int,
    start: int,
    num_members: int,
    num_frames: int,
    settings: PlumeSettings,
    device: torch.device | str = "cpu",
) -> Futures:
    """Simulate a plume, and continue it several times from the state before frame `start`.

    All members have the state, the parameters, the wind and the light of the plume. The noise of their inflow is drawn
    anew, with `noise_seed`, given the noise of the last observed frame (see `ContinuedSource`): it changes without a
    jump and is nearly independent of the plume's after five frames. The plume is then as likely as any other member.

    Member 0 is the plume itself: its frames have the same bits as those of `simulate_plumes([seed], settings, device)`.
    Members are simulated one by one on any device, so that on one machine a member is a function of seed, start and
    member, and does not depend on the other members.

    Args:
        seed: seed of the plume, from 0 to 2**32 - 2.
        start: number of observed frames, at least 1.
        num_members: number of continuations, at least 1.
        num_frames: frames of each continuation, at least 1.
        settings: size, dimensions and background; `settings.num_frames` is not used.
        device: "cpu" or "cuda".

    Raises:
        ValueError: a number is below 1.
    """
    for name, value in (("start", start), ("num_members", num_members), ("num_frames", num_frames)):
        if value < 1:
            raise ValueError(f"{name} is {value}: expected at least 1.")
    plume = draw_parameters(seed)
    background = background_image(settings.background, settings.size).to(device)

    def film(solver: PlumeSolver, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The next frames, (T, size, size, 3) and (T, size, size)."""
        frames = []
        for _ in range(count):
            solver.step()
            frames.append(view(solver, [plume], [0], settings, background))
        images, alphas = zip(*frames, strict=True)
        return np.concatenate(images), np.concatenate(alphas)

    with one_thread(), torch.no_grad():
        solver = new_solver([plume], settings, device)
        for _ in range(plume.warmup):
            solver.step()
        past_image, past_alpha = film(solver, start)
        state = solver.state()
        members = [film(solver, num_frames)]
        for member in range(1, num_members):
            other = new_solver([replace(plume, seed=noise_seed(seed, start, member))], settings, device)
            other.source = ContinuedSource(solver.source, other.source, state.time - other.dt)
            other.load_state(state)
            members.append(film(other, num_frames))
    image, alpha = (np.stack(frames) for frames in zip(*members, strict=True))
    return Futures(seed, start, past_image, past_alpha, image, alpha, plume.to_dict())


def noise_seed(seed: int, start: int, member: int) -> int:
    """Seed of the noise of a member's source, as `PlumeParameters.seed`, from 0 to 2**32 - 2.

    It is the seed of the plume for member 0. For other members, it is the number in the first 8 bytes (big-endian) of
    the SHA-256 hash of the text "seed start member" in decimal digits, modulo 2**32 - 1.
    """
    if member == 0:
        return seed
    digest = sha256(f"{seed} {start} {member}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % _NUM_NOISE_SEEDS
