"""Look at a model in the browser: a page on this machine, without any other server.

Drop a video or simulate a plume; see its codes as a coloured grid, change some and see the plume change; compare the
codes with thumbnails and image codecs of the same size; and forecast how the plume moves on.

smoke-vq demo
smoke-vq demo --model runs/tiny/best --port 7861
"""

import argparse
import socket

from smoke_vq import NANO_FORECASTER
from smoke_vq.checks import check_installed, usable_device
from smoke_vq.layout import PIPELINE
from smoke_vq.model_config import AUTOENCODERS, check_model
from smoke_vq.script import run


def main() -> None:
    arguments = parse_arguments()
    check_installed("The demo", "demo", gradio="gradio", av="PyAV", cv2="OpenCV")
    device = usable_device(arguments.device)
    from smoke_vq.demo.explorer import Explorer
    from smoke_vq.demo.page import build_page, launch

    explorer = Explorer.from_pretrained(arguments.model, arguments.forecaster, device)
    launch(build_page(explorer), server_name=arguments.host, server_port=arguments.port, share=arguments.share)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default="nano", help="folder of a saved model, or Hub name (default: nano, installed)"
    )
    parser.add_argument(
        "--forecaster", default=NANO_FORECASTER, help="folder of a forecaster, or Hub name (default: the installed one)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for other machines too")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    parser.add_argument("--share", action="store_true", help="a public address, through a server of Gradio")
    parser.add_argument("--device", help="such as cuda or cpu (default: cuda if there is one)")
    arguments = parser.parse_args()
    if arguments.port is not None and not 0 < arguments.port < 2**16:
        raise ValueError(f"port expects a number from 1 to {2**16 - 1}, found {arguments.port}.")
    check_address(arguments.host, arguments.port)
    check_model(arguments.model, AUTOENCODERS)
    check_model(arguments.forecaster, ["SmokeForecastPipeline"], PIPELINE)
    arguments.device = usable_device(arguments.device)
    return arguments


def check_address(host: str, port: int | None) -> None:
    """Raise an OSError unless this process can listen on a port of `host`, or on any one if it is None."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port or 0))
        except OSError as error:
            where = host if port is None else f"port {port} of {host}"
            raise OSError(f"Cannot listen on {where}: {error.strerror}.") from error


if __name__ == "__main__":
    run(main)
