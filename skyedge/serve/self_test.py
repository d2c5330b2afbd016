"""`skyedge serve --self-test`: the server that would run, asked by clients of its own over loopback."""

from __future__ import annotations

import asyncio
import io
import socket
import time

import numpy as np
import uvicorn
from PIL import Image

CLIENTS, SECONDS = (1, 16), 5.0
HEIGHT, WIDTH = 1224, 1632


def photo() -> bytes:
    """Return a JPEG of 2 megapixels: a bright gradient above noise."""
    image = np.random.default_rng(0).integers(40, 120, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    image[: HEIGHT // 2] = np.linspace((90, 140, 220), (190, 215, 240), HEIGHT // 2).astype(np.uint8)[:, None]
    image[HEIGHT // 2 :] = image[HEIGHT // 2 :: 8, ::8].repeat(8, 0).repeat(8, 1)[: HEIGHT - HEIGHT // 2, :WIDTH]
    content = io.BytesIO()
    Image.fromarray(image).save(content, "JPEG", quality=90)
    return content.getvalue()


def measure(server: uvicorn.Server, listening: socket.socket) -> str:
    """Serve, ask with 1 and with many clients, and return a line for each."""
    return asyncio.run(_measure(server, listening))


async def _measure(server: uvicorn.Server, listening: socket.socket) -> str:
    serving = asyncio.create_task(server.serve([listening]))
    port, content, lines = listening.getsockname()[1], photo(), []
    head = f"POST /mask HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    for clients in CLIENTS:
        start = time.monotonic()
        each = await asyncio.gather(*(_ask(port, head + content, start + SECONDS) for _ in range(clients)))
        times = sorted(seconds for some in each for seconds in some)
        p50, p95 = np.percentile(times, (50, 95))
        rate = len(times) / (time.monotonic() - start)
        lines.append(f"{clients:3d} clients: {rate:6.1f} masks a second, p50 {1000 * p50:.0f} ms, p95 {1000 * p95:.0f} ms")
    server.should_exit = True
    await serving
    return f"JPEG of {WIDTH} x {HEIGHT}, {len(content)} bytes\n" + "\n".join(lines)


async def _ask(port: int, request: bytes, end: float) -> list[float]:
    """Ask for masks one after the other until `end`; returns the seconds of each."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times = []
    while time.monotonic() < end:
        start = time.monotonic()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if " 200 " not in head:
            raise RuntimeError(f"got {head.splitlines()[0]}, expected 200")
        await reader.readexactly(int(head.partition("content-length: ")[2].split()[0]))
        times.append(time.monotonic() - start)
    writer.close()
    return times
