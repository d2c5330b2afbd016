"""Segment pictures: `python -m edge_runtime.segment INPUT... --model DIR --out DIR`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from PIL import Image, PngImagePlugin

from edge_runtime.artifact.artifact import Artifact, file_sha256
from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import partial_file
from edge_runtime.images.dataset import list_images
from edge_runtime.images.ops import read_rgb, to_mask8
from edge_runtime.images.overlay import draw_overlay
from edge_runtime.masks.presence import Finding, check_min_sky, judge
from edge_runtime.masks.refine import DEFAULTS, METHOD_VERSION, RefineConfig, refine
from edge_runtime.progress import track
from edge_runtime.segmenter import Ensemble, Segmenter, average, average_coarse, load_models
from edge_runtime.video.io import CODECS, is_video
from edge_runtime.video.pipeline import VideoOptions, segment_video

RECORD_KEY = "skyedge"  # PNG text chunk that says how a mask was made; --resume compares it
FINDING_KEY = "skyedge-finding"  # and one that says what was found (edge_runtime/masks/presence.py)
JPEG_QUALITY, JPEG_SIDE = 90, 65_500


@dataclass(frozen=True)
class Segment:
    """Write the sky mask of every picture: STEM.png, 8-bit, round(255 p), at the upright picture's own size."""

    inputs: Annotated[tuple[str | Path, ...], tyro.conf.Positional]
    """Pictures, and folders of pictures; or one video file, camera number or stream URL."""
    model: tyro.conf.UseAppendAction[tuple[Path, ...]]
    """Artifact folder; also classical:contour, classical:colour, or smooth:DIR, which smooths another's mask. Given several
    times, the models are averaged."""
    out: Path
    """Folder for the masks; made where it is missing. Of a video the file: .mp4, .mov, .avi, .webm or .mkv (lossless)."""
    overlay: bool = False
    """Also write STEM.overlay.jpg: the picture with its sky tinted and the contour drawn, to judge the mask by eye. Of a video
    the result is that instead of the gray mask."""
    refine: bool = False
    """Follow the picture's edges: branches, wires, roofs (edge_runtime/masks/refine.py)."""
    min_sky: float | None = None
    """Smallest share of the picture, 0 to 1, that counts as sky: with less the mask is empty and stdout says so. A
    good start is 0.01; results/empty/ has its error."""
    confidence: bool = False
    """Print the share of sky and how sure the network is, for every picture."""
    resume: bool = False
    """Keep masks that were made from the same picture by the same model with the same options."""
    stabilise: bool = True
    """Videos: take the flicker out along the motion of the camera (edge_runtime/masks/stabilize.py)."""
    show: bool = False
    """Videos: show the result as it is made; q ends the run. Needs opencv-python and a screen."""
    seconds: float = 0.0
    """Videos: stop after so many; 0 = at the end, of a camera with Ctrl-C."""
    threads: int = 1
    """CPU threads of the interpreter."""
    device: Literal["cpu", "cuda"] = "cpu"
    """cuda is for artifacts of format torch."""


@dataclass(frozen=True)
class Options:
    """What decides the masks of a run besides picture and model; `refinement` None leaves the network's map as it is."""

    overlay: bool = False
    refinement: RefineConfig | None = None
    min_sky: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one picture: `written` is False where `--resume` kept what was there."""

    written: bool
    finding: Finding


@dataclass(frozen=True)
class Job:
    """One picture and the files that it gives."""

    picture: Path
    mask: Path
    overlay: Path


def main(config: Segment) -> None:
    """Segment all pictures; those that cannot be read are named on stderr and make the run end with `InputError`."""
    if config.out.suffix.lower() in CODECS or any(map(is_video, config.inputs)):
        return segment_one_video(config)
    start = time.monotonic()
    check_min_sky(config.min_sky)
    options = Options(config.overlay, DEFAULTS if config.refine else None, config.min_sky)
    pictures, failures = find_pictures([Path(path) for path in config.inputs])
    jobs = plan(pictures, config.out)
    segmenter = load_models(config.model, config.threads, config.device)
    config.out.mkdir(parents=True, exist_ok=True)
    written, kept, total = 0, 0, len(jobs) + len(failures)
    for message in failures:
        _complain(message)
    for job in track(jobs, "segmenting"):
        try:
            outcome = segment_one(job, segmenter, options, config.resume)
        except InputError as error:
            failures.append(str(error))
            _complain(str(error))
            continue
        written, kept = written + outcome.written, kept + (not outcome.written)
        if config.confidence or not outcome.finding.sky:
            print(tell(job.picture, outcome.finding, config), flush=True)
    seconds = time.monotonic() - start
    already = f", {kept} kept" if config.resume else ""
    print(f"{written} masks written{already}, {len(failures)} failed, {seconds:.1f} s: {config.out}")
    if failures:
        raise InputError(f"{len(failures)} of {total} inputs failed, named above; all others are done")


def segment_one_video(config: Segment) -> None:
    """Segment the video that a command line names."""
    if len(config.inputs) != 1:
        raise InputError(f"got {len(config.inputs)} inputs for {config.out}, expected one video at a time")
    if config.resume or config.confidence or config.min_sky is not None:
        raise InputError("got --resume, --confidence or --min-sky with a video, expected them with pictures; leave them out")
    refinement = DEFAULTS if config.refine else None
    options = VideoOptions(config.out, config.overlay, config.stabilise, refinement, config.show, config.seconds)
    segment_video(config.inputs[0], load_models(config.model, config.threads, config.device), options)


def tell(picture: Path, finding: Finding, config: Segment) -> str:
    """Return the line that says what was found in a picture."""
    share = f"{100 * finding.sky_share:.2f} % of the picture"
    found = f"sky, {share}" if finding.sky else f"no sky here ({share}, less than --min-sky {config.min_sky:g})"
    return f"{picture}: {found}" + f", confidence {finding.confidence:.3f}" * config.confidence


def find_pictures(inputs: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return the pictures that `inputs` (files and folders) stand for, each once, and what is wrong with the others."""
    if not inputs:
        raise InputError("got no input, expected pictures or folders of pictures")
    found: dict[tuple[Path, str], Path] = {}
    failures = []
    for path in inputs:
        try:
            listed = list_images(path) if path.is_dir() else [path]
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


def segment_one(job: Job, segmenter: Segmenter | Ensemble, options: Options, resume: bool) -> Outcome:
    """Segment one picture, unless `resume` finds that done.

    Raises
    ------
    InputError
        The picture is missing or broken, or too large for this machine's memory.
    """
    record = describe(job.picture, segmenter.artifacts, options)
    if resume and (finding := find_done(job, record, options.overlay)):
        return Outcome(False, finding)
    try:
        return Outcome(True, _segment(job, segmenter, options, record))
    except MemoryError as error:
        raise InputError(f"{job.picture}: not enough memory ({error}); make it smaller, or leave out --overlay") from error


def _segment(job: Job, segmenter: Segmenter | Ensemble, options: Options, record: str) -> Finding:
    image = read_rgb(job.picture)
    if options.overlay and max(image.shape) > JPEG_SIDE:
        raise InputError(f"{job.picture} is {image.shape[:2]}, expected sides of at most {JPEG_SIDE} for --overlay")
    maps = segmenter.maps(image)
    coarse = average_coarse(maps)
    finding = judge(coarse, segmenter.threshold, options.min_sky)
    if not finding.sky:
        probability = np.zeros(image.shape[:2], np.float32)
    elif options.refinement is None:
        probability = average(maps, *image.shape[:2])
    else:
        probability = refine(image, coarse, options.refinement)
    if options.overlay:  # first, so that a mask that is there means that its overlay is too
        picture = Image.fromarray(draw_overlay(image, probability, segmenter.threshold))
        with partial_file(job.overlay) as partial:
            picture.save(partial, format="JPEG", quality=JPEG_QUALITY)
    text = PngImagePlugin.PngInfo()
    text.add_text(RECORD_KEY, record)
    text.add_text(FINDING_KEY, json.dumps(dataclasses.asdict(finding)))
    mask = Image.fromarray(to_mask8(probability))
    with partial_file(job.mask) as partial:
        mask.save(partial, format="PNG", pnginfo=text)
    return finding


def describe(picture: Path, artifacts: Sequence[Artifact], options: Options) -> str:
    """Return all that decides a mask, as JSON: two equal texts mean two equal masks."""
    if not picture.is_file():
        raise InputError(f"got {picture}, expected an existing image")
    try:
        picture_sha256 = file_sha256(picture)
    except OSError as error:
        raise InputError(f"cannot read image {picture}: {error}; expected a readable file") from error
    refinement = options.refinement
    record = {
        "picture_sha256": picture_sha256,
        "models": [{"model_sha256": artifact.sha256, "contract_sha256": _contract_sha256(artifact)} for artifact in artifacts],
        "overlay": options.overlay,
        "refine": refinement and {"version": METHOD_VERSION, **dataclasses.asdict(refinement)},
        "min_sky": options.min_sky,
    }
    return json.dumps(record)


def _contract_sha256(artifact: Artifact) -> str:
    contract = [dataclasses.asdict(part) for part in (artifact.spec.input, artifact.spec.output)]
    return hashlib.sha256(json.dumps(contract).encode()).hexdigest()


def find_done(job: Job, record: str, overlay: bool) -> Finding | None:
    """Return what was found in a picture whose outputs are there, whole, and made as `record` says, else None."""
    if not job.mask.is_file() or (overlay and not job.overlay.is_file()):
        return None
    try:
        with Image.open(job.mask) as mask:
            mask.load()  # a mask that a power cut left incomplete fails here
            same = mask.info.get(RECORD_KEY) == record
            return Finding(**json.loads(mask.info[FINDING_KEY])) if same else None
    except (OSError, SyntaxError, ValueError, KeyError, TypeError):
        return None


def _complain(message: str) -> None:
    print(f"error: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_command(main, Segment)
