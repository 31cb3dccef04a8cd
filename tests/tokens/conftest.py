"""See training_runs.py."""

from training_runs import data, finished_run  # noqa: F401
