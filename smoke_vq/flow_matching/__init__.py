"""Flow matching: couplings (paths from a source to the data) and samplers. Pure mathematics, without a network."""

from .couplings import COUPLINGS, BridgeCoupling, Coupling, LinearCoupling, RegressionCoupling, make_coupling
from .samplers import SAMPLERS, sample

__all__ = [
    "COUPLINGS",
    "SAMPLERS",
    "BridgeCoupling",
    "Coupling",
    "LinearCoupling",
    "RegressionCoupling",
    "make_coupling",
    "sample",
]
