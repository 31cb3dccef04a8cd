"""The dataset card of simulated plumes: what they are, how they were made, and how to make them again."""

import shlex
from pathlib import Path

from ...simulation.parameters import RANGES
from ..folder import write_card

SIZE_CATEGORIES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


def write_plumes_card(output: Path, settings: dict, num_rows: dict[str, int], features) -> None:
    """README.md of the dataset folder `output`.

    Args:
        settings: `PlumesPlan.to_dict()`.
        num_rows: by split.
        features: `datasets.Features`.
    """
    total = sum(num_rows.values())
    write_card(
        output,
        card_text(settings, num_rows),
        features,
        num_rows,
        license="cc0-1.0",
        pretty_name="Simulated smoke plumes",
        tags=["smoke", "simulation", "fluid-dynamics", "video", "synthetic"],
        size_categories=[next((name for limit, name in SIZE_CATEGORIES.items() if total < limit), "1M<n<10M")],
    )


def command(settings: dict) -> str:
    """The command that makes the dataset again."""
    names = (
        "num_frames", "validation_frames", "frames_per_simulation", "size", "dimensions", "background", "seed",
        "validation_seed", "simulations_per_shard", "device",
    )  # fmt: skip
    flags = [word for name in names for word in (f"--{name.replace('_', '-')}", str(settings[name]))]
    return shlex.join(["python", "scripts/simulate_plumes.py", "--output-dir", "plumes", *flags])


def card_text(settings: dict, num_rows: dict[str, int]) -> str:
    size, length = settings["size"], settings["frames_per_simulation"]
    first = {"train": settings["seed"], "validation": settings["validation_seed"]}
    simulations = {split: -(-rows // length) for split, rows in num_rows.items()}
    counts = "\n".join(
        f"| {split} | {simulations[split]} | {rows} | {first[split]} to {first[split] + simulations[split] - 1} |"
        for split, rows in num_rows.items()
    )
    ranges = "\n".join(f"| {name} | {low} to {high} |" for name, (low, high) in RANGES.items())
    grid = "three dimensions" if settings["dimensions"] == 3 else "two dimensions (which looks like ink)"
    return f"""
# Simulated smoke plumes, {size}x{size}

Plumes of smoke that rise, curl and drift, simulated in {grid}, lit by a sun and a sky, in front of a still background
(`{settings["background"]}`). Every frame has its exact opacity, and every plume the parameters that it was made from.

![Some of the plumes](animation.webp)

![Image and alpha at some times](contact_sheet.png)

## Columns

| column | what it is |
|---|---|
| `image` | RGB, {size}x{size}, uint8, sRGB: smoke over the background, mixed in linear light (premultiplied on black) |
| `alpha` | {size}x{size}, uint8: opacity of the smoke; 255 is opaque |
| `sequence_id` | the simulation that the frame belongs to |
| `frame` | its number in the simulation, from 0 |
| `seed` | of the simulation |
| `params` | what was drawn from the seed: arguments of `smoke_vq.simulation.PlumeParameters`, with their units there |

Rows are in order of simulation and of time; a simulation has {length} frames{cut(num_rows, length)}.

| split | simulations | frames | seeds |
|---|---|---|---|
{counts}

A simulation is in one split only, and no seed is in both.

## Method

Velocity, density and temperature on one grid: operator splitting as in Stam (1999), MacCormack advection limited by
its neighbours (Selle et al., 2008), an exact pressure projection, buoyancy and vorticity confinement (Fedkiw, Stam and
Jensen, 2001), and an inflow modulated by drifting random modes, which is what makes the plume turbulent. The picture is
the emission-absorption integral along parallel rays, with light marched from above and octaves of multiple scattering
(Wrenninge, 2015). Version {settings["simulation_version"]} of the simulation, device `{settings["device"]}`.

Lengths are shares of the domain's width, velocities 72nds of it a unit of time, rates a unit of time; a frame is two
units of time. `warmup` is the frames before the first that is kept: about half of the recordings begin at the onset.

| parameter | range (of radius, buoyancy and sigma evenly in the logarithm, else uniform) |
|---|---|
{ranges}

One plume in four has an elongated source, one in four a pair of sources, one in four a source that puffs.

```bash
{command(settings)}
```

On one machine the same command gives the same bits, whatever the number of processes; on another, other versions of the
libraries may round differently.

## Limits

A coarse grid (one cell a pixel), one camera, nearly grey smoke, no obstacles and no fire. It is made to look like smoke
and to obey the equations, not to predict the plume of a real stack. Real smoke varies more in colour and light.

## References

- J. Stam, *Stable Fluids*, SIGGRAPH 1999.
- R. Fedkiw, J. Stam and H. W. Jensen, *Visual Simulation of Smoke*, SIGGRAPH 2001.
- A. Selle, R. Fedkiw, B. Kim, Y. Liu and J. Rossignac, *An Unconditionally Stable MacCormack Method*, Journal of
  Scientific Computing 35, 2008.
- M. Wrenninge, *Art-Directable Multiple Volumetric Scattering*, SIGGRAPH 2015 talks.

Licence: CC0 1.0.
"""


def cut(num_rows: dict[str, int], length: int) -> str:
    """A word on simulations that end early."""
    short = [f"{rows % length} in {split}" for split, rows in num_rows.items() if rows % length]
    return f" (the last one {' and '.join(short)})" if short else ""
