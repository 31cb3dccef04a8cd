"""The documentation site builds without a warning; links and anchors of all pages lead somewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # of mkdocs-material, about its own future
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0 and "WARNING" not in ended.stderr, ended.stderr
    reference = (tmp_path / "reference/models/index.html").read_text()
    assert "smoke_vq.models.vqvae.SmokeVQVAE.decode_indices" in reference
    assert (tmp_path / "model_cards/smoke_vqvae_nano/reconstructions.png").is_file()
