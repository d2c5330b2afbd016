"""The files that an image gives: their names, whether they are made already, and making them."""

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

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.errors import InputError
from edge_runtime.files import check_free, file_sha256, partial_file, write_bytes
from edge_runtime.images.formats import is_damaged, what_is_wrong
from edge_runtime.images.mask_file import RECORD_KEY, exif_record, is_ours, mask_png, texts_of
from edge_runtime.images.overlay import draw_overlay
from edge_runtime.masks.presence import Finding
from edge_runtime.masks.refine import METHOD_VERSION
from edge_runtime.segment.mask import MaskOptions, make_mask
from edge_runtime.segmenter import Ensemble, Segmenter

FINDING = "finding"  # name of the text chunk that says what was found (edge_runtime/masks/presence.py)
OVERLAY = "overlay"  # record of an overlay; the record of a mask is a JSON object
JPEG_QUALITY = 90
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # errors that the next image would meet as well


@dataclass(frozen=True)
class ImageFiles:
    """One image and the files that it gives."""

    image: Path
    mask: Path
    overlay: Path


@dataclass(frozen=True)
class Outcome:
    """What became of one image: `error` says why it failed; `written` is False where the mask was kept or it failed.

    `repaired` tells that a mask or overlay of an earlier run was damaged, and is made again.
    """

    written: bool = False
    repaired: bool = False
    finding: Finding | None = None
    error: str | None = None


def plan(images: Sequence[tuple[Path, Path]], out: Path) -> list[ImageFiles]:
    """Name the outputs of every image, given with its path below the input folder, whose structure they keep.

    `out` is a folder, or the PNG of a single image. Raises `InputError` where two outputs are one file, or one is an input.
    """
    planned: dict[Path, ImageFiles] = {}
    sources = {os.path.realpath(image).casefold() for image, _ in images}  # NAME.PNG is NAME.png where case does not count
    one_file = _is_file_name(out)
    if one_file and len(images) > 1:
        raise InputError(f"got --out {out} for {len(images)} images, expected a folder; name one")
    if not one_file and os.path.lexists(out) and not out.is_dir():
        raise InputError(f"got --out {out}, which exists and is no folder, expected a folder for the masks; name another")
    for image, place in images:
        mask = out if one_file else out / place.with_name(f"{image.stem}.png")
        files = ImageFiles(image, mask, mask.with_name(f"{mask.stem}.overlay.jpg"))
        if mask in planned:
            raise InputError(
                f"{planned[mask].image} and {image} would both give {mask}, expected inputs of different "
                "stems; rename one, or segment them into two folders"
            )
        for target in (files.mask, files.overlay):
            if os.path.realpath(target).casefold() in sources:
                raise InputError(f"{target} is an input and would be overwritten; choose another --out than {out}")
        planned[mask] = files
    return list(planned.values())


def _is_file_name(out: Path) -> bool:
    """Tell whether `--out` names a mask, not a folder."""
    if out.is_dir() or out.suffix.lower() not in (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"):
        return False
    if out.suffix.lower() != ".png":
        raise InputError(f"got --out {out}, expected a folder, or a file that ends in .png: masks are lossless")
    return True


def check_outputs(planned: Sequence[ImageFiles], overlay: bool) -> None:
    """Raise `InputError` where an output is a file that `segment` did not write, such as a label made by hand."""
    check_free((files.mask for files in planned), lambda mask: is_ours(mask, "{"))
    if overlay:
        check_free((files.overlay for files in planned), lambda path: is_ours(path, OVERLAY))


def attempt(
    files: ImageFiles, segmenter: Segmenter | Ensemble, options: MaskOptions, overlay: bool = False, resume: bool = False
) -> Outcome:
    """Segment one image, unless `resume` finds that done; raises only what the next image would meet as well."""
    try:
        record = describe(files.image, segmenter.artifacts, options, overlay)
        targets = [path for path in (files.mask, *[files.overlay] * overlay) if path.is_file()] if resume else []
        repaired = any(map(is_damaged, targets))
        if resume and not repaired and len(targets) == 1 + overlay and (finding := find_done(files.mask, record)):
            return Outcome(finding=finding)
        return Outcome(True, repaired, _segment(files, segmenter, options, overlay, record))
    except InputError as error:
        return Outcome(error=str(error))
    except MemoryError as error:
        return Outcome(error=f"{files.image}: not enough memory ({error}); make it smaller, or leave out --overlay")
    except OSError as error:
        if error.errno in NO_ROOM:
            raise InputError(f"{files.mask} could not be written: {error}; free some room, then go on with --resume") from error
        return Outcome(error=f"{files.image}: cannot write its mask: {error}; expected a place that takes it")


def _segment(files: ImageFiles, segmenter: Segmenter | Ensemble, options: MaskOptions, overlay: bool, record: str) -> Finding:
    found = make_mask(files.image, segmenter, options)
    if overlay:  # first, so that a mask that is there means that its overlay is too
        from edge_runtime.images.photo import Photo, check_side  # and color management: a mask needs none

        check_side(files.overlay, found.mask.shape)
        drawn = draw_overlay(found.image, np.divide(found.mask, 255, dtype=np.float32), segmenter.threshold)
        with partial_file(files.overlay) as partial:
            icc = Photo.of(files.image).icc
            Image.fromarray(drawn).save(partial, "JPEG", quality=JPEG_QUALITY, exif=exif_record(OVERLAY), icc_profile=icc)
    texts = {FINDING: json.dumps(dataclasses.asdict(found.finding))}
    write_bytes(files.mask, mask_png(found.mask, record, found.size, **texts))
    return found.finding


def describe(image: Path, artifacts: Sequence[Artifact], options: MaskOptions, overlay: bool) -> str:
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
        "overlay": overlay,
        "refine": refinement and {"version": METHOD_VERSION, **dataclasses.asdict(refinement)},
        "min_sky": options.min_sky,
        "low_res": options.low_res,
        "exact": options.exact or refinement is not None,
        "panorama": options.panorama,
    }
    return json.dumps(record)


def _contract_sha256(artifact: Artifact) -> str:
    contract = [dataclasses.asdict(part) for part in (artifact.spec.input, artifact.spec.output)]
    return hashlib.sha256(json.dumps(contract).encode()).hexdigest()


def find_done(mask: Path, record: str) -> Finding | None:
    """Return what was found in an image whose mask is there, and made as `record` says, else None."""
    try:
        texts = texts_of(mask.read_bytes())
        return Finding(**json.loads(texts[f"{RECORD_KEY}-{FINDING}"])) if texts.get(RECORD_KEY) == record else None
    except (ValueError, KeyError, TypeError):
        return None
