"""`smoke-vq`: every script under one name, from any folder."""

import subprocess
import sys

import pytest
from training_runs import FLAGS, ROOT, fork, smoke

from smoke_vq import SmokeForecastPipeline, SmokeVQGAN, SmokeVQVAE, __version__, cli
from smoke_vq.assets import configurations
from smoke_vq.data.processor import SmokeImageProcessor
from smoke_vq.models.auto import AutoAutoencoder
from smoke_vq.training import VQGANArguments, VQVAEArguments, parse_arguments


@pytest.fixture
def smoke_vq(monkeypatch, capsys, tmp_path):
    """A function (words) -> exit status, output, errors, called in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def smoke_vq(words: str):
        monkeypatch.setattr(sys, "argv", ["smoke-vq", *words.split()])
        monkeypatch.setattr(sys, "path", list(sys.path))
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        return code, *capsys.readouterr()

    return smoke_vq


def test_every_script_is_a_command_that_the_help_names(smoke_vq):
    scripts = {script for group in cli.COMMANDS.values() for _, script, _ in group if script} | {*cli.RECIPES.values()}
    assert scripts == {path.stem for path in (ROOT / "scripts").glob("*.py")}
    code, out, _ = smoke_vq("--help")
    assert code == 0 and out == smoke_vq("")[1]
    assert all(f"  {name} " in out for group in cli.COMMANDS.values() for name, *_ in group)
    assert smoke_vq("--version")[1].strip() == __version__


def test_the_help_loads_no_slow_package():
    code = "import sys; sys.argv[1:] = []; from smoke_vq.cli import main; main()\n"
    code += "print({'torch', 'numpy'} & {*sys.modules})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip().endswith("set()")


def test_a_command_runs_its_script_under_its_own_name(smoke_vq):
    code, out, _ = smoke_vq("evaluate --help")
    assert code == 0 and out.startswith("usage: smoke-vq evaluate ")
    code, _, err = smoke_vq("evaluate --models nano --dataset data --batch-size 0")
    assert (code, err) == (2, "error: batch_size expects 1 or more, found 0.\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("evalute", "error: Unknown command 'evalute': expected one of ["),
        ("train vqgna", "error: Unknown recipe 'vqgna': expected one of ["),
        (
            "train vqvae --config tinny",
            "error: Unknown configuration 'tinny' (did you mean 'tiny'?): expected a YAML file",
        ),
        ("train --config vqgan --max-steps x", "error: Argument --max_steps/--max-steps: invalid int value: 'x'."),
    ],
)
def test_mistakes_are_one_sentence(smoke_vq, words, message):
    code, _, err = smoke_vq(words)
    assert code == 2 and err.startswith(message) and len(err.splitlines()) == 1, err


def test_configurations_have_names():
    assert {"vqvae", "tiny", "nano"} <= configurations("vqvae").keys()
    assert {"vqgan", "tiny"} <= configurations("vqgan").keys() and "compare" not in configurations("vqgan")
    sizes = [parse_arguments(VQVAEArguments, ["--config", name]).recipe.model for name in ("nano", "vqvae_nano")]
    assert sizes[0] == sizes[1] != parse_arguments(VQVAEArguments, ["--config", "vqvae"]).recipe.model
    assert parse_arguments(VQGANArguments, ["--config", "tiny", "--lr", "1"]).optimization.lr == 1


@pytest.mark.parametrize(
    ("words", "recipe"),
    [
        ("--config vqgan_tiny", "vqgan"),
        ("--config flow_matching", "flow-matching"),
        ("--config tiny", "vqvae"),
        ("--lr 1", "vqvae"),
    ],
)
def test_the_recipe_is_that_of_the_named_configuration(words, recipe):
    assert cli._recipe_of(words.split()) == recipe


def test_installed_models_have_names(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert SmokeVQVAE.from_pretrained("nano").config.latent_channels == 32
    assert SmokeImageProcessor.from_pretrained("nano").height == 64
    for name in ("nano_vqgan", "nano_sharp"):
        assert isinstance(AutoAutoencoder.from_pretrained(name), SmokeVQGAN)
    assert SmokeForecastPipeline.from_pretrained("nano_forecaster").transformer.config.num_frames == 16
    (tmp_path / "runs").mkdir()
    with pytest.raises(OSError, match="The folder 'runs/tinny' does not exist, but the folder 'runs' does"):
        SmokeVQVAE.from_pretrained("runs/tinny")


def test_a_training_started_by_accelerate(tmp_path):
    (tmp_path / "data").mkdir()
    for split in ("train", "validation"):
        smoke(24).save(tmp_path / "data" / f"{split}.safetensors")
    launcher = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "-m", "smoke_vq", "train", "vqvae"]
    fork([*launcher, *f"--dataset {tmp_path / 'data'} --output-dir {tmp_path} {FLAGS} --run-name run".split()])
    assert "smoke-vq train vqvae --dataset data" in (tmp_path / "run/best/README.md").read_text()
