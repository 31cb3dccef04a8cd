"""Flow matching: couplings (paths from a source to the data), samplers, and rollouts of a network."""

from .couplings import COUPLINGS, BridgeCoupling, Coupling, LinearCoupling, RegressionCoupling, make_coupling
from .predictions import PREDICTION_TYPES
from .rollout import rollout
from .samplers import SAMPLERS, sample

__all__ = [
    "COUPLINGS",
    "PREDICTION_TYPES",
    "SAMPLERS",
    "BridgeCoupling",
    "Coupling",
    "LinearCoupling",
    "RegressionCoupling",
    "make_coupling",
    "rollout",
    "sample",
]
