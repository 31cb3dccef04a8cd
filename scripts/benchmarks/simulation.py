"""The simulation of plumes."""

import time

import torch
import torch.nn.functional as F

from smoke_vq.preparation.jobs import num_cores, worker_pool
from smoke_vq.simulation import PlumeSettings, PlumeSolver, draw_parameters, render, simulate_plumes
from smoke_vq.simulation.interpolation import Table, Trilinear
from smoke_vq.simulation.recording import one_thread

from .timing import interleaved, report


def simulation(device: str, rounds: int) -> None:
    """Interpolation relative to grid_sample, the parts of one step of 48x80x72 cells, and frames per second."""
    plumes = [draw_parameters(seed) for seed in range(32 if device == "cuda" else 1)]
    with one_thread(), torch.no_grad():
        solver = PlumeSolver(plumes, device=device)
        for _ in range(8):
            solver.step()
        fields = solver.pad(torch.cat([solver.velocity, solver.scalars], dim=1))
        shape = fields.shape[2:]
        z, y, x = torch.meshgrid(*(torch.arange(1.0, n - 1, device=device) for n in shape), indexing="ij")
        x, y, z = (axis.expand(len(plumes), -1, -1, -1) - 0.3 for axis in (x, y, z))
        grid = torch.stack([2 * p / (n - 1) - 1 for p, n in zip((x, y, z), shape[::-1], strict=True)], dim=-1)
        table, points = Table(fields), Trilinear(x, y, z, shape)
        flat = points.base
        rows = table.rows.contiguous()
        seconds = interleaved(
            {
                "eight bare gathers": lambda: [rows.index_select(0, flat) for _ in range(8)],
                "smoke_vq, corners known": lambda: points(table),
                "smoke_vq, corners found": lambda: Trilinear(x, y, z, shape)(table),
                "grid_sample": lambda: F.grid_sample(fields, grid, align_corners=True, padding_mode="border"),
            },
            device,
            rounds,
        )
        cells = "48x80x72 cells" if device == "cpu" else f"{len(plumes)} x 48x80x72 cells"
        report(f"Trilinear interpolation of 5 fields, {cells}", seconds, "eight bare gathers")
        seconds = interleaved(
            {
                "advection": solver.advect,
                "source and diffusion": solver.add_smoke,
                "forces": solver.add_forces,
                "projection": lambda: solver.project(solver.velocity, solver.wind_x, solver.wind_z),
                "rendering": lambda: render(solver.density, plumes),
            },
            device,
            rounds,
        )
    total = sum(seconds.values())
    print(f"\nOne simulated frame, {cells}, one {'thread' if device == 'cpu' else 'GPU'}")
    for name, value in seconds.items():
        print(f"  {name:34s} {value / len(plumes) * 1e3:9.2f} ms  {value / total:6.0%}")
    print(f"  {'total':34s} {total / len(plumes) * 1e3:9.2f} ms")
    processes, settings = num_cores() if device == "cpu" else 1, PlumeSettings(num_frames=32)
    seeds = list(range(2 * processes)) if device == "cpu" else list(range(64))
    if device == "cpu":
        with worker_pool(simulate_plumes, processes) as pool:
            short = PlumeSettings(num_frames=1, dimensions=2)  # starts the processes
            list(pool.map(simulate_plumes, [[seed] for seed in seeds], [short] * len(seeds)))
            start = time.perf_counter()
            list(pool.map(simulate_plumes, [[seed] for seed in seeds], [settings] * len(seeds)))
            elapsed = time.perf_counter() - start
    else:
        start = time.perf_counter()
        simulate_plumes(seeds, settings, device)
        elapsed = time.perf_counter() - start
    steps = sum(settings.num_frames + draw_parameters(seed).warmup for seed in seeds)
    frames = settings.num_frames * len(seeds)
    print(
        f"\n{frames} frames of {len(seeds)} simulations on {processes} process(es), warm-up included: "
        f"{frames / elapsed:.1f} frames/s, {elapsed / frames * 1e3:.0f} ms per frame, "
        f"{elapsed / steps * 1e3:.0f} ms per step"
    )
