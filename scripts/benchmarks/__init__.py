"""The parts of scripts/benchmark.py: functions (device, rounds) that measure and print."""

from .adversarial import adversarial
from .browser import browser
from .data import data
from .forecast import forecast
from .growth import growth
from .kmeans import kmeans_start
from .loading import loading
from .models import models
from .preparation import preparation
from .quantizer import quantizer
from .quantizers import quantizers
from .simulation import simulation
from .startup import startup
from .tokens import tokens
from .training import training, training_full
from .updates import updates
from .validation import validation

PARTS = {
    "quantizer": quantizer,
    "quantizers": quantizers,
    "kmeans": kmeans_start,
    "training": training,
    "training_full": training_full,
    "updates": updates,
    "validation": validation,
    "adversarial": adversarial,
    "data": data,
    "simulation": simulation,
    "preparation": preparation,
    "startup": startup,
    "loading": loading,
    "tokens": tokens,
    "forecast": forecast,
    "models": models,
    "browser": browser,
    "growth": growth,
}
