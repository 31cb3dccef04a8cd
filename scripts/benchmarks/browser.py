"""nano in a browser: the files of smoke-vq export, run by onnxruntime-web in a headless Chromium."""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import torch

from smoke_vq import NANO_MODEL, PlumeSettings, SmokeImageProcessor, SmokeVQVAE, simulate_plumes
from smoke_vq.onnx_export import WEIGHTS

from .timing import Rounds, report

RUNTIME = "ONNXRUNTIME_WEB"  # environment variable: the folder dist of the npm package onnxruntime-web
CALLS = 20  # frames, one after the other, that a round times
IN_PAGE = """
const done = arguments[arguments.length - 1], calls = arguments[0];
import("./page.js").then(async (page) => {
  await page.ready;
  const frame = document.getElementById("input").getContext("2d").getImageData(0, 0, 64, 64);
  for (let i = 0; i < calls; i++) await page.model.decode(await page.model.encode(frame));
}).then(done, (error) => done(String(error)));
"""


def missing() -> str | None:
    """What a run in Chromium lacks, in one sentence; None if nothing."""
    if importlib.util.find_spec("selenium") is None:
        return "selenium is not installed."
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed."
    return None if os.environ.get(RUNTIME) else f"{RUNTIME} does not name the folder dist of onnxruntime-web."


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def open_page(folder: Path, camera: Path | None = None) -> Iterator:
    """Serve `folder` on this machine and open its page in a headless Chromium: a selenium driver.

    Args:
        camera: a .mjpeg file that a camera shows; by default Chromium's test pattern.
    """
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    flags = ["headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1000,700"]
    flags += ["use-fake-device-for-media-stream", "use-fake-ui-for-media-stream"]
    flags += [f"use-file-for-fake-video-capture={camera}"] if camera else []
    for flag in flags:
        options.add_argument(f"--{flag}")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            driver.set_script_timeout(120)
            driver.get(f"http://127.0.0.1:{server.server_port}/")
            yield driver
        finally:
            driver.quit()
            server.shutdown()


def browser(device: str, rounds: int) -> None:
    """Codes of a frame and the frame decoded from them, one frame at a time, on one thread.

    In CPU time, which other processes on the machine change little; that of Chromium is the time of all its processes.
    """
    if reason := missing():
        print(f"\nIn a browser: not measured, because {reason}")
        return
    import onnxruntime
    import psutil

    script = Path(__file__).resolve().parent.parent / "export_onnx.py"
    (plume,) = simulate_plumes([1001], PlumeSettings(num_frames=8))
    frame = SmokeImageProcessor.from_pretrained(NANO_MODEL)(plume.image[-1:]).pixel_values
    model = SmokeVQVAE.from_pretrained(NANO_MODEL).eval()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1

    @torch.no_grad()
    def in_torch():
        for _ in range(CALLS):
            model.decode_indices(model.encode(frame).indices)

    def in_onnxruntime(encoder, decoder):
        for _ in range(CALLS):
            (indices,) = encoder.run(None, {"pixel_values": np.asarray(frame)})
            decoder.run(None, {"indices": indices})

    def in_chromium(driver):
        if error := driver.execute_async_script(IN_PAGE, CALLS):
            raise RuntimeError(error)

    def time_of_chromium(driver):
        parts = [part.cpu_times() for part in psutil.Process(driver.service.process.pid).children(recursive=True)]
        return sum(part.user + part.system for part in parts)

    with contextlib.ExitStack() as stack:
        functions: dict[str, tuple[Callable[[], None], Callable[[], float]]] = {"torch": (in_torch, time.process_time)}
        for weights in WEIGHTS:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            flags = ["--output-dir", folder, "--ort", os.environ[RUNTIME], "--weights", weights]
            subprocess.run([sys.executable, script, *flags], check=True, stdout=subprocess.DEVNULL)
            files = [
                onnxruntime.InferenceSession(folder / file, settings, providers=["CPUExecutionProvider"])
                for file in ("encoder.onnx", "decoder.onnx")
            ]
            driver = stack.enter_context(open_page(folder))
            functions[f"onnxruntime, {weights}"] = (partial(in_onnxruntime, *files), time.process_time)
            functions[f"Chromium, {weights}"] = (partial(in_chromium, driver), partial(time_of_chromium, driver))
        times: dict[str, list[float]] = {name: [] for name in functions}
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        for _ in range(rounds + 1):
            for name, (function, clock) in functions.items():
                start = clock()
                function()
                times[name].append(clock() - start)
        torch.set_num_threads(threads)
    seconds = {name: Rounds(values[1:]) for name, values in times.items()}  # the first round warms up
    report(f"nano, {CALLS} frames to codes and back, CPU time, one thread", seconds, "torch", "frames/s", CALLS)
