"""The web application: an image file as the body of a POST, a PNG as the answer, errors as JSON with a `detail`."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import time
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.requests import ClientDisconnect

from edge_runtime.child import EndedError
from edge_runtime.images.formats import SAFE_FORMATS
from skyedge.serve.metrics import Metrics
from skyedge.serve.pool import Pool, Refused

PROBLEM = {
    "type": "object",
    "required": ["detail"],
    "properties": {"detail": {"type": "string"}},
    "example": {"detail": f"got 8 bytes that are no image, expected {', '.join(SAFE_FORMATS)}"},
}
REASONS = {
    400: "The image is broken.",
    408: "The image did not arrive in time.",
    413: "The file or the image is too large.",
    415: "The body is no image.",
    500: "The image ended the process that worked on it.",
    503: "Too many images wait; try again after the seconds that Retry-After says.",
}
DOCUMENTED: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: {"description": "An image of the same size.", "content": {"image/png": {"schema": {"format": "binary"}}}},
        **{status: {"description": why, "content": {"application/json": {"schema": PROBLEM}}} for status, why in REASONS.items()},
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": "The image file itself, as in `curl --data-binary @photo.jpg`.",
            "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("image/jpeg", "image/png")},
        }
    },
}


@dataclass(frozen=True)
class Limits:
    """What a request may take."""

    most_bytes: int
    most_pixels: int
    most_uploads: int  # that arrive at the same time
    body_s: float
    whole_s: float


def make_app(pool: Pool, limits: Limits, models: list[str]) -> FastAPI:
    """Return the application. Larger files and images are refused before they are read, or decoded."""
    version = importlib.metadata.version("skyedge")
    app = FastAPI(title="skyedge", version=version, description="The sky of photographs.")
    metrics = Metrics()
    uploads = 0

    @app.exception_handler(Refused)
    async def refuse(_request: Request, error: Refused) -> Response:
        headers = {"Retry-After": str(pool.wait_s())} if error.status == 503 else {}
        return JSONResponse({"detail": error.detail}, error.status, headers)

    async def answered(request: Request, verb: str) -> Response:
        nonlocal uploads
        start = time.monotonic()
        status = 499  # the client left
        try:
            if pool.full() or uploads >= limits.most_uploads:
                await _discard(request, limits)
                raise Refused(503, f"got an image while {pool.inside} wait, expected fewer; try again in {pool.wait_s()} s")
            uploads += 1
            try:
                async with asyncio.timeout(limits.body_s):
                    content = await _body(request, limits.most_bytes)
            except TimeoutError as error:
                raise Refused(
                    408, f"got no whole image in {limits.body_s:g} s, expected it sooner; send a smaller one"
                ) from error
            finally:
                uploads -= 1
            if pool.full():
                raise Refused(503, f"got an image while {pool.inside} wait, expected fewer; try again in {pool.wait_s()} s")
            png = await _unless_gone(request, pool.answer(verb, content), start + limits.whole_s - time.monotonic())
            status = 200
            return Response(png, media_type="image/png")
        except ClientDisconnect:
            return Response(status_code=status)  # nobody reads it
        except EndedError as error:
            status = 500
            raise Refused(status, f"the image ended the process that worked on it: {error}") from error
        except Refused as error:
            status = error.status
            raise
        finally:
            metrics.count(f"/{verb}", status, time.monotonic() - start)

    @app.post("/mask", **DOCUMENTED)
    async def mask(request: Request) -> Response:
        """Return the mask, gray, 8-bit: 255 times the probability of sky, at the size of the upright image."""
        return await answered(request, "mask")

    @app.post("/remove", **DOCUMENTED)
    async def remove(request: Request) -> Response:
        """Return the image, RGBA, with a transparent sky."""
        return await answered(request, "remove")

    @app.get("/health")
    async def health() -> dict[str, object]:
        """Tell that the server is up, and what it runs."""
        found = {"status": "ok", "version": version, "models": models, "images_inside": pool.inside}
        return found | {"max_bytes": limits.most_bytes, "max_pixels": limits.most_pixels}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics_text() -> str:
        """Return counts and times for Prometheus."""
        return metrics.text(pool.inside)

    return app


async def _unless_gone(request: Request, answer: asyncio.Future[bytes], limit_s: float) -> bytes:
    """Return the answer. It is given up where the client leaves, and refused where it takes too long."""
    gone: asyncio.Future[Any] = asyncio.ensure_future(request.receive())
    both: set[asyncio.Future[Any]] = {answer, gone}
    try:
        done, _ = await asyncio.wait(both, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if answer in done:
            return answer.result()
        answer.cancel()
        if done:
            raise ClientDisconnect
        raise Refused(503, "got no answer in time, expected one; try again later")
    finally:
        gone.cancel()


async def _discard(request: Request, limits: Limits) -> None:
    """Take in the body of a request that is refused: a connection that is closed before that loses the answer."""
    left = limits.most_bytes if "expect" not in request.headers else 0  # who expects 100 sends nothing yet
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limits.body_s):
            async for part in request.stream():
                if (left := left - len(part)) < 0:
                    return


async def _body(request: Request, most_bytes: int) -> bytes:
    """Read the body, at most so many bytes, whatever its header promises."""
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/"):
        raise Refused(415, f"got {kind.partition(';')[0]}, expected the image file itself as the body (curl --data-binary)")
    too_large = Refused(413, f"got more than {most_bytes} bytes, expected at most that; send a smaller image")
    promised = request.headers.get("content-length", "")
    if promised.isdecimal() and int(promised) > most_bytes:
        raise too_large
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most_bytes:
            raise too_large
    return bytes(content)
