"""From file to file beside other tools, on the same photos: `python studies/peers.py --public build/u2netp_public-onnx`.

The photos of docs/photos are saved as JPEG at 0.3, 2 and 12 megapixels. Each tool makes a mask file of each with one thread,
rembg and MediaPipe in environments of their own (`python -m export.consumers.environments NAME`). `--public` is the public
U2-Netp (xiongzhu666/Sky-Segmentation-and-Post-processing), exported from a checkpoint by export/to_onnx.py; its script is
written out with the same calls, and so is this project at commit 7379ebd. rembg loads its weights from a place that is no package
registry, so its code runs the public U2-Netp, of the architecture of its smallest network. Times are of the CPU, which
other programs on the machine change least.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from edge_runtime.benchmark.file_to_file import STEPS, time_steps
from edge_runtime.benchmark.machine import describe_machine
from edge_runtime.benchmark.memory import measure_apart
from edge_runtime.cores import limit_threads
from edge_runtime.errors import InputError
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.network_input import to_nchw
from edge_runtime.images.resize import resize_rgb
from edge_runtime.models import read_model
from edge_runtime.segmenter import Segmenter
from export.consumers.environments import python_of
from skyedge.skyseg import Skyseg, make
from studies.harness import PROJECT_ROOT, RESULTS, Figures, Study, StudyConfig, model_facts, require, table

MEGAPIXELS = (0.3, 2.0, 12.0)
QUALITY = 90
ALONE, NOW, EXACT, BEFORE = "decoding in full, alone", "this project", "this project, --exact", "this project at 7379ebd"
LOOP = """
import json, time
spent = []
for photo in sys.argv[3:4] + sys.argv[3:]:
    start = time.process_time()
    segment(photo, sys.argv[2])
    spent.append(1000 * (time.process_time() - start))
print(json.dumps(spent[1:]))
"""
PROGRAMS = {  # environment -> the shortest program of its docs
    "mediapipe": """
import sys, mediapipe as mp, numpy as np
from PIL import Image
from mediapipe.tasks.python import BaseOptions, vision
options = vision.ImageSegmenterOptions(BaseOptions(model_asset_path=sys.argv[1]), output_confidence_masks=True)
segmenter = vision.ImageSegmenter.create_from_options(options)
def segment(photo, out):
    found = segmenter.segment(mp.Image.create_from_file(photo)).confidence_masks[0].numpy_view().squeeze()
    Image.fromarray(np.rint(found * 255).astype(np.uint8)).save(out)
""",
    "rembg": """
import sys
from PIL import Image
from rembg import new_session, remove
session = new_session("u2net_custom", model_path=sys.argv[1], providers=["CPUExecutionProvider"])
def segment(photo, out):
    remove(Image.open(photo), session=session, only_mask=True).save(out)
""",
}


@dataclass(frozen=True, kw_only=True)
class PeersConfig(StudyConfig):
    """Measure photos from file to mask file, here and in other tools."""

    model: str = "unet_lite_s/tflite-int8"
    """Artifact."""
    mediapipe: str = "unet_lite_s/tflite-uint8"
    """Artifact with uint8 ends, as MediaPipe takes it."""
    public: Path | None = None
    """The public U2-Netp as an ONNX artifact."""
    runs: int = 3
    """Rounds over the photos."""
    out: Path = RESULTS / "peers"
    """Folder for NAME.json and NAME.md."""


def measure(config: PeersConfig) -> Iterator[tuple[str, Figures]]:
    """Yield the figures of each size of photo."""
    require(config, 1, "runs")
    if config.public is None:
        raise InputError("got no --public, expected the public U2-Netp as an ONNX artifact; export/to_onnx.py makes it")
    limit_threads(1)
    segmenter, public = Segmenter.load(config.model), Segmenter.load(config.public)
    facts = {"model": model_facts(segmenter.artifact), "machine": describe_machine().cpu}
    with tempfile.TemporaryDirectory() as text:
        folder, out = Path(text), Path(text) / "mask.png"
        make(Skyseg(str(config.public), cut=0.5, out=folder / "public.onnx"))
        files = {"mediapipe": read_model(config.mediapipe).file("model"), "rembg": folder / "public.onnx"}
        sources = sorted((PROJECT_ROOT / "docs" / "photos").glob("*.jpg"))
        sizes = {megapixels: [saved(path, megapixels, folder) for path in sources] for megapixels in MEGAPIXELS}
        outside = {tool: apart(tool, file, out, sum(sizes.values(), [])) for tool, file in files.items() if python_of(tool)}
        for number, (megapixels, photos) in enumerate(sizes.items()):
            steps = {}
            for name, exact in ((NOW, False), (EXACT, True)):
                runs = [time_steps(photo, segmenter, config.runs, exact, time.process_time_ns) for photo in photos]
                steps[name] = {step: float(np.median([run[step] for run in runs])) / 1000 for step in STEPS}
            steps[BEFORE] = dict(zip(STEPS, timed(before(segmenter, out), photos, config.runs), strict=True))
            times = {name: sum(each.values()) for name, each in steps.items()}
            for name, way in ((ALONE, read_rgb), ("public U2-Netp, its script", lambda photo: script(photo, public, out))):
                (times[name],) = timed([way], photos, config.runs)
            times |= {tool: float(np.median(spent[number])) for tool, spent in outside.items()}
            peaks = {
                name: measure_apart(segmenter.artifact.folder, 1, "cpu", "--photo", str(photos[0]), *more).peak_bytes
                for name, more in ((NOW, ()), (EXACT, ("--exact",)))
            }
            times = {name: round(ms, 3) for name, ms in times.items()}
            steps = {name: {step: round(ms, 3) for step, ms in each.items()} for name, each in steps.items()}
            measured = {"photos": len(photos), "cpu_ms": times, "steps": steps, "peak_bytes": peaks}
            yield f"{megapixels:g}_megapixels", {"megapixels": megapixels, **facts, **measured}


def saved(path: Path, megapixels: float, folder: Path) -> Path:
    """Save a photo at a size as JPEG; returns where."""
    out = folder / f"{megapixels:g}_{path.name}"
    with Image.open(path) as opened:
        factor = (megapixels * 1e6 / (opened.width * opened.height)) ** 0.5
        size = (round(opened.width * factor), round(opened.height * factor))
        opened.resize(size, Image.Resampling.LANCZOS).save(out, quality=QUALITY)
    return out


def timed(steps: Sequence[Callable[[Any], Any]], photos: list[Path], runs: int) -> list[float]:
    """Return the median CPU milliseconds of each step, which takes what the one before gives; a first run fills the caches."""
    spent = []
    for value in [photos[0], *photos * runs]:
        at = [time.process_time()]
        for step in steps:
            value = step(value)
            at.append(time.process_time())
        spent.append(np.diff(at))
    return (1000 * np.median(spent[1:], axis=0)).tolist()  # type: ignore[no-any-return]


def before(segmenter: Segmenter, out: Path) -> list[Callable[[Any], Any]]:
    """Return the steps as they were: all is decoded, and a float map of the photo's size becomes Pillow's default PNG."""

    def enlarge(given: tuple[np.ndarray, tuple[int, ...]]) -> np.ndarray:
        large = cv2.resize(given[0], given[1][1::-1], interpolation=cv2.INTER_LINEAR)
        return np.rint(np.clip(large, 0.0, 1.0) * 255.0).astype(np.uint8)

    return [
        read_rgb,
        lambda image: (resize_rgb(image, *segmenter.artifact.size), image.shape),
        lambda given: (segmenter.backend.run(given[0]), given[1]),
        enlarge,
        lambda mask: Image.fromarray(mask).save(out),
    ]


def script(photo: Path, public: Segmenter, out: Path) -> None:
    """Do what the public network's script does with a photo."""
    image = cv2.imread(str(photo))
    assert image is not None
    height, width = public.artifact.size
    small = cv2.cvtColor(cv2.resize(image, (width, height)), cv2.COLOR_BGR2RGB)
    session = public.backend.session  # type: ignore[attr-defined]
    found = np.squeeze(session.run(None, {session.get_inputs()[0].name: to_nchw(small)})[0])
    levels = (255 * (found - found.min()) / (found.max() - found.min() + 1e-9)).astype(np.uint8)
    cv2.imwrite(str(out), cv2.resize(levels, image.shape[1::-1]))


def apart(tool: str, model: Path, out: Path, photos: list[Path]) -> list[list[float]]:
    """Return the CPU milliseconds of each photo in a tool of another environment, by size."""
    words = [python_of(tool), "-c", PROGRAMS[tool] + LOOP, model, out, *photos]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "REMBG_HOME": str(model.parent)}
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise InputError(f"got an error of {tool}, expected masks: {done.stderr[-500:]}")
    return np.reshape(json.loads(done.stdout.splitlines()[-1]), (len(MEGAPIXELS), -1)).tolist()  # type: ignore[no-any-return]


def page(figures: Figures) -> list[str]:
    """Return the tables."""
    times = figures["cpu_ms"]
    rows = [
        (name, f"{times[name] / times[NOW]:.2f}", f"{times[name] / times[ALONE]:.2f}") for name in sorted(times, key=times.get)
    ]
    mib = {name: f"{peak / 2**20:.0f}" for name, peak in figures["peak_bytes"].items()}
    steps = [
        (name, *(f"{ms:.1f}" for ms in each.values()), f"{times[name]:.1f}", mib.get(name))
        for name, each in figures["steps"].items()
    ]
    return [
        f"{figures['photos']} JPEGs of {figures['megapixels']:g} megapixels, quality {QUALITY}; one thread of "
        f"{figures['machine']}, {figures['model']['name']}. CPU time of a photo, medians, all in one run.",
        "",
        *table(["CPU time from file to file", "of this project's", "of decoding alone"], "lrr", rows),
        "",
        *table(["ms", *STEPS, "sum", "peak RSS, MiB"], "l" + "r" * 7, steps),
    ]


STUDY = Study("peers", "From file to file: {megapixels:g} megapixels", PeersConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
