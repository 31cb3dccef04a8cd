"""Plumes that are simulated on this machine."""

from ...registry import choose
from ...simulation import SIMULATION_VERSION
from .base import Source


class SimulatedSource(Source):
    """The names "simulated:CONFIGURATION" and "simulated", which is the configuration "default"."""

    def matches(self, name: str) -> bool:
        return name.partition(":")[0] == "simulated"

    def check(self, name: str) -> None:
        from ...preparation.plumes.builder import PLUME_CONFIGS

        choose(PLUME_CONFIGS, _configuration(name), "configuration of simulated plumes")

    def open(self, name: str, split: str):
        from ...preparation.plumes.builder import load_simulated  # imports the datasets package

        return load_simulated(_configuration(name), split)

    def revision(self, name: str) -> str:
        """The version of the simulation."""
        return SIMULATION_VERSION

    def describe(self, name: str, published_name: str) -> dict[str, str | None]:
        return {"title": f"simulated plumes ({_configuration(name)})", "license": "cc0-1.0"}


def _configuration(name: str) -> str:
    return name.partition(":")[2] if ":" in name else "default"
