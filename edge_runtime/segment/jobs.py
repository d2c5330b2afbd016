"""One image in, its mask out: what decides a mask, the files that it gives, and whether they are made already."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from edge_runtime.artifact.artifact import Artifact, file_sha256
from edge_runtime.errors import InputError
from edge_runtime.files import partial_file
from edge_runtime.images.formats import open_image, read_reduced, read_rgb, what_is_wrong
from edge_runtime.images.mask_file import RECORD_KEY, exif_record, marked, record_of
from edge_runtime.images.overlay import draw_overlay
from edge_runtime.images.resize import resize_probability, to_mask8
from edge_runtime.masks.presence import Finding, judge
from edge_runtime.masks.refine import METHOD_VERSION, RefineConfig, refine
from edge_runtime.segmenter import Ensemble, Segmenter

FINDING = "finding"  # name of the text chunk that says what was found (edge_runtime/masks/presence.py)
OVERLAY = "overlay"  # record of an overlay; the record of a mask is a JSON object
JPEG_QUALITY, JPEG_SIDE = 90, 65_500
FAST_DETAIL = 2  # times the network's input: what --fast-decode keeps at least of both sides
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # errors that the next image would meet as well


@dataclass(frozen=True)
class Options:
    """What decides the masks of a run besides image and model; `refinement` None leaves the network's map as it is."""

    overlay: bool = False
    refinement: RefineConfig | None = None
    min_sky: float | None = None
    fast_decode: bool = False


@dataclass(frozen=True)
class Job:
    """One image and the files that it gives."""

    image: Path
    mask: Path
    overlay: Path


@dataclass(frozen=True)
class Outcome:
    """What became of one image: `error` says why it failed; `written` is False where the mask was kept or it failed."""

    written: bool = False
    finding: Finding | None = None
    error: str | None = None


def plan(images: Sequence[tuple[Path, Path]], out: Path) -> list[Job]:
    """Name the outputs of every image, given with its path below the input folder, whose structure they keep.

    `out` is a folder, or the PNG of a single image. Raises `InputError` where two outputs are one file, or one is an input.
    """
    jobs: dict[Path, Job] = {}
    sources = {os.path.realpath(image) for image, _ in images}
    one_file = _is_file_name(out)
    if one_file and len(images) > 1:
        raise InputError(f"got --out {out} for {len(images)} images, expected a folder; name one")
    if not one_file and os.path.lexists(out) and not out.is_dir():
        raise InputError(f"got --out {out}, which exists and is no folder, expected a folder for the masks; name another")
    for image, place in images:
        mask = out if one_file else out / place.with_name(f"{image.stem}.png")
        job = Job(image, mask, mask.with_name(f"{mask.stem}.overlay.jpg"))
        if mask in jobs:
            raise InputError(
                f"{jobs[mask].image} and {image} would both give {mask}, expected inputs of different "
                "stems; rename one, or segment them into two folders"
            )
        for target in (job.mask, job.overlay):
            if os.path.realpath(target) in sources:
                raise InputError(f"{target} is an input and would be overwritten; choose another --out than {out}")
        jobs[mask] = job
    return list(jobs.values())


def _is_file_name(out: Path) -> bool:
    """Tell whether `--out` names a mask, not a folder."""
    if out.is_dir() or out.suffix.lower() not in (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"):
        return False
    if out.suffix.lower() != ".png":
        raise InputError(f"got --out {out}, expected a folder, or a file that ends in .png: masks are lossless")
    return True


def check_free(jobs: Sequence[Job], overlay: bool) -> None:
    """Raise `InputError` where an output is a file that `segment` did not write, such as a label made by hand."""
    foreign = []
    for job in jobs:
        ours = (record_of(job.mask) or "").startswith("{")
        if not ours and is_content(job.mask):
            foreign.append(job.mask)
        if overlay and not ours and is_content(job.overlay) and record_of(job.overlay) != OVERLAY:
            foreign.append(job.overlay)
    if foreign:
        raise InputError(
            f"got an --out with {len(foreign)} files that `segment` did not write, such as {foreign[0]}, expected a new "
            "folder or masks of an earlier run; choose another --out, or replace them with --overwrite"
        )


def is_content(path: Path) -> bool:
    """Tell whether something would be lost if `path` were overwritten; an empty file is what a power cut leaves."""
    return os.path.exists(path) and not (path.is_file() and path.stat().st_size == 0)


def attempt(job: Job, segmenter: Segmenter | Ensemble, options: Options, resume: bool) -> Outcome:
    """Segment one image, unless `resume` finds that done; raises only what the next image would meet as well."""
    try:
        return segment_one(job, segmenter, options, resume)
    except InputError as error:
        return Outcome(error=str(error))
    except OSError as error:
        if error.errno in NO_ROOM:
            raise InputError(f"{job.mask} could not be written: {error}; free some room, then go on with --resume") from error
        return Outcome(error=f"{job.image}: cannot write its mask: {error}; expected a place that takes it")


def segment_one(job: Job, segmenter: Segmenter | Ensemble, options: Options, resume: bool) -> Outcome:
    """Segment one image, unless `resume` finds that done.

    Raises `InputError` where the image is missing or broken, or too large for this machine's memory.
    """
    record = describe(job.image, segmenter.artifacts, options)
    if resume and (finding := find_done(job, record, options.overlay)):
        return Outcome(False, finding)
    try:
        return Outcome(True, _segment(job, segmenter, options, record))
    except MemoryError as error:
        raise InputError(f"{job.image}: not enough memory ({error}); make it smaller, or leave out --overlay") from error


def _segment(job: Job, segmenter: Segmenter | Ensemble, options: Options, record: str) -> Finding:
    if options.fast_decode:
        side = FAST_DETAIL * max(side for artifact in segmenter.artifacts for side in artifact.size)
        image, shape = read_reduced(job.image, side)
    else:
        image = read_rgb(job.image)
        shape = image.shape[:2]
    if options.overlay and max(image.shape) > JPEG_SIDE:
        raise InputError(f"{job.image} is {image.shape[:2]}, expected sides of at most {JPEG_SIDE} for --overlay")
    low_res = segmenter.low_res(image)
    finding = judge(low_res, segmenter.threshold, options.min_sky)
    if not finding.sky:
        probability = np.zeros(shape, np.float32)
    elif options.refinement is None:
        probability = resize_probability(low_res, *shape)
    else:
        probability = refine(image, low_res, options.refinement)
    if options.overlay:  # first, so that a mask that is there means that its overlay is too
        drawn = Image.fromarray(draw_overlay(image, probability, segmenter.threshold))
        with partial_file(job.overlay) as partial:
            drawn.save(partial, format="JPEG", quality=JPEG_QUALITY, exif=exif_record(OVERLAY))
    mask = Image.fromarray(to_mask8(probability))
    with partial_file(job.mask) as partial:
        mask.save(partial, format="PNG", pnginfo=marked(record, **{FINDING: json.dumps(dataclasses.asdict(finding))}))
    return finding


def describe(image: Path, artifacts: Sequence[Artifact], options: Options) -> str:
    """Return all that decides a mask, as JSON: two equal texts mean two equal masks."""
    if wrong := what_is_wrong(image):
        raise InputError(f"got {image}, {wrong}, expected an existing image")
    try:
        image_sha256 = file_sha256(image)
    except OSError as error:
        raise InputError(f"cannot read image {image}: {error}; expected a readable file") from error
    refinement = options.refinement
    record: dict[str, object] = {
        "image_sha256": image_sha256,
        "models": [{"model_sha256": artifact.sha256, "contract_sha256": _contract_sha256(artifact)} for artifact in artifacts],
        "overlay": options.overlay,
        "refine": refinement and {"version": METHOD_VERSION, **dataclasses.asdict(refinement)},
        "min_sky": options.min_sky,
    }
    if options.fast_decode:  # else records stay as they were, and masks of earlier runs are kept
        record["fast_decode"] = FAST_DETAIL
    return json.dumps(record)


def _contract_sha256(artifact: Artifact) -> str:
    contract = [dataclasses.asdict(part) for part in (artifact.spec.input, artifact.spec.output)]
    return hashlib.sha256(json.dumps(contract).encode()).hexdigest()


def find_done(job: Job, record: str, overlay: bool) -> Finding | None:
    """Return what was found in an image whose outputs are there, whole, and made as `record` says, else None."""
    if not job.mask.is_file() or (overlay and not job.overlay.is_file()):
        return None
    try:
        with open_image(job.mask, ("PNG",)) as mask:
            mask.load()  # a mask that a power cut left incomplete fails here
            same = mask.info.get(RECORD_KEY) == record
            return Finding(**json.loads(mask.info[f"{RECORD_KEY}-{FINDING}"])) if same else None
    except (OSError, SyntaxError, ValueError, KeyError, TypeError):
        return None
