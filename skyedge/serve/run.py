"""Answer images with masks over HTTP: `skyedge serve` or `python -m skyedge.serve`."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import tyro

from edge_runtime.child import Child
from edge_runtime.cores import usable_cores
from edge_runtime.errors import InputError
from edge_runtime.segment.mask import MaskOptions
from edge_runtime.segmenter import DEFAULT_MODEL, load_models


@dataclass(frozen=True)
class Serve:
    """Serve POST /mask and POST /remove (an image file in, a PNG out), GET /health and /metrics. There is no login and no TLS."""

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
    workers: int = 0
    """Processes, each with one image at a time and one thread; 0 = one more than cores."""
    queue: int = 128
    """Images that wait for them, in order; more are answered with 503 and Retry-After."""
    head_seconds: float = 10.0
    """Time for the head of a request, and for silence between two on a connection."""
    body_seconds: float = 30.0
    """Time for the image to arrive."""
    seconds: float = 60.0
    """Time for a whole request, from its head to its answer."""
    self_test: bool = False
    """Serve on a free port for some seconds, ask with one and with many clients, and print the rate and times of both."""


def main(config: Serve) -> None:
    """Open the model and serve until a signal ends it; `InputError` where the port is taken or a number makes no sense."""
    check(config)
    try:
        import uvicorn

        from skyedge.serve.app import Limits, make_app
        from skyedge.serve.pool import Pool, open_network
        from skyedge.serve.protocol import bind, with_deadlines
    except ImportError as error:
        raise InputError(f"serving needs FastAPI and uvicorn ({error}); install them: pip install 'skyedge[serve]'") from error
    models = config.model or (DEFAULT_MODEL,)
    names = [artifact.spec.name for artifact in load_models(models, 1, check=True).artifacts]
    most_pixels, options = round(config.max_megapixels * 1e6), MaskOptions(exact=config.exact)
    count = config.workers or usable_cores() + 1  # while one hands over its image, another computes
    pool = Pool(lambda: Child(open_network, models, options, most_pixels), count, config.queue, config.seconds)
    limits = Limits(round(config.max_megabytes * 1e6), most_pixels, config.queue or 1, config.body_seconds, config.seconds)
    logs = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
    logs["handlers"]["access"]["stream"] = "ext://sys.stderr"  # stdout has the address; nobody may read on there
    settings = uvicorn.Config(
        make_app(pool, limits, names),
        config.host,
        0 if config.self_test else config.port,
        http=with_deadlines(config.head_seconds, config.seconds + config.body_seconds),
        log_config=logs,
        log_level="warning" if config.self_test else "info",
        timeout_keep_alive=round(config.head_seconds),
        timeout_graceful_shutdown=round(config.seconds),
        backlog=1024,
    )
    listening = bind(settings)
    try:
        pool.warm()
        listening.listen(settings.backlog)  # from here on requests wait until the server is up
        server = uvicorn.Server(settings)
        if config.self_test:
            from skyedge.serve.self_test import measure

            print(measure(server, listening))
        else:
            print(f"serving on http://{config.host}:{listening.getsockname()[1]}", flush=True)
            server.run([listening])
    finally:
        pool.close()


def check(config: Serve) -> None:
    """Raise `InputError` where a number makes no sense."""
    if not 0 <= config.port <= 65535:
        raise InputError(f"got --port {config.port}, expected 0 to 65535")
    if not (config.max_megabytes > 0 and 0 < config.max_megapixels <= 178):  # NaN fails both
        got = f"--max-megabytes {config.max_megabytes} and --max-megapixels {config.max_megapixels}"
        raise InputError(f"got {got}, expected more than 0, and at most 178 megapixels")
    if not 0 <= config.workers <= 64:
        raise InputError(f"got --workers {config.workers}, expected 1 to 64, or 0 for one more than cores")
    if not 0 <= config.queue <= 10_000:
        raise InputError(f"got --queue {config.queue}, expected 0 to 10000; each image may take --max-megabytes of memory")
    for name in ("head_seconds", "body_seconds", "seconds"):
        if not 0 < getattr(config, name) <= 3600:
            raise InputError(f"got --{name.replace('_', '-')} {getattr(config, name)}, expected more than 0, up to 3600")
