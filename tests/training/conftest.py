"""Fixtures of training_runs.py."""

from training_runs import copied_run, data, finished_run, kill_after, objective, quick_revival, train, vgg16_weights  # noqa: F401
