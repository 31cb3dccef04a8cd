"""Slips of a newcomer's hand: each ends with one sentence and exit status 2, and leaves nothing behind."""

import socket
import sys

import numpy as np
import pytest
from training_runs import reset_accelerate, smoke

from smoke_vq import cli

DATA = "train.safetensors"
TINY = "--model.sample_size 16 --model.encoder_block_out_channels [8,16] --model.decoder_block_out_channels [16,8]"

SLIPS = [
    # Commands and their names
    ("reconstuct clip.npz", "Unknown command 'reconstuct': expected one of"),
    ("train vq-vae", "Unknown recipe 'vq-vae': expected one of"),
    ("train vqvae --config tiney", "Unknown configuration 'tiney' (did you mean 'tiny'?)"),
    ("train vqvae --config tiny.yaml", "The configuration file tiny.yaml does not exist."),
    # Flags
    ("train vqvae --datset x", "Unknown flag '--datset' (did you mean 'dataset'?)."),
    ("train vqvae --learning-rate 1e-3 --batch-size many", "invalid int value: 'many'"),
    ("train vqvae --batch-size", "expected one argument"),
    ("train vqvae --batch-size 0", "batch_size expects"),
    ("train vqvae --dataset train.safetensors --lr -1", "lr expects"),
    ("train vqvae --mixed-precision half", "invalid choice: 'half'"),
    (
        "train vqvae --dataset train.safetensors --model.latent_chanels 8",
        "Unknown key model.latent_chanels (did you mean 'latent_channels'?)",
    ),
    (
        "train vqvae --dataset train.safetensors --model.latent_channels eight",
        "model.latent_channels expects a value like 256, found 'eight'.",
    ),
    ("train vqvae --dataset train.safetensors --model.quantizer_type fqs", "Unknown quantizer 'fqs': expected one of"),
    (
        "train vqgan --dataset train.safetensors --model.quantizer_kwargs {levels:[8,8]}",
        "The quantizer_kwargs {'levels': [8, 8]} do not fit quantizer 'vq'",
    ),
    (
        "train vqvae --dataset train.safetensors --quantizer-loss-weights.comit 1",
        "quantizer_loss_weights has 'comit', which is not a loss of VectorQuantizer",
    ),
    ("train vqvae --dataset train.safetensors --model.sample_size 60", "sample_size 60 is not a multiple of 8"),
    ("train vqvae --dataset train.safetensors --model.in_channels 4", "expect 3 for RGB or 1 for grey frames"),
    ("train flow-matching --dataset train.safetensors --model.coupling lineer", "Unknown coupling 'lineer'"),
    (
        "train flow-matching --dataset train.safetensors --model.prediction_type frames",
        "Unknown prediction type 'frames': expected one of",
    ),
    ("evaluate --models nano --dataset train.safetensors --metrics beauty", "Unknown metric 'beauty': expected one of"),
    ("evaluate --models nano --dataset train.safetensors --batch-size 0", "batch_size expects 1 or more, found 0."),
    ("predict --input clip.npz --sampler eular", "Unknown sampler 'eular': expected one of"),
    ("predict --input clip.npz --output film.avi", "Unknown film format '.avi': expected one of"),
    ("reconstruct clip.npz --fps 0", "fps expects a finite number above 0, found 0.0."),
    ("encode --model nano --dataset train.safetensors --fps 12 --output-dir out", "has no frame rate: fps is for"),
    ("simulate --output-dir out --num-frames 0", "num-frames is 0: expected at least 1."),
    ("prepare --input clips --output-dir out --num-proc 0", "num-proc is 0: expected at least 1."),
    ("reconstruct clip.npz --device gpu", "The device 'gpu' cannot be used: Expected one of cpu, cuda,"),
    ("predict --input clip.npz --device meta:x", "The device 'meta:x' cannot be used: Invalid device string"),
    # Paths
    ("train vqvae --dataset data/rise64", "data/rise64"),
    ("train vqvae --dataset simulated:smal", "Unknown configuration of simulated plumes 'smal': expected one of"),
    ("train vqvae --dataset notes.txt", "no dataset at notes.txt, which is a file: expected a folder"),
    ("reconstruct damaged.mp4", "damaged.mp4"),
    ("reconstruct clip.npz --output-dir notes.txt", "The output 'notes.txt' is a file: expected a folder."),
    ("evaluate --models runs/tiny/best --dataset train.safetensors", "The folder 'runs/tiny/best' does not exist"),
    ("evaluate --models runs/tinny --dataset train.safetensors", "The folder 'runs/tinny' does not exist, but"),
    ("evaluate --models nnano --dataset train.safetensors", "The folder 'nnano' does not exist"),
    ("evaluate --models runs --dataset train.safetensors", "config.json"),
    ("encode --model nano --dataset clips --output-dir out", "clips"),
    ("decode --model nano --input-dir runs --output-dir out", "runs"),
    ("push --folder runs/tiny/best --repo-id user/smoke", "The folder runs/tiny/best does not exist."),
    ("push --folder runs --repo-id smoke", "'smoke': expected 'user/name'"),
    ("reconstruct clip.mp3", "clip.mp3 does not exist."),
    ("reconstruct notes.txt", "notes.txt ends in '.txt': expected one of"),
    ("prepare --input clips --output-dir out", "clips"),
    # Sizes
    (
        f"train vqvae --dataset {DATA} --validation-dataset {DATA} {TINY} --batch-size 8 --model.num_vq_embeddings 600",
        "The training data give 512 latents for 600 codes",
    ),
    (
        f"train vqvae --dataset {DATA} --validation-dataset {DATA} {TINY} --batch-size 512",
        "train.safetensors has 8 frames, fewer than one batch of 512 on 1 process(es).",
    ),
    ("predict --input clip.npz --observed 20 --resize", "observed is 20, but clip.npz has 9 frames."),
    (
        "train vqvae --dataset train.safetensors --init-from nano --model.latent_channels 8",
        "nano has model.latent_channels = 32, but the configuration has 8: make them equal.",
    ),
    ("evaluate --models nano --dataset train.safetensors", "64x64"),
    (f"train vqvae --dataset {DATA} --validation-dataset {DATA} {TINY} --model.sample_size 32", "32x32"),
    ("predict --input clip.npz", "64x64"),
    ("encode --model nano --dataset train.safetensors --output-dir out", "holds frames of 16x16: expected 64x64"),
    ("train vqvae --dataset train.safetensors --init-from nano", "holds frames of 16x16: expected 64x64"),
    # Folders of other things
    ("encode --model nano_forecaster --dataset train.safetensors --output-dir out", "does not hold config.json"),
    ("train vqgan --dataset train.safetensors --init-from nano_forecaster", "does not hold config.json"),
    ("train vqvae --dataset train.safetensors --init-from runs", "does not hold config.json: found no files."),
    ("predict --input clip.npz --model nano", "does not hold model_index.json"),
    ("reconstruct clip.npz --model discriminator", "holds a PatchDiscriminator: expected a SmokeVQVAE or SmokeVQGAN."),
]


@pytest.fixture
def smoke_vq(monkeypatch, capsys, tmp_path):
    """A function (words) -> exit status, errors, names of the files afterwards, called in a folder with a few files."""
    monkeypatch.chdir(tmp_path)
    smoke(8).save(tmp_path / DATA)
    np.savez(tmp_path / "clip.npz", frames=smoke(9).images.numpy())
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "damaged.mp4").write_bytes(b"nothing")
    (tmp_path / "runs").mkdir()
    (tmp_path / "discriminator").mkdir()
    (tmp_path / "discriminator/config.json").write_text('{"_class_name": "PatchDiscriminator"}')

    def refuse(*_):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)

    def smoke_vq(words: str):
        monkeypatch.setattr(sys, "argv", ["smoke-vq", *words.split()])
        monkeypatch.setattr(sys, "path", list(sys.path))
        reset_accelerate()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        reset_accelerate()
        return stop.value.code, capsys.readouterr().err, sorted(path.name for path in tmp_path.iterdir())

    return smoke_vq


@pytest.mark.parametrize(("words", "message"), SLIPS, ids=[words[:60] for words, _ in SLIPS])
def test_a_slip_is_one_sentence(smoke_vq, words, message):
    code, err, files = smoke_vq(words)
    assert code == 2 and message in err, err
    assert "Traceback" not in err and err.count("error: ") == 1
    assert files == ["clip.npz", "damaged.mp4", "discriminator", "notes.txt", "runs", DATA]
