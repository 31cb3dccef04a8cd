"""Fuzzing of what reads files of others: config.json, headers of safetensors files, PNG pictures and YAML.

With the other tests a few examples are drawn. For as long as you like, under a limit of memory:

    SMOKE_VQ_FUZZ_SECONDS=150 python -m pytest tests/fuzz -s

Each file is either read or refused with a ValueError or OSError of one line. Anything else is a crash.
"""

import io
import json
import os
import resource
import shutil
import time
from collections import Counter

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from smoke_vq import AutoSmokeModel, SmokeVQVAE
from smoke_vq.data.frames import PackedFrames
from smoke_vq.layout import CHECKSUMS, CONFIG, WEIGHTS
from smoke_vq.limits import read_picture, read_yaml

SECONDS = float(os.environ.get("SMOKE_VQ_FUZZ_SECONDS", "0"))
EXAMPLES = 20
MEMORY = 1 << 30  # bytes that a test may add to the resident memory

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(10**15), 10**15) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def refused_or_read(read) -> str:
    try:
        read()
        return "read"
    except (ValueError, OSError) as error:
        message = str(error)
        assert message and "\n" not in message, message
        return "refused"


@pytest.fixture
def fuzz():
    """A function (strategy, attempt) that draws examples until the time is over, and checks the memory."""

    def fuzz(strategy, attempt) -> None:
        outcomes, before, started, rounds = (
            Counter(),
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            time.time(),
            0,
        )
        while rounds == 0 or time.time() - started < SECONDS:

            @seed(rounds)
            @settings(
                max_examples=EXAMPLES if SECONDS == 0 else 500,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(strategy)
            def run(example):
                outcomes[attempt(example)] += 1

            run()
            rounds += 1
        added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        print(f"\n{attempt.__name__}: {dict(outcomes)}, {added / 1e6:.0f} MB more memory at most")
        assert added < MEMORY

    return fuzz


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    SmokeVQVAE(
        sample_size=8,
        latent_channels=4,
        encoder_block_out_channels=(4, 4),
        decoder_block_out_channels=(4, 4),
        layers_per_block=1,
        num_vq_embeddings=8,
    ).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / CHECKSUMS).unlink()
    return tmp_path / "model"


def damaged(content: bytes):
    """Strategies of this content with bytes replaced, cut out, inserted, or truncated."""
    edit = st.tuples(st.integers(0, len(content)), st.integers(0, 8), st.binary(max_size=8))

    def apply(edits) -> bytes:
        changed = content
        for place, removed, added in edits:
            changed = changed[:place] + added + changed[place + removed :]
        return changed

    return st.lists(edit, min_size=1, max_size=4).map(apply) | st.integers(0, len(content)).map(lambda n: content[:n])


def test_config_json(fuzz, model):
    valid = json.loads((model / CONFIG).read_text())
    text = (model / CONFIG).read_bytes()

    def config_json(content: bytes) -> str:
        (model / CONFIG).write_bytes(content)
        return refused_or_read(lambda: AutoSmokeModel.from_pretrained(model))

    changed = st.dictionaries(st.sampled_from(sorted(valid)), JSON, min_size=1, max_size=2)
    objects = changed.map(lambda change: json.dumps(valid | change).encode())
    fuzz(objects | damaged(text) | JSON.map(lambda value: json.dumps(value).encode()), config_json)


def test_safetensors_headers(fuzz, model):
    content = (model / WEIGHTS).read_bytes()
    length = int.from_bytes(content[:8], "little")
    names = sorted(json.loads(content[8 : 8 + length]))

    def with_header(header: bytes, claimed: int | None = None) -> bytes:
        return (len(header) if claimed is None else claimed).to_bytes(8, "little") + header + content[8 + length :]

    def safetensors_header(file: bytes) -> str:
        (model / WEIGHTS).write_bytes(file)
        shutil.copyfile(model / WEIGHTS, model / "train.safetensors")
        outcome = refused_or_read(lambda: SmokeVQVAE.from_pretrained(model))
        refused_or_read(lambda: PackedFrames.load(model / "train.safetensors"))
        (model / "train.safetensors").unlink()
        return outcome

    entries = st.fixed_dictionaries(
        {"dtype": st.sampled_from(["F32", "F16", "U8", "I64", "BOOL", "X"]) | JSON},
        optional={"shape": st.lists(st.integers(-1, 2**63), max_size=4) | JSON, "data_offsets": JSON},
    )
    replaced = st.dictionaries(st.sampled_from(names), entries | JSON, min_size=1, max_size=3).map(
        lambda change: with_header(json.dumps(json.loads(content[8 : 8 + length]) | change).encode())
    )
    claimed = st.integers(0, 2**64 - 1).map(lambda claim: with_header(content[8 : 8 + length], claim))
    fuzz(
        replaced | claimed | damaged(content[: 8 + length]).map(lambda head: head + content[8 + length :]),
        safetensors_header,
    )


def test_png(fuzz, tmp_path):
    buffer = io.BytesIO()
    picture = np.random.default_rng(0).integers(0, 256, (12, 9, 3), dtype=np.uint8)
    Image.fromarray(picture).save(buffer, format="PNG")
    file = tmp_path / "picture.png"

    def png(content: bytes) -> str:
        file.write_bytes(content)
        return refused_or_read(lambda: read_picture(file, "A picture").convert("RGB"))

    fuzz(damaged(buffer.getvalue()) | st.binary(max_size=64), png)


def test_yaml(fuzz, tmp_path):
    file = tmp_path / "config.yaml"
    text = yaml.safe_dump({"dataset": ["a", "b"], "lr": 1e-3, "model": {"latent_channels": 8}, "packed": True})

    def yaml_file(content: bytes) -> str:
        file.write_bytes(content)
        return refused_or_read(lambda: read_yaml(file, "The file"))

    tokens = st.lists(
        st.sampled_from([*"{}[]:,&*!|>-?#%@`'\"\n \t", "a", "1", "!!python/object:os.system", "&a ", "*a", "<<"])
    )
    fuzz(damaged(text.encode()) | tokens.map(lambda words: "".join(words).encode()) | st.binary(max_size=64), yaml_file)
