"""Segment images: `python -m edge_runtime.segment INPUT... --model DIR --out DIR`."""

from __future__ import annotations

import dataclasses
import mimetypes
import os
import re
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from edge_runtime.backends import Device
from edge_runtime.errors import InputError
from edge_runtime.images.dataset import scan, tell_skipped
from edge_runtime.masks.presence import Finding, check_min_sky
from edge_runtime.masks.refine import DEFAULTS
from edge_runtime.progress import one_line, track
from edge_runtime.segment.jobs import Job, Options, Outcome, attempt, check_free, plan
from edge_runtime.segment.workers import Work, run_jobs
from edge_runtime.segmenter import DEFAULT_MODEL, load_models

MOST_WORKERS = 256


@dataclass(frozen=True)
class Segment:
    """Write the sky mask of every image: STEM.png, 8-bit, round(255 p), at the upright image's own size."""

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Images, and folders of images; `python -m edge_runtime.video` takes videos."""
    model: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Artifact folder, or the name of a released network; also classical:contour, classical:color, or smooth:DIR, which
    smooths another's mask. Given several times, the models are averaged. Default: unet_lite_s."""
    out: Path = Path("masks")
    """Folder for the masks, made where it is missing; or NAME.png for one image."""
    overlay: bool = False
    """Also write STEM.overlay.jpg: the image with its sky tinted and the contour drawn, to judge the mask by eye."""
    refine: bool = False
    """Follow the image's edges: branches, wires, roofs (edge_runtime/masks/refine.py)."""
    min_sky: float | None = None
    """Smallest share of the image, 0 to 1, that counts as sky: with less the mask is empty and stdout says so. A
    good start is 0.01; results/min_sky/ has its error."""
    confidence: bool = False
    """Print the share of sky and how sure the network is, for every image."""
    resume: bool = False
    """Keep masks that were made from the same image by the same model with the same options."""
    overwrite: bool = False
    """Also replace files that this command did not write, such as labels made by hand."""
    recursive: bool = False
    """Also read the folders inside of folders; --out gets the same structure."""
    workers: int = 1
    """Processes that segment images side by side, each with --threads; the masks are the same."""
    fast_decode: bool = False
    """Decode large JPEGs at a reduced size, at least twice the network's input: faster, and masks differ a little."""
    threads: int = 1
    """CPU threads of the interpreter."""
    device: Device = "cpu"
    """cuda is for artifacts of the formats torch and onnx, tensorrt for onnx."""


def main(config: Segment) -> None:
    """Segment all images; failures are named on stderr and make the run end with `InputError`."""
    config = dataclasses.replace(config, model=config.model or (Path(DEFAULT_MODEL),))
    start = time.monotonic()
    check_options(config)
    images, failures, skipped = find_images(config.inputs, config.recursive)
    jobs = plan(images, config.out)
    if not config.overwrite:
        check_free(jobs, config.overlay)
    results = outcomes(jobs, config)
    tell_skipped(skipped)
    for message in failures:
        _complain(message)
    written, kept, failed = 0, 0, len(failures)
    with closing(results):  # a signal ends the workers
        for job, outcome in zip(track(jobs, "segmenting"), results, strict=False):
            if outcome.finding is None:
                failed += 1
                _complain(str(outcome.error))
                continue
            written, kept = written + outcome.written, kept + (not outcome.written)
            if config.confidence or not outcome.finding.sky:
                print(tell(job.image, outcome.finding, config), flush=True)
    already = f", {kept} kept" if config.resume else ""
    left_out = f", {len(skipped)} skipped" if skipped else ""
    print(f"{written} masks written{already}, {failed} failed{left_out}, {time.monotonic() - start:.1f} s: {config.out}")
    if failed:
        raise InputError(f"{failed} of {len(jobs) + len(failures)} inputs failed, named above; all others are done")


def check_options(config: Segment) -> None:
    """Raise `InputError` for videos, options that exclude each other, and values out of range."""
    for path in (*config.inputs, config.out):
        kind = mimetypes.guess_type(path.name)[0] or ""
        if not path.is_dir() and (kind.startswith("video/") or re.match(r"\w{2,}:/", path.as_posix())):
            raise InputError(f"got {path}, expected images; `python -m edge_runtime.video` takes videos and streams")
    if config.fast_decode and (config.overlay or config.refine):
        raise InputError("got --fast-decode with --overlay or --refine, which need every pixel; leave one out")
    if not 1 <= config.workers <= MOST_WORKERS:
        raise InputError(f"got --workers {config.workers}, expected 1 to {MOST_WORKERS}; try the number of cores")
    check_min_sky(config.min_sky)


def outcomes(jobs: Sequence[Job], config: Segment) -> Generator[Outcome]:
    """Open the model, which may raise, and return what makes the outcomes of `jobs` in their order."""
    options = Options(config.overlay, DEFAULTS if config.refine else None, config.min_sky, config.fast_decode)
    segmenter = load_models(config.model, config.threads, config.device)
    if config.workers > 1:
        return run_jobs(jobs, Work(config.model, config.threads, config.device, options, config.resume), config.workers)
    return (attempt(job, segmenter, options, config.resume) for job in jobs)


def tell(image: Path, finding: Finding, config: Segment) -> str:
    """Return the line that says what was found in an image."""
    share = f"{100 * finding.sky_share:.2f} % of the image"
    found = f"sky, {share}" if finding.sky else f"no sky here ({share}, less than --min-sky {config.min_sky:g})"
    return f"{one_line(str(image))}: {found}" + f", confidence {finding.confidence:.3f}" * config.confidence


def find_images(inputs: Sequence[Path], recursive: bool = False) -> tuple[list[tuple[Path, Path]], list[str], list[str]]:
    """Return the images that `inputs` (files and folders) stand for, each once, with its path below its input folder.

    Also returns what is wrong with the other inputs, and what is left out of folders.
    """
    if not inputs:
        raise InputError("got no input, expected images or folders of images")
    found: dict[tuple[str, str], tuple[Path, Path]] = {}
    failures: list[str] = []
    left_out: list[str] = []
    for path in inputs:
        listed: list[tuple[Path, Path]] = [(path, Path(path.name))]
        skipped: list[str] = []
        if path.is_dir():
            listed, skipped = scan(path, recursive)
            if not listed:
                failures.append(f"got no image in {path}, expected at least one" + "".join(f"; {line}" for line in skipped[:3]))
        left_out += skipped
        for image, place in listed:
            found.setdefault((os.path.realpath(image), image.stem), (image, place))
    return list(found.values()), failures, left_out


def _complain(message: str) -> None:
    print(f"error: {one_line(message)}", file=sys.stderr, flush=True)
