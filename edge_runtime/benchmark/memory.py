"""Peak RSS of one artifact, in its own process: `python -m edge_runtime.benchmark.memory ARTIFACT`.

The benchmark starts such a process for each artifact, since the peak of one would count for the next. It reads VmHWM: on Linux a
new process inherits `ru_maxrss` of the one that starts it (measured: 788 MiB for an interpreter of 9 MiB).
"""

from __future__ import annotations
from edge_runtime.cli import run_command

import dataclasses
import importlib
import json
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends import FORMATS
from edge_runtime.benchmark.results import Memory
from edge_runtime.errors import InputError
from edge_runtime.images.mask_file import mask_png
from edge_runtime.images.resize import resize_rgb
from edge_runtime.models import read_model
from edge_runtime.segment.mask import MaskOptions, make_mask
from edge_runtime.segmenter import Segmenter

STATUS = Path("/proc/self/status")
FRAME_HEIGHT, FRAME_WIDTH = 480, 640
FRAMES = 3  # before the peak is read
LIMIT_SECONDS = 900  # for opening an artifact and three masks


@dataclass(frozen=True)
class PeakMemory:
    """Run an artifact a few times and print its peak RSS as JSON."""

    artifact: Annotated[Path, tyro.conf.Positional]
    """Artifact folder, or a name such as classical:contour."""
    threads: int = 1
    """Threads of the interpreter."""
    device: str = "cpu"
    """cpu, cuda or tensorrt; memory on the GPU is not counted."""
    photo: Path | None = None
    """Go from this photo's file to a PNG, not from a frame of 640 x 480 in memory to its mask."""
    exact: bool = False
    """Decode the photo in full."""


def measure_here(config: PeakMemory) -> Memory:
    """Open and run the artifact in this process, which must have done nothing else before."""
    artifact = read_model(config.artifact)
    frame = camera_frame(artifact)
    _import_interpreter(artifact.spec.format)
    baseline, _ = resident_bytes("VmRSS")
    segmenter = Segmenter.load(config.artifact, threads=config.threads, device=config.device)
    for _ in range(FRAMES):
        if config.photo is None:
            segmenter.mask8(frame)
        else:
            mask_png(make_mask(config.photo, segmenter, MaskOptions(exact=config.exact)).mask)
    peak, method = resident_bytes("VmHWM")
    return Memory(method, baseline, peak, FRAMES, config.threads)


def measure_apart(folder: Path, threads: int, device: str, *more: str) -> Memory:
    """Measure in a new process, with `more` flags. A crash of native code becomes an `InputError` that names the artifact."""
    words = (str(folder), "--threads", str(threads), "--device", device, *more)
    command = [sys.executable, "-m", "edge_runtime.benchmark.memory", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"artifact {folder} does not run: got no mask in {LIMIT_SECONDS} s, expected three; leave it out of --models"
        ) from error
    if done.returncode == 0:
        return Memory(**json.loads(done.stdout.splitlines()[-1]))
    last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no message")
    how = f"was ended by signal {-done.returncode}" if done.returncode < 0 else f"gave exit code {done.returncode}"
    raise InputError(
        f"artifact {folder} does not run: its process {how} ({last.removeprefix('error: ')}); "
        f"expected three masks; run `python -m edge_runtime.verify {folder}` and export it again"
    )


def camera_frame(artifact: Artifact) -> np.ndarray:
    """Return the artifact's golden scene as a camera frame, (480, 640, 3) uint8 RGB."""
    return resize_rgb(artifact.golden().input, FRAME_HEIGHT, FRAME_WIDTH)


def _import_interpreter(artifact_format: str) -> None:
    """Import what the backend will import. If nothing can be imported, opening the artifact says what is missing."""
    for name in FORMATS[artifact_format].installed():
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        return


def resident_bytes(field: str) -> tuple[int, str]:
    """Return `field` of this process in bytes and the method; some containers and systems have only ru_maxrss."""
    status = STATUS.read_text() if STATUS.is_file() else ""
    found = re.search(rf"^{field}:\s*(\d+) kB", status, re.MULTILINE)
    if found:
        return int(found.group(1)) * 1024, field
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024, "ru_maxrss"


def main(config: PeakMemory) -> None:
    """Print the memory as one line of JSON."""
    print(json.dumps(dataclasses.asdict(measure_here(config))))


if __name__ == "__main__":
    run_command(main, PeakMemory)
