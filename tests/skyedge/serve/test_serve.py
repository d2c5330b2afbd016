"""The real server on loopback: masks, limits, errors, and its end."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from edge_runtime.images.resize import to_mask8
from edge_runtime.masks.cutout import remove_sky
from edge_runtime.segmenter import Segmenter
from scenes.render import generate

LIMITS = ("--max-megabytes", "0.2", "--max-megapixels", "0.05")


def start(*words: str) -> tuple[subprocess.Popen[str], str]:
    """Start a server on a free port; return it and its address."""
    command = [sys.executable, "-m", "skyedge", "serve", "--port", "0", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("serving on http://127.0.0.1:"), line
    return process, line.split()[-1]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    process, address = start(*LIMITS)
    yield address
    process.terminate()
    process.wait(timeout=60)


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


@pytest.mark.slow
def test_masks_and_images_without_sky(server: str, scenes: list[np.ndarray]) -> None:
    segmenter = Segmenter.load("unet_lite_s")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda image: post(f"{server}/mask", png(image)), scenes))
    for image, (status, content) in zip(scenes, answers, strict=True):
        assert status == 200 and np.array_equal(pixels(content), to_mask8(segmenter(image)))
    status, content = post(f"{server}/remove", png(scenes[0]), "application/octet-stream")
    assert status == 200 and np.array_equal(pixels(content), remove_sky(scenes[0]))


@pytest.mark.slow
def test_health_says_what_runs(server: str) -> None:
    with urllib.request.urlopen(f"{server}/health", timeout=60) as answer:
        said = json.load(answer)
    assert said["status"] == "ok" and said["models"] == ["unet_lite_s-192-fp32-onnx"]
    assert (said["max_bytes"], said["max_pixels"]) == (200_000, 50_000)


@pytest.mark.slow
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
    with urllib.request.urlopen(f"{server}/health", timeout=60) as answer:
        assert answer.status == 200


@pytest.mark.slow
def test_a_body_without_a_length_is_bounded_too(server: str) -> None:
    request = urllib.request.Request(f"{server}/mask", iter([b"x" * 100_000] * 3), {"Content-Type": "image/png"})
    with pytest.raises((urllib.error.HTTPError, ConnectionError, urllib.error.URLError)) as raised:
        urllib.request.urlopen(request, timeout=60)
    assert getattr(raised.value, "code", 413) == 413


def test_signals_end_it_and_a_port_is_taken_once() -> None:
    process, address = start("--model", "classical:contour")
    port = address.rpartition(":")[2]
    second = subprocess.run([sys.executable, "-m", "skyedge", "serve", "--port", port], capture_output=True, text=True)
    assert second.returncode == 2 and f"got port {port} of 127.0.0.1, expected a free one" in second.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    "words", [("--port", "70000"), ("--max-megapixels", "nan"), ("--max-megabytes", "0"), ("--workers", "0"), ("--model", "none")]
)
def test_bad_numbers_are_refused(words: tuple[str, str]) -> None:
    done = subprocess.run([sys.executable, "-m", "skyedge", "serve", *words], capture_output=True, text=True)
    assert done.returncode == 2 and "error: got " in done.stderr and "expected" in done.stderr
