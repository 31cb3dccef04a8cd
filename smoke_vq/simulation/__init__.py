"""Simulation of lit smoke plumes in three dimensions: a solver and a renderer in batched torch for CPU and GPU."""

from .futures import Futures, noise_seed, simulate_futures
from .parameters import PlumeParameters, draw_parameters
from .recording import SIMULATION_VERSION, PlumeSettings, Recording, film, simulate_plumes
from .renderer import render
from .solver import PlumeSolver, SolverState

__all__ = [
    "SIMULATION_VERSION",
    "Futures",
    "PlumeParameters",
    "PlumeSettings",
    "PlumeSolver",
    "Recording",
    "SolverState",
    "draw_parameters",
    "film",
    "noise_seed",
    "render",
    "simulate_futures",
    "simulate_plumes",
]
