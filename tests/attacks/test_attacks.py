"""A few of the attacks of `kill_training.py`, which runs all of them."""

import json
from pathlib import Path

from training_runs import fork


def test_a_training_that_is_killed_while_it_writes_is_resumed(tmp_path):
    command = [Path(__file__).with_name("kill_training.py"), "--output-dir", tmp_path / "attacks", "--every", "40"]
    ended = fork([*command, "--recipes", "vqvae", "--checkpoints", "background", "--ways", "kill", "torn"])
    report = json.loads((tmp_path / "attacks/report.json").read_text())
    assert len(report) >= 6 and not [attack for attack in report if attack["wrong"]], ended.out
