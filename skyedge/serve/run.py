"""Answer images with masks over HTTP: `skyedge serve` or `python -m skyedge.serve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from edge_runtime.errors import InputError
from edge_runtime.segment.mask import MaskOptions
from edge_runtime.segmenter import DEFAULT_MODEL, load_models


@dataclass(frozen=True)
class Serve:
    """Serve POST /mask and POST /remove (an image file in, a PNG out) and GET /health. There is no login and no TLS."""

    model: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Artifact folder or name, as in `skyedge segment`; several are averaged. Default: unet_lite_s."""
    host: str = "127.0.0.1"
    """Address to listen on. 0.0.0.0 lets other machines in."""
    port: int = 7860
    """Port to listen on; 0 takes a free one."""
    max_megabytes: float = 20.0
    """Largest image file, 10^6 bytes."""
    max_megapixels: float = 50.0
    """Largest image, 10^6 pixels. An image takes up to about 40 bytes a pixel while it is worked on."""
    exact: bool = False
    """Decode large JPEGs in full, not at a reduced size that still exceeds the network's input."""
    workers: int = 1
    """Images that are worked on at the same time; others wait."""
    threads: int = 1
    """CPU threads of the interpreter."""


def main(config: Serve) -> None:
    """Open the model and serve until a signal ends it; `InputError` where the port is taken or a number makes no sense."""
    check(config)
    try:
        import uvicorn

        from skyedge.serve.app import make_app
    except ImportError as error:
        raise InputError(f"serving needs FastAPI and uvicorn ({error}); install them: pip install 'skyedge[serve]'") from error
    segmenter = load_models(config.model or (DEFAULT_MODEL,), config.threads)
    options = MaskOptions(exact=config.exact)
    app = make_app(segmenter, options, round(config.max_megabytes * 1e6), round(config.max_megapixels * 1e6), config.workers)
    settings = uvicorn.Config(app, config.host, config.port, log_level="info", timeout_keep_alive=10, limit_concurrency=100)
    try:
        listening = settings.bind_socket()
    except SystemExit as error:  # uvicorn's way to say that the port is taken
        raise InputError(f"got port {config.port} of {config.host}, expected a free one; choose another --port") from error
    listening.listen()  # from here on requests wait until the server is up
    print(f"serving on http://{config.host}:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(settings).run([listening])


def check(config: Serve) -> None:
    """Raise `InputError` where a number makes no sense."""
    if not 0 <= config.port <= 65535:
        raise InputError(f"got --port {config.port}, expected 0 to 65535")
    if not (config.max_megabytes > 0 and 0 < config.max_megapixels <= 178):  # NaN fails both
        got = f"--max-megabytes {config.max_megabytes} and --max-megapixels {config.max_megapixels}"
        raise InputError(f"got {got}, expected more than 0, and at most 178 megapixels")
    if not 1 <= config.workers <= 64:
        raise InputError(f"got --workers {config.workers}, expected 1 to 64; try the number of cores")
