"""The server under load, and against its own description."""

from __future__ import annotations
from edge_runtime.cli import parse

import asyncio
import json
import re
import subprocess
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from export.consumers import environments
from skyedge.serve.run import Serve, check
from skyedge.serve.self_test import photo

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]
CLIENTS, SECONDS = 300, 20.0


async def ask(port: int, request: bytes, end: float, said: Counter[int]) -> None:
    while time.monotonic() < end:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        body = await reader.readexactly(int(head.partition("content-length: ")[2].split()[0]))
        said[code := int(head.split()[1])] += 1
        writer.close()
        assert body.startswith(b"\x89PNG") if code == 200 else json.loads(body)["detail"]
        if code == 503:
            await asyncio.sleep(min(2, int(head.partition("retry-after: ")[2].split()[0])))


async def load(port: int) -> tuple[Counter[int], list[float]]:
    content = photo()
    head = f"POST /mask HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    said: Counter[int] = Counter()
    end = time.monotonic() + SECONDS
    clients = [asyncio.create_task(ask(port, head + content, end, said)) for _ in range(CLIENTS)]
    health = []
    while time.monotonic() < end:
        start = time.monotonic()
        with await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/health", timeout=60):
            health.append(time.monotonic() - start)
        await asyncio.sleep(0.5)
    await asyncio.gather(*clients)
    return said, sorted(health)


def test_three_hundred_clients(serve_on: tuple[str, Path]) -> None:
    address, log = serve_on
    said, health = asyncio.run(load(int(address.rpartition(":")[2])))
    print(f"{dict(said)}, /health: median {health[len(health) // 2]:.3f} s, at most {health[-1]:.3f} s")
    assert set(said) <= {200, 503} and said[200] > 50 and health[-1] < 5
    assert "Traceback" not in log.read_text()


def test_the_server_does_what_its_description_says(serve_on: tuple[str, Path], tmp_path: Path) -> None:
    python, schema = environments.make("contracts"), f"{serve_on[0]}/openapi.json"
    words = [python, "-m", "schemathesis.cli", "run", schema, "--max-examples", "50", "--seed", "1", "--no-color"]
    done = subprocess.run(list(map(str, words)), cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and re.search(r"(\d+) generated, \1 passed", done.stdout), done.stdout[-8000:]


def test_the_containerfile_calls_the_command_as_it_is(project_root: Path) -> None:
    text = (project_root / "Containerfile").read_text()
    (words,) = re.findall(r"^CMD (\[.*\])$", text, flags=re.M)
    verb, *flags = json.loads(words)
    config = parse(flags, Serve)
    check(config)
    assert verb == "serve" and config.host == "0.0.0.0" and f"EXPOSE {config.port}" in text
    for words in re.findall(r"^COPY (?!--from)(.*) /src\S*$", text, flags=re.M):
        assert all((project_root / word).exists() for word in words.split())
