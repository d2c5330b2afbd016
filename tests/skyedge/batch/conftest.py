"""What the tests of archives share: images, the command, and reading what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
STARTED: list[subprocess.Popen[str]] = []
MODEL = ROOT / "models" / "unet_lite_s" / "onnx-int8"


@dataclass(frozen=True)
class Archive:
    """A command line of skyedge.batch, ready to run."""

    source: str
    dest: str
    flags: tuple[str, ...] = ("--workers", "2", "--shard", "8")
    environment: tuple[tuple[str, str], ...] = ()
    python: tuple[str | Path, ...] = (sys.executable,)

    def start(self, *flags: str | Path) -> subprocess.Popen[str]:
        words = [*self.python, "-m", "skyedge.batch", self.source, "--model", MODEL, "--out", self.dest, *self.flags, *flags]
        paths = (*(value for name, value in self.environment if name == "EXTRA_PATH"), str(ROOT))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | dict(self.environment)
        process = subprocess.Popen(
            list(map(str, words)), cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        STARTED.append(process)
        return process

    def run(self, *flags: str | Path, code: int = 0) -> str:
        """Run it to its end; returns what it said on stdout and stderr."""
        return ended(self.start(*flags), code)

    def rows(self, dest: Path | None = None) -> list[dict[str, Any]]:
        """Return the records of all committed shards with their masks, in the order of their URIs."""
        from skyedge.batch.shards import SHARDS, finished
        from skyedge.batch.storage import place

        folder = place(str(dest or self.dest))
        found: list[dict[str, Any]] = []
        for manifest in finished(folder).values():
            rows = list(read_rows(folder, folder / SHARDS / manifest.file))
            assert len(rows) == manifest.images and sum(row["error"] is not None for row in rows) == manifest.failed
            found += rows
        return sorted(found, key=lambda row: row["uri"])

    def summary(self) -> dict[str, Any]:
        return json.loads((Path(self.dest) / "summary.json").read_text())


def read_rows(dest: Any, where: Any) -> Iterator[dict[str, Any]]:
    """Yield the records of the file of a shard, with their masks."""
    from skyedge.batch.storage import read_bytes

    with where.filesystem.open(where.path, "rb") as file:
        if where.path.endswith(".jsonl"):
            for line in file:
                row = json.loads(line)
                yield row | {"mask": row["mask_path"] and read_bytes(dest / row["mask_path"])}
            return
        with tarfile.open(fileobj=file, mode="r:") as tar:
            mask = None
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                if member.name.endswith(".json"):
                    yield json.load(content) | {"mask": mask}
                    mask = None
                else:
                    mask = content.read()


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    out, err = process.communicate(timeout=500)
    assert process.returncode == code, out + err
    return out + err


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str] | None = None, limit_s: float = 300.0) -> Any:
    """Wait until `condition` is true; fails where the process ends before, or the time does."""
    end = time.monotonic() + limit_s
    while not (value := condition()):
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return value


@pytest.fixture(scope="session")
def make_images() -> Callable[..., Path]:
    """Return a function (folder, count) that fills a folder with as many images, drawn from 12 scenes with other pixels each."""
    from PIL import Image

    from scenes.render import generate

    scenes = [generate(seed, (144, 192)).image for seed in range(12)]

    def make(folder: Path, count: int, suffix: str = "jpg") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = scenes[number % len(scenes)].copy()
            image[:2, :16] = [number % 256, number // 256 % 256, 99]  # no two alike
            Image.fromarray(image).save(folder / f"{number:05d}.{suffix}", quality=92)
        return folder

    return make


@pytest.fixture
def tools() -> Iterator[Any]:
    """Return this module: `Archive`, `ended`, `wait_for`. What a test that fails leaves running is ended."""
    yield sys.modules[__name__]
    for process in STARTED:
        if process.poll() is None:
            process.kill()
            process.wait()
    STARTED.clear()
