"""The real server on loopback: masks, limits, bursts, deadlines, errors, and its end."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import uvicorn
from PIL import Image

from edge_runtime.images.resize import to_mask8
from edge_runtime.masks.cutout import remove_sky
from edge_runtime.segmenter import Segmenter
from scenes.render import generate
from skyedge.serve.protocol import bind

pytestmark = pytest.mark.slow
LIMITS = ("--max-megabytes", "0.2", "--max-megapixels", "0.05", "--head-seconds", "3", "--body-seconds", "3", "--workers", "1")
QUEUE = 8


def start(*words: str, log: Path | None = None) -> tuple[subprocess.Popen[str], str]:
    """Start a server on a free port; return it and its address."""
    command = [sys.executable, "-m", "skyedge", "serve", "--port", "0", *words]
    with open(log or "/dev/null", "w") as file:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("serving on http://127.0.0.1:"), line
    return process, line.split()[-1]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serve") / "log"


@pytest.fixture(scope="module")
def server(log: Path) -> Iterator[str]:
    process, address = start(*LIMITS, "--queue", str(QUEUE), log=log)
    yield address
    process.terminate()
    process.wait(timeout=60)


def connect(address: str, content: bytes = b"") -> socket.socket:
    """Return a connection to a server on which `content` was sent."""
    connection = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=60)
    connection.sendall(content)
    return connection


def read_all(connection: socket.socket) -> bytes:
    """Return what the server sends until it closes the connection."""
    with connection:
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())


def health(address: str) -> float:
    """Return the seconds in which the server tells that it is up."""
    begin = time.monotonic()
    assert json.loads(get(f"{address}/health"))["status"] == "ok"
    return time.monotonic() - begin


def post(url: str, content: bytes, kind: str = "image/png") -> tuple[int, bytes]:
    """Return status and body of the answer."""
    request = urllib.request.Request(url, content, {"Content-Type": kind}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.headers["Content-Type"] == "image/png"
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def png(image: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.fixture(scope="module")
def scenes() -> list[np.ndarray]:
    return [generate(seed, (120 + 10 * seed, 160), "mountain", "clear").image for seed in range(1, 7)]


def test_masks_and_images_without_sky(server: str, scenes: list[np.ndarray]) -> None:
    segmenter = Segmenter.load("unet_lite_s")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda image: post(f"{server}/mask", png(image)), scenes))
    for image, (status, content) in zip(scenes, answers, strict=True):
        assert status == 200 and np.array_equal(pixels(content), to_mask8(segmenter(image)))
    status, content = post(f"{server}/remove", png(scenes[0]), "application/octet-stream")
    assert status == 200 and np.array_equal(pixels(content), remove_sky(scenes[0]))


def test_health_says_what_runs(server: str) -> None:
    said = json.loads(get(f"{server}/health"))
    assert said["models"] == ["unet_lite_s-192-fp32-onnx"]
    assert (said["max_bytes"], said["max_pixels"], said["images_inside"]) == (200_000, 50_000, 0)


def test_a_burst_waits_in_order_and_the_surplus_is_told_when_to_come_again(server: str, scenes: list[np.ndarray]) -> None:
    body = png(scenes[0])
    head = f"POST /mask HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    connections = [connect(server, head + body) for _ in range(60)]
    assert health(server) < 5
    answers = [read_all(connection) for connection in connections]
    good = [answer for answer in answers if answer.startswith(b"HTTP/1.1 200")]
    surplus = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503")]
    assert len(good) >= QUEUE + 1 and surplus and len(good) + len(surplus) == 60
    assert len({answer.partition(b"\r\n\r\n")[2] for answer in good}) == 1
    for answer in surplus:
        assert re.search(rb"\r\nretry-after: [1-9]\d*\r\n", answer) and b"expected fewer; try again in" in answer
    counts = dict(re.findall(r'skyedge_requests_total{path="/mask",status="(\d+)"} (\d+)', get(f"{server}/metrics").decode()))
    assert int(counts["200"]) >= len(good) and int(counts["503"]) >= len(surplus)


def test_a_png_follows_its_head_at_once() -> None:
    with bind(uvicorn.Config("nothing:app", "127.0.0.1", 0)) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_silent_connections_lock_nothing_and_are_ended(server: str) -> None:
    begin = time.monotonic()
    silent = [connect(server, part) for part in (b"", b"POST /mask HTTP/1.1\r\nHost: x\r\n") * 150]
    assert health(server) < 5
    said = [read_all(connection) for connection in silent]
    assert time.monotonic() - begin < 30
    assert set(said[0::2]) == {b""} and all(answer.startswith(b"HTTP/1.1 408") for answer in said[1::2])


def test_a_stalled_upload_has_a_time_limit(server: str) -> None:
    stalled = connect(server, b"POST /mask HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
    assert b"got no whole image in 3 s, expected it sooner" in read_all(stalled)


def test_clients_that_leave_cost_a_line_each_at_most(server: str, log: Path, scenes: list[np.ndarray]) -> None:
    body = png(scenes[0])
    for number in range(40):
        head = f"POST /mask HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        connect(server, head + body[: len(body) * (number % 2 + 1) // 2]).close()
    health(server)
    assert post(f"{server}/mask", body)[0] == 200
    assert "Traceback" not in log.read_text()


def test_a_process_that_dies_costs_its_image_alone(server: str, scenes: list[np.ndarray]) -> None:
    port = int(server.rpartition(":")[2])
    (main,) = [each for each in psutil.Process().children() if port in {c.laddr.port for c in each.net_connections()}]
    (worker,) = main.children()
    with ThreadPoolExecutor(QUEUE) as pool:
        asked = [pool.submit(post, f"{server}/mask", png(scenes[0])) for _ in range(QUEUE)]
        time.sleep(0.05)
        worker.kill()
        codes = sorted(each.result()[0] for each in asked)
    assert codes[:-1] == [200] * (QUEUE - 1) and codes[-1] in (200, 500)


@pytest.mark.parametrize(
    ("content", "kind", "status", "message"),
    [
        (b"x" * 200_001, "image/png", 413, "got more than 200000 bytes, expected at most that"),
        (png(np.zeros((251, 200, 3), np.uint8)), "image/png", 413, "got an image of 200 x 251, expected at most 50000 pixels"),
        (b"no image", "image/png", 415, "got 8 bytes that are no image, expected PNG, JPEG, "),
        (b"", "image/png", 415, "got 0 bytes that are no image"),
        (b"--x", "multipart/form-data; boundary=x", 415, "got multipart/form-data, expected the image file itself"),
        (png(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8))[:9000], "image/png", 400, "cannot read the image"),
    ],
)
def test_what_is_refused(server: str, content: bytes, kind: str, status: int, message: str) -> None:
    got, said = post(f"{server}/mask", content, kind)
    assert got == status and json.loads(said)["detail"].startswith(message)
    health(server)


def test_a_body_without_a_length_is_bounded_too(server: str) -> None:
    request = urllib.request.Request(f"{server}/mask", iter([b"x" * 100_000] * 3), {"Content-Type": "image/png"})
    with pytest.raises((urllib.error.HTTPError, ConnectionError, urllib.error.URLError)) as raised:
        urllib.request.urlopen(request, timeout=60)
    assert getattr(raised.value, "code", 413) == 413


def test_signals_end_it_after_what_is_at_work_and_a_port_is_taken_once(scenes: list[np.ndarray]) -> None:
    process, address = start("--workers", "1")
    port = address.rpartition(":")[2]
    second = subprocess.run([sys.executable, "-m", "skyedge", "serve", "--port", port], capture_output=True, text=True)
    assert second.returncode == 2 and f"got port {port} of 127.0.0.1, expected a free one" in second.stderr
    codes: list[int] = []
    large = png(scenes[0].repeat(8, 0).repeat(8, 1))
    threads = [threading.Thread(target=lambda: codes.append(post(f"{address}/mask", large)[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    while json.loads(get(f"{address}/health"))["images_inside"] != 4 and not codes:
        pass
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    for thread in threads:
        thread.join()
    assert codes == [200] * 4


def test_the_self_test_tells_rate_and_times() -> None:
    done = subprocess.run([sys.executable, "-m", "skyedge", "serve", "--self-test"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = re.findall(r"(\d+) clients: +([\d.]+) masks a second, p50 (\d+) ms, p95 (\d+) ms", done.stdout)
    assert [line[0] for line in lines] == ["1", "16"]
    assert all(float(rate) > 0 and 0 < int(p50) <= int(p95) for _, rate, p50, p95 in lines)


@pytest.mark.parametrize(
    "words",
    ["--port 70000", "--max-megapixels nan", "--max-megabytes 0", "--workers 65", "--model none", "--seconds 0", "--queue -1"],
)
def test_bad_numbers_are_refused(words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "skyedge", "serve", *words.split()], capture_output=True, text=True)
    assert done.returncode == 2 and "error: got " in done.stderr and "expected" in done.stderr
