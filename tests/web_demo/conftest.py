"""The browser demo, built once a session, and what its scenarios found in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from scenes.moving import moving_scene
from scenes.render import generate

NODE = (20, 19)
BUILD_SECONDS = 300
SCENARIO_SECONDS = 900


@pytest.fixture(scope="session")
def node() -> str:
    """Return the path of a Node.js that Vite takes."""
    path = shutil.which("node")
    if path is None or shutil.which("npm") is None:
        pytest.skip("got no Node.js, expected 20.19 or later with npm (docs/web.md)")
    found = tuple(map(int, re.findall(r"\d+", subprocess.check_output([path, "--version"], text=True))[:2]))
    if found < NODE:
        pytest.skip(f"got Node.js {found[0]}.{found[1]}, expected 20.19 or later, which Vite needs (docs/web.md)")
    return path


@pytest.fixture(scope="session")
def web_demo(project_root: Path, node: str, once: Callable[..., Path]) -> Path:
    """Return the folder of the demo with its packages installed and the page built in `dist/`."""

    def make(_: Path) -> None:
        words = ["make", "--no-print-directory", "web-build"]
        made = subprocess.run(words, cwd=project_root, capture_output=True, text=True, timeout=BUILD_SECONDS)
        assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]

    once("web_demo", make)
    return project_root / "web_demo"


@pytest.fixture(scope="session")
def chromium(project_root: Path) -> str:
    """Return the path of a chromium, which Debian's package brings where we may install it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        made = subprocess.run(["make", "web-packages"], cwd=project_root, capture_output=True, text=True, timeout=600)
        found = shutil.which("chromium")
        if made.returncode != 0 or found is None:
            pytest.skip(f"got no chromium, and it cannot be installed here: {made.stderr[-300:]}")
    return found


@pytest.fixture(scope="session")
def units(web_demo: Path, node: str, project_root: Path) -> Callable[[Path, dict[str, Any]], None]:
    """Return a function (folder, job) that runs the engine's modules in Node, as `units.mjs` tells."""

    def run(folder: Path, job: dict[str, Any]) -> None:
        path = folder / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        script = project_root / "tests" / "web_demo" / "units.mjs"
        done = subprocess.run([node, str(script), str(web_demo), str(path)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-3000:]

    return run


@pytest.fixture(scope="session")
def moving_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a moving scene, 640 x 480 at 60 frames a second, as chromium's fake camera wants it."""
    path = tmp_path_factory.mktemp("camera") / "clip.y4m"
    write_y4m(path, frames=30)
    return path


def write_y4m(path: Path, frames: int) -> None:
    """Write a handheld scene as raw YUV 4:2:0."""
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W640 H480 F60:1 Ip A1:1 C420mpeg2\n")
        for frame in moving_scene(4, frames, (480, 640), "handheld"):
            file.write(b"FRAME\n" + cv2.cvtColor(frame.image, cv2.COLOR_RGB2YUV_I420).tobytes())


@pytest.fixture(scope="session")
def found(
    web_demo: Path, chromium: str, node: str, project_root: Path, moving_clip: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Return what each scenario of `scenarios.mjs` found; one that broke has the key `broke`, and `folder` is where files lie."""
    folder = tmp_path_factory.mktemp("browser")
    write_images(folder)
    job = folder / "job.json"
    job.write_text(json.dumps({"demo": str(web_demo), "folder": str(folder), "clip": str(moving_clip)}), encoding="utf-8")
    script = project_root / "tests" / "web_demo" / "run.mjs"
    environment = {**os.environ, "CHROMIUM": chromium}
    done = subprocess.run(
        [node, str(script), str(job)], capture_output=True, text=True, timeout=SCENARIO_SECONDS, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {"folder": folder, **json.loads((folder / "found.json").read_text(encoding="utf-8"))}


def write_images(folder: Path) -> None:
    """Write what the scenarios open: a scene, a portrait, a broken file and a huge image."""
    scene = generate(527, (480, 640)).image
    Image.fromarray(scene).save(folder / "scene.png")
    Image.fromarray(generate(529, (300, 201)).image).save(folder / "portrait.png")
    (folder / "broken.png").write_bytes((folder / "scene.png").read_bytes()[:2000])
    Image.fromarray(scene).resize((6000, 4500)).save(folder / "huge.jpg", quality=60)
    Image.fromarray(generate(1000, (480, 640), kind="indoor").image).save(folder / "room.png")
    Image.new("RGB", (320, 240), (200, 30, 40)).save(folder / "red.png")
    Image.fromarray(scene // 2 + np.uint8([0, 100, 0])).save(folder / "p3.png", icc_profile=display_p3())


def display_p3() -> bytes:
    """Return an ICC profile with Display P3's primaries and a gamma of 2.2."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * value) for value in values))

    text = b"desc\0\0\0\0" + struct.pack(">I", 3) + b"P3\0" + bytes(79)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags = {
        b"desc": text,
        b"cprt": b"text\0\0\0\0CC0\0",
        b"wtpt": xyz(0.9642, 1, 0.8249),
        b"rXYZ": xyz(0.5151, 0.2412, -0.0011),
        b"gXYZ": xyz(0.2920, 0.6922, 0.0419),
        b"bXYZ": xyz(0.1571, 0.0666, 0.7841),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    at, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    head = struct.pack(">I4xI", at + len(body), 0x02400000) + b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    return head + struct.pack(">3i", 63190, 65536, 54061) + bytes(48) + table + body
