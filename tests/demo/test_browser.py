"""The demo in a real Chromium: a video is dropped, codes are changed, a forecast is made."""

import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from PIL import Image

from smoke_vq import SmokeImageProcessor
from smoke_vq.demo.pictures import SIDE

WAIT = 180  # seconds, on a busy machine
PROGRAMS = {name: shutil.which(name) for name in ("chromium", "chromedriver")}

pytest.importorskip("gradio")
webdriver = pytest.importorskip("selenium.webdriver")

from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from smoke_vq.demo.page import PAINT, PICK  # noqa: E402

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not all(PROGRAMS.values()), reason="chromium or chromedriver is not installed"),
]


@pytest.fixture
def address(tiny_model, pipeline, tmp_path):
    """The address of the demo with a tiny model, in a process of its own."""
    tiny_model.save_pretrained(tmp_path / "model")
    SmokeImageProcessor(size=16).save_pretrained(tmp_path / "model")
    pipeline.save_pretrained(tmp_path / "forecaster")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    flags = ["--model", tmp_path / "model", "--forecaster", tmp_path / "forecaster", "--port", port]
    command = [sys.executable, "-m", "smoke_vq", "demo", *map(str, flags), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GRADIO_TEMP_DIR": str(tmp_path / "gradio")}
    with open(tmp_path / "log.txt", "w+") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            while f"http://127.0.0.1:{port}" not in (tmp_path / "log.txt").read_text():
                assert process.poll() is None, (tmp_path / "log.txt").read_text()
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


@pytest.fixture
def page(address):
    browser = Page(address)
    yield browser
    browser.driver.quit()


class Page:
    """The page in a browser; elements are named by CSS selectors."""

    def __init__(self, address: str):
        options = webdriver.ChromeOptions()
        options.binary_location = PROGRAMS["chromium"]
        for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1500"):
            options.add_argument(flag)
        service = webdriver.ChromeService(PROGRAMS["chromedriver"])
        self.driver = webdriver.Chrome(options, service)
        self.driver.get(address)

    def find(self, selector: str):
        """The first element that is shown, waiting for it."""

        def shown(driver):
            found = driver.find_elements("css selector", selector)
            return next((element for element in found if element.is_displayed()), None)

        return self.until(shown, f"{selector} is not shown")

    def until(self, condition, message: str):
        waiting = WebDriverWait(self.driver, WAIT, ignored_exceptions=[StaleElementReferenceException])
        return waiting.until(condition, message)

    def drop(self, selector: str, path) -> None:
        """Drop a file on an element."""
        box = self.find(selector).rect
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.driver.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, **at, "data": data})

    def click(self, selector: str, x: float | None = None, y: float | None = None) -> None:
        """Click the middle of an element, or a point given in shares of its width and height."""
        element = self.find(selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        size, actions = element.rect, webdriver.ActionChains(self.driver)
        offset = (0, 0) if x is None else (round((x - 0.5) * size["width"]), round((y - 0.5) * size["height"]))
        actions.move_to_element_with_offset(element, *offset).click().perform()

    def click_cell(self, cell: tuple[int, int]) -> None:
        """Click a cell (row, column) of the 8x8 codes."""
        self.click("#codes img", (cell[1] + 0.5) / 8, (cell[0] + 0.5) / 8)

    def fill(self, selector: str, text: str) -> None:
        element = self.find(selector)
        element.send_keys(Keys.CONTROL, "a")
        element.send_keys(text, Keys.ENTER)

    def says(self, text: str) -> None:
        """Wait for a message."""
        messages = ".toast-body"
        self.until(
            lambda driver: any(text in found.text for found in driver.find_elements("css selector", messages)), text
        )

    def source(self, name: str) -> str:
        return self.find(f"#{name} img").get_attribute("src")

    def picture(self, name: str) -> np.ndarray:
        with urllib.request.urlopen(self.source(name)) as answer:
            return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))

    def changes(self, name: str, before: str) -> np.ndarray:
        """The picture that takes the place of the one from `before`."""
        self.until(lambda _: self.source(name) != before, f"#{name} does not change")
        return self.picture(name)


def test_a_dropped_video_is_shown_changed_and_forecast(page, address, video):
    page.click("#read")
    page.says("There is no video yet: drop one on the page.")
    page.drop("#file", video)
    page.until(lambda _: ".mp4" in page.find("#file").text, "the file does not arrive")
    page.click("#read")
    codes, output = page.picture("codes"), page.picture("from-the-codes")
    for name in ("original", "smoke-on-black", "codes", "from-the-codes", "error-x4"):
        picture = page.picture(name)
        assert picture.shape == (SIDE, SIDE, 3) and picture.max() > 50, name
    assert "12 frames, each of 64 codes out of 32: 40 bytes." in page.find("body").text

    colours = codes[2::40, 2::40].astype(int).sum(axis=2)
    bright, dark = (np.unravel_index(at, (8, 8)) for at in (colours.argmax(), colours.argmin()))
    before = page.source("codes"), page.source("from-the-codes")
    page.fill("#code input", "99")
    page.click_cell(dark)
    page.says("A code is a whole number from 0 to 31, found 99.")
    page.click(f"#tool input[value='{PICK}']")
    page.click_cell(bright)
    page.until(lambda _: page.find("#code input").get_property("value") != "99", "the code is not taken")
    page.click(f"#tool input[value='{PAINT}']")
    page.click_cell(dark)
    changed = page.changes("codes", before[0])
    cells = (changed != codes).reshape(8, 40, 8, 40, 3).any(axis=(1, 3, 4))
    assert np.argwhere(cells).tolist() == [[*dark]]
    assert not np.array_equal(page.changes("from-the-codes", before[1]), output), "another plume"

    before = page.source("from-the-codes")
    page.click("#restore")
    assert np.array_equal(page.changes("from-the-codes", before), output)

    before = page.source("original")
    page.fill("#frame input[type=number]", "9")
    page.changes("original", before)
    page.click("#forecast")
    film = page.find("#film img")
    assert film.get_attribute("src").startswith("data:image/webp;base64,") and film.get_property("naturalWidth") > 100

    loaded = page.driver.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded and all(name.startswith((address, "data:", "blob:")) for name in loaded), "no other server"
