"""The dataset card of simulated plumes: contents, method, and the command that reproduces the dataset."""

import shlex
from pathlib import Path

from ...simulation.parameters import RANGES
from ..folder import write_card

_SIZE_CATEGORIES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


def write_plume_card(output: Path, settings: dict, num_rows: dict[str, int], features) -> None:
    """Write README.md of the dataset folder `output`.

    Args:
        settings: `PlumePlan.to_dict()`.
        num_rows: number of rows by split.
        features: `datasets.Features`.
    """
    total = sum(num_rows.values())
    write_card(
        output,
        _card_text(settings, num_rows),
        features,
        num_rows,
        license="cc0-1.0",
        pretty_name="Simulated smoke plumes",
        tags=["smoke", "simulation", "fluid-dynamics", "video", "synthetic"],
        size_categories=[next((name for limit, name in _SIZE_CATEGORIES.items() if total < limit), "1M<n<10M")],
    )


def _command(settings: dict) -> str:
    """The command that reproduces the dataset."""
    names = (
        "num_frames", "validation_frames", "frames_per_simulation", "size", "dimensions", "background", "seed",
        "validation_seed", "simulations_per_shard", "device",
    )  # fmt: skip
    flags = [word for name in names for word in (f"--{name.replace('_', '-')}", str(settings[name]))]
    return shlex.join(["python", "scripts/simulate_plumes.py", "--output-dir", "plumes", *flags])


def _card_text(settings: dict, num_rows: dict[str, int]) -> str:
    size, length = settings["size"], settings["frames_per_simulation"]
    first = {"train": settings["seed"], "validation": settings["validation_seed"]}
    simulations = {split: -(-rows // length) for split, rows in num_rows.items()}
    counts = "\n".join(
        f"| {split} | {simulations[split]} | {rows} | {first[split]} to {first[split] + simulations[split] - 1} |"
        for split, rows in num_rows.items()
    )
    ranges = "\n".join(f"| {name} | {low} to {high} |" for name, (low, high) in RANGES.items())
    grid = "three dimensions" if settings["dimensions"] == 3 else "two dimensions (which look more like ink)"
    short = [f"{rows % length} in {split}" for split, rows in num_rows.items() if rows % length]
    last = f" (the last one has {' and '.join(short)})" if short else ""
    return f"""
# Simulated smoke plumes, {size}x{size}

Rising plumes of smoke, simulated in {grid} and rendered with sunlight and skylight in front of a constant background
(`{settings["background"]}`). Every frame comes with its exact opacity and the parameters of its plume.

![A few plumes](animation.webp)

![Image and alpha of a few frames](contact_sheet.png)

## Columns

| column | content |
|---|---|
| `image` | RGB, {size}x{size}, uint8, sRGB: smoke blended with the background in linear light |
| `alpha` | {size}x{size}, uint8: opacity of the smoke, 0 (clear) to 255 (opaque) |
| `sequence_id` | name of the simulation |
| `frame` | number of the frame in its simulation, starting at 0 |
| `seed` | seed of the simulation |
| `params` | parameters drawn from the seed; units are documented in `smoke_vq.simulation.PlumeParameters` |

Rows are sorted by simulation and time. A simulation has {length} frames{last}.

| split | simulations | frames | seeds |
|---|---|---|---|
{counts}

The splits share no simulation and no seed.

## Method

The solver keeps velocity, density and temperature on one grid and uses operator splitting (Stam, 1999), MacCormack
advection with a limiter (Selle et al., 2008), an exact pressure projection, and buoyancy and vorticity confinement
(Fedkiw, Stam and Jensen, 2001). The inflow is modulated by drifting random modes, which make the plume turbulent. The
renderer computes the emission-absorption integral along parallel rays, with light that is marched from above and
octaves of multiple scattering (Wrenninge, 2015). Version {settings["simulation_version"]} of the simulation, device
`{settings["device"]}`.

Lengths are fractions of the width of the domain, velocities are in 72nds of the width per unit of time, and rates are
per unit of time; one frame is two units of time. `warmup` is the number of frames before the first recorded one: about
half of the recordings show the onset of the plume. radius, buoyancy and sigma are drawn log-uniformly, all other
parameters uniformly.

| parameter | range |
|---|---|
{ranges}

A quarter of the plumes have an elongated source, a quarter two sources, and a quarter a pulsating source.

```bash
{_command(settings)}
```

On the same machine, the command reproduces the dataset bit by bit with any number of processes. Other hardware or
library versions may round differently.

## Limits

The grid is coarse (one cell per pixel), there is one camera, the smoke is nearly grey, and there are no obstacles and
no fire. The plumes obey the equations and look like smoke, but do not predict the plume of a real stack. Real smoke
varies more in colour and light.

## References

- J. Stam, *Stable Fluids*, SIGGRAPH 1999.
- R. Fedkiw, J. Stam and H. W. Jensen, *Visual Simulation of Smoke*, SIGGRAPH 2001.
- A. Selle, R. Fedkiw, B. Kim, Y. Liu and J. Rossignac, *An Unconditionally Stable MacCormack Method*, Journal of
  Scientific Computing 35, 2008.
- M. Wrenninge, *Art-Directable Multiple Volumetric Scattering*, SIGGRAPH 2015 talks.

Licence: CC0 1.0.
"""
