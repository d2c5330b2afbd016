"""Segment pictures: `python -m edge_runtime.segment INPUT... --model DIR --out DIR`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import tyro
from PIL import Image, PngImagePlugin

from edge_runtime.artifact import Artifact, file_sha256
from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.image_ops import read_rgb, to_mask8
from edge_runtime.pairs import list_pictures
from edge_runtime.progress import track
from edge_runtime.refine import DEFAULTS, METHOD_VERSION, RefineConfig, refine
from edge_runtime.segmenter import Segmenter

RECORD_KEY = "skyedge"  # PNG text chunk that says how a mask was made; --resume compares it
SKY_TINT, CONTOUR = (255, 0, 110), (255, 230, 0)  # RGB; colours that no sky has
TINT_STRENGTH = 0.45
JPEG_QUALITY, JPEG_SIDE = 90, 65_500


@dataclass(frozen=True)
class Segment:
    """Write the sky mask of every picture: STEM.png, 8-bit, round(255 p), at the upright picture's own size."""

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Pictures, and folders of pictures."""
    model: Path
    """Artifact folder."""
    out: Path
    """Folder for the masks; made where it is missing."""
    overlay: bool = False
    """Also write STEM.overlay.jpg: the picture with its sky tinted and the contour drawn, to judge the mask by eye."""
    refine: bool = False
    """Follow the picture's edges: branches, wires, roofs (edge_runtime/refine.py)."""
    resume: bool = False
    """Keep masks that were made from the same picture by the same model with the same options."""
    threads: int = 1
    """CPU threads of the interpreter."""
    device: Literal["cpu", "cuda"] = "cpu"
    """cuda is for artifacts of format torch."""


@dataclass(frozen=True)
class Job:
    """One picture and the files that it gives."""

    picture: Path
    mask: Path
    overlay: Path


def main(config: Segment) -> None:
    """Segment all pictures; those that cannot be read are named on stderr and make the run end with `InputError`."""
    start = time.monotonic()
    pictures, failures = find_pictures(config.inputs)
    jobs = plan(pictures, config.out)
    segmenter = Segmenter.load(config.model, config.threads, config.device)
    config.out.mkdir(parents=True, exist_ok=True)
    written, kept, total = 0, 0, len(jobs) + len(failures)
    for message in failures:
        _complain(message)
    for job in track(jobs, "segmenting"):
        try:
            if segment_one(job, segmenter, config.overlay, config.resume, DEFAULTS if config.refine else None):
                written += 1
            else:
                kept += 1
        except InputError as error:
            failures.append(str(error))
            _complain(str(error))
    seconds = time.monotonic() - start
    already = f", {kept} kept" if config.resume else ""
    print(f"{written} masks written{already}, {len(failures)} failed, {seconds:.1f} s: {config.out}")
    if failures:
        raise InputError(f"{len(failures)} of {total} inputs failed, named above; all others are done")


def find_pictures(inputs: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return the pictures that `inputs` (files and folders) stand for, each once, and what is wrong with the others."""
    if not inputs:
        raise InputError("got no input, expected pictures or folders of pictures")
    found: dict[tuple[Path, str], Path] = {}
    failures = []
    for path in inputs:
        try:
            listed = list_pictures(path) if path.is_dir() else [path]
        except InputError as error:
            failures.append(str(error))
            continue
        for picture in listed:
            found.setdefault((picture.resolve(), picture.stem), picture)
    return list(found.values()), failures


def plan(pictures: Sequence[Path], out: Path) -> list[Job]:
    """Name the outputs of every picture; raises `InputError` where two are one file, or one is an input."""
    jobs: dict[str, Job] = {}
    sources = {picture.resolve() for picture in pictures}
    for picture in pictures:
        stem = picture.stem
        if stem in jobs:
            raise InputError(
                f"{jobs[stem].picture} and {picture} would both give {out / stem}.png, expected inputs of different "
                "stems; rename one, or segment them into two folders"
            )
        job = Job(picture, out / f"{stem}.png", out / f"{stem}.overlay.jpg")
        for target in (job.mask, job.overlay):
            if target.resolve() in sources:
                raise InputError(f"{target} is an input and would be overwritten; choose another --out than {out}")
        jobs[stem] = job
    return list(jobs.values())


def segment_one(job: Job, segmenter: Segmenter, overlay: bool, resume: bool, refinement: RefineConfig | None = None) -> bool:
    """Segment one picture and return True, or return False where `resume` finds that done.

    `refinement` says how to refine the probability; None leaves it as the network gives it, upsampled bilinearly.

    Raises
    ------
    InputError
        The picture is missing or broken.
    """
    record = describe(job.picture, segmenter.artifact, overlay, refinement)
    if resume and is_done(job, record, overlay):
        return False
    image = read_rgb(job.picture)
    if overlay and max(image.shape) > JPEG_SIDE:
        raise InputError(f"{job.picture} is {image.shape[:2]}, expected sides of at most {JPEG_SIDE} for --overlay")
    probability = segmenter(image) if refinement is None else refine(image, segmenter.coarse(image), refinement)
    if overlay:  # first, so that a mask that is there means that its overlay is too
        picture = Image.fromarray(draw_overlay(image, probability, segmenter.artifact.spec.output.threshold))
        _write(job.overlay, lambda path: picture.save(path, format="JPEG", quality=JPEG_QUALITY))
    text = PngImagePlugin.PngInfo()
    text.add_text(RECORD_KEY, record)
    mask = Image.fromarray(to_mask8(probability))
    _write(job.mask, lambda path: mask.save(path, format="PNG", pnginfo=text))
    return True


def describe(picture: Path, artifact: Artifact, overlay: bool, refinement: RefineConfig | None = None) -> str:
    """Return all that decides a mask, as JSON: two equal texts mean two equal masks."""
    if not picture.is_file():
        raise InputError(f"got {picture}, expected an existing picture")
    try:
        picture_sha256 = file_sha256(picture)
    except OSError as error:
        raise InputError(f"cannot read picture {picture}: {error}; expected a readable file") from error
    contract = [dataclasses.asdict(part) for part in (artifact.spec.input, artifact.spec.output)]
    record = {
        "picture_sha256": picture_sha256,
        "model_sha256": artifact.sha256,
        "contract_sha256": hashlib.sha256(json.dumps(contract).encode()).hexdigest(),
        "overlay": overlay,
    }
    if refinement is not None:  # no key without it, so that masks of releases that could not refine still count
        record["refine"] = {"version": METHOD_VERSION, **dataclasses.asdict(refinement)}
    return json.dumps(record)


def is_done(job: Job, record: str, overlay: bool) -> bool:
    """Tell whether the outputs of `job` are there, whole, and made as `record` says."""
    if not job.mask.is_file() or (overlay and not job.overlay.is_file()):
        return False
    try:
        with Image.open(job.mask) as mask:
            mask.load()  # a mask that a power cut left incomplete fails here
            return mask.info.get(RECORD_KEY) == record
    except (OSError, SyntaxError, ValueError):
        return False


def draw_overlay(image: np.ndarray, probability: np.ndarray, threshold: float) -> np.ndarray:
    """Tint the sky of a picture and draw the contour of its mask.

    Parameters
    ----------
    image
        (H, W, 3) uint8, RGB.
    probability
        (H, W) float32 in [0, 1].
    threshold
        Probability at which the contour runs.

    Returns
    -------
    np.ndarray
        (H, W, 3) uint8, RGB.
    """
    share = (TINT_STRENGTH * probability)[:, :, None]
    tinted = np.rint(image * (1 - share) + np.asarray(SKY_TINT, np.float32) * share).astype(np.uint8)
    sky = (probability >= threshold).astype(np.uint8)
    width = max(1, round(max(image.shape[:2]) / 500))
    # Outside the picture counts as sky here, so that no line runs along its border.
    inside = cv2.erode(sky, np.ones((2 * width + 1, 2 * width + 1), np.uint8))
    tinted[sky != inside] = CONTOUR
    return tinted


def _write(target: Path, save: Callable[[Path], None]) -> None:
    """Let `save` write a file beside `target`, then rename it: a killed run leaves no half file under that name."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        save(partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _complain(message: str) -> None:
    print(f"error: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_command(main, Segment)
