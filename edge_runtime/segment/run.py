"""Segment images: `python -m edge_runtime.segment INPUT... --model DIR --out DIR`."""

from __future__ import annotations

import dataclasses
import itertools
import mimetypes
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from edge_runtime.backends import Device
from edge_runtime.cores import limit_threads, usable_cores
from edge_runtime.errors import InputError
from edge_runtime.images.dataset import report_skipped, scan
from edge_runtime.masks.presence import Finding, check_min_sky
from edge_runtime.masks.refine import DEFAULTS
from edge_runtime.progress import one_line, track
from edge_runtime.segment.mask import MaskOptions
from edge_runtime.segment.outputs import ImageFiles, Outcome, attempt, check_outputs, plan
from edge_runtime.segmenter import DEFAULT_MODEL, load_models

if TYPE_CHECKING:
    from concurrent.futures import Future

MOST_WORKERS = 256
AHEAD = 2  # images per worker that may be finished before the oldest one is: bounds what waits to be reported in order


@dataclass(frozen=True)
class Segment:
    """Write the sky mask of every image: STEM.png, 8-bit, round(255 p), at the upright image's own size."""

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Images, and folders of images; `python -m edge_runtime.video` takes videos."""
    model: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Artifact folder, or the name of a released network; also classical:contour or classical:color. Given several times, the
    models are averaged. Default: unet_lite_s."""
    out: Path = Path("masks")
    """Folder for the masks, made where it is missing; or NAME.png for one image."""
    overlay: bool = False
    """Also write STEM.overlay.jpg: the image with its sky tinted and the contour drawn, to judge the mask by eye."""
    refine: bool = False
    """Follow the image's edges: branches, wires, roofs (edge_runtime/masks/refine.py)."""
    min_sky: float | None = None
    """Smallest share of the image, 0 to 1, that counts as sky: with less the mask is empty and stdout says so. A
    good start is 0.01; results/min_sky/ has its error."""
    low_res: bool = False
    """Write the network's own map, a few kB, with the image's size in its record; commands that read masks enlarge it."""
    confidence: bool = False
    """Print the share of sky and how sure the network is, for every image."""
    resume: bool = False
    """Keep masks that were made from the same image by the same model with the same options."""
    overwrite: bool = False
    """Also replace files that this command did not write, such as labels made by hand."""
    recursive: bool = False
    """Also read the folders inside of folders; --out gets the same structure."""
    exact: bool = False
    """Decode large JPEGs in full, not at a reduced size that still exceeds the network's input: slower, the contract's masks."""
    panorama: bool = False
    """The images go all around (equirectangular): the mask's left and right edge agree; the network runs twice."""
    workers: int = 0
    """Images that are worked on at a time, each with --threads; the masks are the same. 0 = one for each core."""
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
    planned = plan(images, config.out)
    if not config.overwrite:
        check_outputs(planned, config.overlay)
    results = outcomes(planned, config)
    report_skipped(skipped)
    for message in failures:
        _complain(message)
    written, kept, failed = 0, 0, len(failures)
    with closing(results):  # a signal lets the images end that are begun, and no other
        for files, outcome in zip(track(planned, "segmenting"), results, strict=False):
            if outcome.finding is None:
                failed += 1
                _complain(str(outcome.error))
                continue
            if outcome.repaired:
                print(f"{one_line(str(files.mask))} was damaged: made again", file=sys.stderr, flush=True)
            written, kept = written + outcome.written, kept + (not outcome.written)
            if config.confidence or not outcome.finding.sky:
                print(describe_finding(files.image, outcome.finding, config), flush=True)
    already = f", {kept} kept" if config.resume else ""
    left_out = f", {len(skipped)} skipped" if skipped else ""
    print(f"{written} masks written{already}, {failed} failed{left_out}, {time.monotonic() - start:.1f} s: {config.out}")
    if failed:
        raise InputError(f"{failed} of {len(planned) + len(failures)} inputs failed, named above; all others are done")


def check_options(config: Segment) -> None:
    """Raise `InputError` for videos, options that exclude each other, and values out of range."""
    for path in (*config.inputs, config.out):
        kind = mimetypes.types_map.get(path.suffix.lower(), "")  # the table alone: guess_type reads files of the system
        if not path.is_dir() and (kind.startswith("video/") or re.match(r"\w{2,}:/", path.as_posix())):
            raise InputError(f"got {path}, expected images; `python -m edge_runtime.video` takes videos and streams")
    if not 0 <= config.workers <= MOST_WORKERS:
        raise InputError(f"got --workers {config.workers}, expected 1 to {MOST_WORKERS}, or 0 for one for each core")
    if config.low_res and (config.refine or config.overlay):
        raise InputError("got --low-res with --refine or --overlay, expected it without: both need masks of full size")
    check_min_sky(config.min_sky)


def outcomes(planned: Sequence[ImageFiles], config: Segment) -> Generator[Outcome]:
    """Open the model, which may raise, and return what makes the outcomes of `planned` in their order.

    Each thread reads, segments and writes whole images, so decoding, the network and packing of several images overlap.
    """
    refinement, exact = DEFAULTS if config.refine else None, config.exact or config.overlay
    options = MaskOptions(refinement, config.min_sky, config.low_res, exact, config.panorama)
    segmenter = load_models(config.model, config.threads, config.device, check=True)
    limit_threads(config.threads)  # OpenCV would start a thread on every core for each image
    count = min(config.workers or max(1, usable_cores() // config.threads), len(planned))

    def one(files: ImageFiles) -> Outcome:
        return attempt(files, segmenter, options, config.overlay, config.resume)

    return in_order(one, planned, count) if count > 1 else (one(files) for files in planned)


def in_order(one: Callable[[ImageFiles], Outcome], planned: Sequence[ImageFiles], count: int) -> Generator[Outcome]:
    """Yield what `one` makes of each image, in their order, by `count` threads."""
    from concurrent.futures import ThreadPoolExecutor  # one photo needs none

    waiting: deque[Future[Outcome]] = deque()
    left = iter(planned)
    with ThreadPoolExecutor(count) as pool:
        try:
            while True:
                waiting.extend(pool.submit(one, files) for files in itertools.islice(left, AHEAD * count - len(waiting)))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def describe_finding(image: Path, finding: Finding, config: Segment) -> str:
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
                folders = not recursive and any(line.endswith(": a folder") for line in skipped)
                reasons = [*skipped[:3], *["--recursive reads the folders inside"] * folders]
                failures.append(f"got no image in {path}, expected at least one" + "".join(f"; {line}" for line in reasons))
        left_out += skipped
        for image, place in listed:
            found.setdefault((os.path.realpath(image), image.stem), (image, place))
    return list(found.values()), failures, left_out


def _complain(message: str) -> None:
    print(f"error: {one_line(message)}", file=sys.stderr, flush=True)
