"""The page of the demo, made with Gradio. It computes nothing itself: see `Explorer`."""

import base64
from collections.abc import Callable
from functools import wraps
from typing import Any

import gradio as gr

from ..data.clips import IMAGE_SUFFIXES
from ..preparation.matting.video import VIDEO_SUFFIXES
from .explorer import PANELS, EncodedClip, Explorer
from .pictures import comparison_picture, grid_cell, palette, palette_code

_TITLE = "# Smoke as codes\nA plume as a small grid of codes, and the plume that is decoded from them."
PAINT, PICK = "give the cell this code", "take the code of the cell"
_FILES = [*VIDEO_SUFFIXES, *IMAGE_SUFFIXES, ".npy", ".npz"]
_PALETTE_SIZE = 64
_ONE_HOUR = 3600  # after which uploaded files are deleted
_FONTS = ["system-ui", "sans-serif"]  # those of the reader: no requests to other servers
# The names of pictures stand above them instead of on them.
_CSS = ".picture [data-testid=block-label] {position: static} .clickable img {cursor: crosshair}"


def build_page(explorer: Explorer) -> gr.Blocks:
    """The page, to be passed to `launch`."""
    with gr.Blocks(title="smoke_vq", analytics_enabled=False, delete_cache=(_ONE_HOUR, _ONE_HOUR)) as page:
        clip = gr.State()
        gr.Markdown(_TITLE)
        with gr.Row():
            with gr.Tab("Video"), gr.Row():
                file = gr.File(
                    label="a video of a static camera, or a photo", file_types=_FILES, height=120, elem_id="file"
                )
                with gr.Column():
                    fps = gr.Number(0, label="frames per second (0: all)", minimum=0)
                    read = gr.Button("Show the video", variant="primary", elem_id="read")
            with gr.Tab("Simulated plume"), gr.Row():
                seed = gr.Number(1001, label="seed", precision=0)
                length = gr.Slider(8, 64, 40, step=1, label="frames")
                simulate = gr.Button("Simulate a plume", variant="primary", elem_id="simulate")
        with gr.Column(visible=False) as results:
            note = gr.Markdown()
            frame = gr.Slider(0, 1, 0, step=1, label="frame", elem_id="frame")
            with gr.Row():
                panels = [_picture(name, clickable=name == "codes") for name in PANELS]
            gr.Markdown(
                "## Change the codes\nChoose a code below and click a cell above: it gets this code, and a white frame."
            )
            with gr.Row():
                with gr.Column(scale=1, min_width=260):
                    code = gr.Number(0, label="code", precision=0, elem_id="code")
                    tool = gr.Radio([PAINT, PICK], value=PAINT, label="A click on a cell", elem_id="tool")
                    restore = gr.Button("Undo the changes of this frame", elem_id="restore")
                swatches = _picture("codes of this clip", clickable=True, scale=2)
            gr.Markdown(
                "## Beside other codecs\nThe largest thumbnail of no more bytes than the codes, "
                "and each image codec at its smallest."
            )
            comparison = _picture("comparison", show_label=False)
            table = gr.Markdown()
            gr.Markdown("## Forecast\nHow the plume moves on. The installed forecaster knows simulated plumes only.")
            with gr.Row():
                samples = gr.Slider(1, 6, 3, step=1, label="samples")
                forecast = gr.Button("Forecast", elem_id="forecast")
            film = gr.HTML(elem_id="film")

        drawn = [*panels, comparison, table]
        loaded = [clip, results, note, frame, code, swatches, film, *drawn]
        read.click(_shown(lambda path, rate: _load(explorer, _read(explorer, path, rate))), [file, fps], loaded)
        simulate.click(
            _shown(lambda seed, count: _load(explorer, explorer.simulate(seed, count))), [seed, length], loaded
        )
        frame.input(_shown(lambda *at: _draw(explorer, *at)), [clip, frame], drawn, trigger_mode="always_last")

        @_shown
        def click_cell(clip: EncodedClip, frame: int, code: int, tool: str, event: gr.SelectData):
            row, column = grid_cell(clip.codes.shape[1:3], *event.index)
            if tool == PICK:
                return clip, int(clip.codes[frame, row, column].flatten()[0]), *[gr.skip()] * len(panels)
            clip = explorer.paint(clip, frame, row, column, code)
            return clip, code, *explorer.panels(clip, frame)

        @_shown
        def click_swatch(clip: EncodedClip, event: gr.SelectData):
            found = palette_code(explorer.palette_codes(clip, _PALETTE_SIZE), *event.index)
            return gr.skip() if found is None else found

        @_shown
        def undo(clip: EncodedClip, frame: int):
            clip = explorer.restore(clip, frame)
            return clip, *explorer.panels(clip, frame)

        changed = [clip, code, *panels]
        panels[PANELS.index("codes")].select(click_cell, [clip, frame, code, tool], changed, show_progress="hidden")
        swatches.select(click_swatch, [clip], code, show_progress="hidden")
        restore.click(undo, [clip, frame], [clip, *panels], show_progress="hidden")
        forecast.click(_shown(lambda *at: _film(explorer.forecast(*at))), [clip, frame, samples], film)
    return page


def launch(page: gr.Blocks, **options: Any) -> None:
    """Serve a page until Ctrl-C; `options` are those of `gradio.Blocks.launch`."""
    theme = gr.themes.Default(font=_FONTS, font_mono=["monospace"])
    page.launch(theme=theme, css=_CSS, ssr_mode=False, footer_links=[], **options)


def _picture(label: str, clickable: bool = False, **options: Any) -> gr.Image:
    return gr.Image(
        label=label,
        interactive=False,
        format="png",
        buttons=[],
        min_width=150,
        elem_id=label.replace(" ", "-"),
        elem_classes=["picture", "clickable"] if clickable else ["picture"],
        **options,
    )


def _shown(function: Callable) -> Callable:
    """The function, whose ValueError or OSError is a message on the page."""

    @wraps(function)
    def call(*values: Any):
        try:
            return function(*values)
        except (ValueError, OSError) as error:
            raise gr.Error(str(error), title="", print_exception=False) from error

    return call


def _read(explorer: Explorer, path: str | None, fps: float | None) -> EncodedClip:
    if path is None:
        raise ValueError("There is no video yet: drop one on the page.")
    return explorer.read(path, fps or None)


def _load(explorer: Explorer, clip: EncodedClip) -> list:
    """What the page shows of a new clip, from its middle frame on."""
    last = len(clip.image) - 1
    at = len(clip.image) // 2
    swatches = palette(explorer.palette_codes(clip, _PALETTE_SIZE), explorer.colours)
    slider = gr.Slider(0, max(last, 1), at, interactive=last > 0)
    code = explorer.brightest_code(clip, at)
    return [
        clip,
        gr.Column(visible=True),
        explorer.describe(clip),
        slider,
        code,
        swatches,
        "",
        *_draw(explorer, clip, at),
    ]


def _draw(explorer: Explorer, clip: EncodedClip, frame: int) -> list:
    compared = explorer.compare(clip, frame)
    rows = [f"| {c.name} | {c.num_bytes:.0f} | {c.num_payload_bytes:.0f} | {c.psnr:.1f} |" for c in compared]
    table = "\n".join(["| | bytes | without headers | PSNR, dB |", "|---|---|---|---|", *rows])
    picture = comparison_picture(
        ["smoke on black", *(c.name for c in compared)], [clip.image[frame], *(c.image for c in compared)]
    )
    return [*explorer.panels(clip, frame), picture, table]


def _film(data: bytes) -> str:
    source = base64.b64encode(data).decode()
    return f'<img alt="forecast" style="max-width: 100%" src="data:image/webp;base64,{source}">'
