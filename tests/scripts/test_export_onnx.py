"""scripts/export_onnx.py: nano as files and as a page, which a real Chromium shows.

The browser needs its runtime: ONNXRUNTIME_WEB names the folder dist of the npm package onnxruntime-web.
"""

import io
import json
import os
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image
from synthetic_clips import clip, write_video
from training_runs import ROOT, run

from smoke_vq import NANO_MODEL, PlumeSettings, SmokeImageProcessor, SmokeVQVAE, simulate_plumes
from smoke_vq.onnx_export import compare_onnx

sys.path.insert(0, str(ROOT / "scripts"))

from benchmarks.browser import RUNTIME, missing, open_page

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

FILES = {"index.html", "page.js", "model.js", "cut_out.js", "settings.json", "encoder.onnx", "decoder.onnx"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The page of nano, with the runtime if there is one."""
    folder = tmp_path_factory.mktemp("exported") / "web"
    runtime = f"--ort {os.environ[RUNTIME]}" if os.environ.get(RUNTIME) else ""
    ended = run("export_onnx.py", f"--model nano --output-dir {folder} {runtime}")
    assert ended.code == 0, ended.err
    return folder, ended.out


def test_the_command_compares_and_writes_files_and_page(exported):
    folder, out = exported
    assert {path.name for path in folder.iterdir()} - {"ort"} == FILES
    assert "frames: 0 of 6144 codes differ, samples by up to" in out
    settings = json.loads((folder / "settings.json").read_text())
    assert np.shape(settings.pop("colours")) == (1024, 3)
    runtime = "ort/" if (folder / "ort").exists() else "https://cdn.jsdelivr.net/npm/onnxruntime-web@1.30.0/dist/"
    assert settings == {"name": "nano", "sample_size": 64, "num_channels": 3, "num_codes": 1024, "runtime": runtime}


def test_files_are_small_and_name_nothing_of_this_machine(exported):
    """nano is published in float16: 0.9 M parameters in 1.9 MB; both files hold the codebook, in float32."""
    contents = [(exported[0] / name).read_bytes() for name in ("encoder.onnx", "decoder.onnx")]
    assert sum(map(len, contents)) < 2.3e6
    for content in contents:
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model)
        assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
        assert str(ROOT).encode() not in content and b"stack_trace" not in content


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--output-dir {tmp}/web --ort {tmp}", "does not hold ort.wasm.min.mjs: --ort expects the folder dist of"),
        ("--output-dir {tmp}/web --weights int4", "Unknown weights 'int4': expected one of ['float', 'int8']."),
        ("--output-dir {tmp}/file", "is a file: expected a folder."),
        ("--output-dir {tmp}/web --model {tmp}/none", "/none"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(flags, message, tmp_path):
    (tmp_path / "file").touch()
    ended = run("export_onnx.py", flags.format(tmp=tmp_path))
    assert ended.code == 2 and message in ended.err and len(ended.err.splitlines()) == 1, ended.err
    assert {path.name for path in tmp_path.iterdir()} == {"file"}


def test_a_missing_package_is_named_before_the_model_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    ended = run("export_onnx.py", f"--model {tmp_path / 'nothing'} --output-dir {tmp_path / 'web'}")
    assert ended.code == 2 and "Export to ONNX needs onnxscript: pip install 'smoke-vq[onnx]'." in ended.err


def test_files_of_another_model_are_refused(exported, nano, frames):
    with torch.no_grad():
        nano.decoder.conv_out.bias.add_(0.1)
    with pytest.raises(ValueError, match="do not agree with the model: 0 of 256 codes differ, and samples"):
        compare_onnx(nano, exported[0], SmokeImageProcessor()(frames[-4:]).pixel_values)


def test_int8_files_that_reconstruct_much_worse_than_the_model_are_refused(exported, nano, frames, tmp_path):
    for name in ("encoder.onnx", "decoder.onnx"):
        file = onnx.load(exported[0] / name)
        for weight in file.graph.initializer:
            if weight.name.startswith("model.decoder.conv_out.bias"):
                values = onnx.numpy_helper.to_array(weight)
                weight.CopyFrom(onnx.numpy_helper.from_array(values + values.dtype.type(0.1), weight.name))
        onnx.save(file, tmp_path / name)
    with pytest.raises(ValueError, match=r"int8 weights do not suit .* rises by \d+\.\d%, and 5% is allowed"):
        compare_onnx(nano, tmp_path, SmokeImageProcessor()(frames[-4:]).pixel_values, "int8")


@pytest.fixture
def nano():
    return SmokeVQVAE.from_pretrained(NANO_MODEL).eval()


@pytest.fixture(scope="module")
def frames():
    """A simulated plume, (40, 64, 64, 3) uint8."""
    return simulate_plumes([1001], PlumeSettings(num_frames=40))[0].image


class Page:
    """The page in a browser, used by drops and clicks."""

    def __init__(self, driver, folder):
        self.driver, self.folder = driver, folder

    def drop(self, name: str, mime: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)
        script = """
            const [name, type, done] = arguments;
            fetch(name).then(async (answer) => {
              const dataTransfer = new DataTransfer();
              dataTransfer.items.add(new File([await answer.blob()], name, { type }));
              document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
            }).then(() => done(null), (error) => done(String(error)));
        """
        assert self.driver.execute_async_script(script, name, mime) is None

    def latest(self) -> dict:
        """What the page shows: number of frames, codes, milliseconds of the model, and frames a second."""
        script = """
            const [done] = arguments;
            import("./page.js").then(async ({ ready, latest }) => {
              await ready;
              done({ ...latest, indices: latest.indices && Array.from(latest.indices.data) });
            });
        """
        return self.driver.execute_async_script(script)

    def wait_for(self, frames: int) -> dict:
        end = time.monotonic() + 90
        while (latest := self.latest())["frames"] < frames:
            assert time.monotonic() < end, f"{latest['frames']} frames are shown: {self.text('error')}"
            assert not self.text("error")
            time.sleep(0.2)
        return latest

    def text(self, name: str) -> str:
        return self.driver.find_element("id", name).text

    def click(self, name: str) -> None:
        self.driver.find_element("id", name).click()

    def picture(self, name: str) -> np.ndarray:
        """The pixels of a canvas, (H, W, 3) uint8."""
        script = """
            const canvas = document.getElementById(arguments[0]), { width, height } = canvas;
            return [height, width, Array.from(canvas.getContext("2d").getImageData(0, 0, width, height).data)];
        """
        height, width, values = self.driver.execute_script(script, name)
        return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]


@pytest.fixture(scope="module")
def page(exported):
    if reason := missing():
        pytest.skip(reason)
    with open_page(exported[0]) as driver:
        yield Page(driver, exported[0])


def png(frame: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="PNG")
    return buffer.getvalue()


def film(folder, frames: np.ndarray) -> bytes:
    pytest.importorskip("av")
    write_video(folder / "film.mp4", frames)
    return (folder / "film.mp4").read_bytes()


@pytest.mark.browser
def test_a_dropped_picture_has_the_codes_and_the_reconstruction_of_the_model(page, nano, frames):
    page.drop("plume.png", "image/png", png(frames[-1]))
    latest = page.wait_for(1)
    processor = SmokeImageProcessor()
    with torch.no_grad():
        indices = nano.encode(processor(frames[-1]).pixel_values).indices
        expected = processor.postprocess(nano.decode_indices(indices).sample, "np")[0]
    assert latest["indices"] == indices.flatten().tolist()
    assert np.array_equal(page.picture("input"), frames[-1])
    assert np.abs(page.picture("output").astype(int) - expected).max() <= 1
    assert page.picture("codes").shape == (8, 8, 3)
    assert page.text("way").startswith("The frames show smoke on black")
    assert page.text("grid") == "64 codes out of 1,024"


@pytest.mark.browser
def test_a_dropped_video_of_smoke_on_black_is_taken_as_it_is(page, frames, tmp_path):
    page.drop("plume.mp4", "video/mp4", film(tmp_path, frames))
    latest = page.wait_for(12)
    assert page.text("way").startswith("The frames show smoke on black")
    assert latest["framesPerSecond"] > 0 and "frames a second are shown" in page.text("speed")
    page.click("stop")
    shown, decoded = (page.picture(name).astype(float) for name in ("input", "output"))
    assert np.square(shown - decoded).mean() < 0.1 * np.square(shown).mean()


@pytest.mark.browser
def test_smoke_is_cut_out_of_the_video_of_a_camera_that_stands_still(page, tmp_path):
    scene, _ = clip(40)
    page.drop("scene.mp4", "video/mp4", film(tmp_path, scene))
    page.wait_for(30)
    assert page.text("way").startswith("Smoke is cut out")
    page.click("stop")
    cut_out = page.picture("input")
    assert (cut_out[-12:].max() < 60) and (cut_out.max(-1) == 0).mean() > 0.5, "the ground is black"
    page.drop("scene.mp4", "video/mp4", film(tmp_path, scene))
    page.click("cut-out")
    page.wait_for(2)
    time.sleep(1)
    assert page.text("way").startswith("The frames do not show smoke on black and are not cut out")
    page.click("stop")
    page.click("cut-out")
    assert page.picture("input").min() > 10, "the frame as it is"


@pytest.mark.browser
def test_the_camera_is_shown(page):
    page.click("camera")
    page.wait_for(3)
    page.click("stop")
    assert page.text("error") == ""


@pytest.mark.browser
def test_a_file_that_is_no_video_is_refused_in_one_sentence(page):
    page.drop("notes.mp4", "video/mp4", b"no video")
    end = time.monotonic() + 20
    while not page.text("error"):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert page.text("error").startswith("notes.mp4 cannot be shown: ")
