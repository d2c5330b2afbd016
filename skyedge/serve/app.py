"""The web application: an image file as the body of a POST, a PNG as the answer, errors as JSON with a `detail`."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import anyio
from fastapi import FastAPI, HTTPException, Request, Response
from PIL import UnidentifiedImageError

from edge_runtime.errors import InputError
from edge_runtime.images.formats import DECODE_ERRORS, SAFE_FORMATS, open_image
from edge_runtime.images.mask_file import mask_png
from edge_runtime.masks.cutout import remove_sky
from edge_runtime.segment.mask import MaskOptions, make_mask
from edge_runtime.segmenter import Ensemble, Segmenter

EXPECTED = ", ".join(SAFE_FORMATS)
DOCUMENTED: dict[str, Any] = {
    "response_class": Response,
    "responses": {200: {"content": {"image/png": {}}}, 400: {}, 413: {}, 415: {}},
    "openapi_extra": {"requestBody": {"required": True, "content": {"image/*": {"schema": {"format": "binary"}}}}},
}


def make_app(segmenter: Segmenter | Ensemble, options: MaskOptions, most_bytes: int, most_pixels: int, workers: int) -> FastAPI:
    """Return the application for a network that is open.

    Larger files and images are refused before they are read, or decoded. `workers` images are worked on at a time.
    """
    version = importlib.metadata.version("skyedge")
    app = FastAPI(title="skyedge", version=version)
    limiter = anyio.CapacityLimiter(workers)

    async def answered(request: Request, answer: Callable[[bytes], bytes]) -> Response:
        content = await _body(request, most_bytes)
        png = await anyio.to_thread.run_sync(_png, content, most_pixels, answer, limiter=limiter)
        return Response(png, media_type="image/png")

    @app.post("/mask", **DOCUMENTED)
    async def mask(request: Request) -> Response:
        """Return the mask, gray, 8-bit: 255 times the probability of sky, at the size of the upright image."""
        return await answered(request, lambda content: mask_png(make_mask(content, segmenter, options).mask))

    @app.post("/remove", **DOCUMENTED)
    async def remove(request: Request) -> Response:
        """Return the image, RGBA, with a transparent sky."""
        return await answered(request, lambda content: remove_sky(content, segmenter))

    @app.get("/health")
    async def health() -> dict[str, object]:
        """Tell that the server is up, and what it runs."""
        names = [artifact.spec.name for artifact in segmenter.artifacts]
        return {"status": "ok", "version": version, "models": names, "max_bytes": most_bytes, "max_pixels": most_pixels}

    return app


async def _body(request: Request, most_bytes: int) -> bytes:
    """Read the body, at most so many bytes, whatever its header promises."""
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/"):
        raise HTTPException(415, f"got {kind.partition(';')[0]}, expected the image file itself as the body (curl --data-binary)")
    too_large = HTTPException(413, f"got more than {most_bytes} bytes, expected at most that; send a smaller image")
    promised = request.headers.get("content-length", "")
    if promised.isdecimal() and int(promised) > most_bytes:
        raise too_large
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most_bytes:
            raise too_large
    return bytes(content)


def _png(content: bytes, most_pixels: int, answer: Callable[[bytes], bytes]) -> bytes:
    try:
        with open_image(content, SAFE_FORMATS) as image:
            if image.width * image.height > most_pixels:
                got = f"an image of {image.width} x {image.height}"
                raise HTTPException(413, f"got {got}, expected at most {most_pixels} pixels; send a smaller one")
        return answer(content)
    except UnidentifiedImageError as error:
        raise HTTPException(415, f"got {len(content)} bytes that are no image, expected {EXPECTED}") from error
    except (InputError, *DECODE_ERRORS) as error:
        raise HTTPException(400, f"cannot read the image: {error}") from error
