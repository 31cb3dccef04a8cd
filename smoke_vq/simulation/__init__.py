"""Simulation of lit smoke plumes in three dimensions: a solver and a renderer in batched torch for CPU and GPU."""

from .parameters import PlumeParameters, draw_parameters
from .recording import SIMULATION_VERSION, PlumeSettings, Recording, film, simulate_plumes
from .renderer import render
from .solver import PlumeSolver

__all__ = [
    "SIMULATION_VERSION",
    "PlumeParameters",
    "PlumeSettings",
    "PlumeSolver",
    "Recording",
    "draw_parameters",
    "film",
    "render",
    "simulate_plumes",
]
