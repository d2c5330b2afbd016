"""Replace the sky: `python -m skyedge.replace IMAGE|VIDEO --model DIR --sky IMAGE|PRESET --out FILE`.

The steps: segment, refine, find the horizon, place the new sky above it, remove the old sky's color from branches and wires,
relight the foreground, blend. In a video the new sky moves with the old one. Written from the description of Zou et al. 2020
("Castle in the Sky", arXiv 2010.11800); every module says where it differs.
"""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from edge_runtime.errors import InputError
from edge_runtime.files import check_free, partial_file
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.photo import Photo, check_side, to_profile
from edge_runtime.masks.horizon import Horizon, find_horizon
from edge_runtime.masks.refine import DEFAULTS, refine
from edge_runtime.segmenter import Segmenter
from edge_runtime.video.format import DEFAULT_RATE
from edge_runtime.video.pipeline import FrameSegmenter, run_video
from edge_runtime.video.read import TimedFrame, is_live, is_video
from edge_runtime.video.write import CODECS
from skyedge.replace.motion import SkyTracker
from skyedge.replace.own_sky import ImageSky, Sky, shows_land
from skyedge.replace.presets import PRESETS, make_sky
from skyedge.replace.relight import Look, replace_sky
from skyedge.replace.view import View

HALO = 0.6  # strength of the new sky's glow, of the share that the foreground follows its light
OUT_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
QUALITY = 95  # of JPEG and WebP
SOFTWARE = "skyedge replace"  # in EXIF


@dataclass(frozen=True)
class Replace:
    """Put another sky into an image or a video."""

    input: Annotated[Path, tyro.conf.Positional]
    """Image or video."""
    model: Path
    """Artifact folder."""
    sky: str
    """clouds, sunset, stars (drawn, no file needed), or an image of a sky."""
    out: Path
    """File to write: an image, or for a video a video (.mp4, .mov, .webm, .avi, .mkv)."""
    relight: float = 0.5
    """How far the foreground follows the new sky's light, color and glow, 0 to 1."""
    wind: float = 1.0
    """Speed of the clouds in a video; 0 stands still."""
    seed: int = 0
    """Of the drawn skies."""
    horizon: float | None = None
    """Height of the horizon at the middle of the image, 0 = top, 1 = bottom; found from the sky where it is left out."""
    min_sky: float = 0.05
    """Images with a smaller share of sky are refused; such frames of a video stay as they are."""
    strip_metadata: bool = False
    """Leave out where, when and with what the photograph or video was taken; the color profile stays."""
    overwrite: bool = False
    """Also replace an --out that exists."""
    threads: int = 1
    """CPU threads of the interpreter."""

    @property
    def look(self) -> Look:
        """How the foreground adapts to the new sky."""
        return Look(self.relight, HALO * self.relight)


def main(config: Replace) -> None:
    """Replace the sky of one image or video."""
    start = time.monotonic()
    video = is_video(config.input)
    _check(config, video)
    segmenter = Segmenter.load(config.model, config.threads)
    if video:
        shot = _Shot(config, segmenter)
        run_video(
            config.input, config.out, shot.replace, shot.report, overwrite=config.overwrite, strip_metadata=config.strip_metadata
        )
    else:
        print(f"{config.out}: {_image(config, segmenter)}, {time.monotonic() - start:.1f} s")


def _check(config: Replace, video: bool) -> None:
    """Raise `InputError` for what can be told without reading an image."""
    if is_live(config.input) or is_live(config.sky):
        raise InputError(f"got {config.input} and --sky {config.sky}, expected files; record the camera or stream first")
    if not 0 <= config.min_sky <= 1:
        raise InputError(f"got --min-sky {config.min_sky}, expected a share of the image in 0..1")
    if config.horizon is not None and not -2 <= config.horizon <= 3:
        raise InputError(f"got --horizon {config.horizon}, expected a share of the image's height in -2..3, such as 0.6")
    if config.sky not in PRESETS and not Path(config.sky).is_file():
        raise InputError(f"got --sky {config.sky}, expected {', '.join(PRESETS)}, or an existing image")
    suffixes = tuple(CODECS) if video else OUT_SUFFIXES
    if config.out.suffix.lower() not in suffixes or config.out.is_dir():
        raise InputError(f"got --out {config.out}, expected a file that ends in {', '.join(suffixes)}, as {config.input} is one")
    if config.seed < 0 or not math.isfinite(config.wind):
        raise InputError(f"got --seed {config.seed}, --wind {config.wind}, expected a seed of 0 or more and a finite speed")
    for source in (config.input, Path(config.sky)):
        if os.path.realpath(config.out) == os.path.realpath(source):
            raise InputError(f"got {source} as input and output, expected two files; choose another --out")
    if not config.overwrite:
        check_free([config.out])
    Look(config.relight)


def _image(config: Replace, segmenter: Segmenter) -> str:
    """Replace the sky of an image, once or for every frame of a preview; return what was done."""
    image, photo = read_rgb(config.input), Photo.of(config.input)
    check_side(config.out, image.shape)
    alpha = refine(image, segmenter.low_res(image))
    share = float(alpha.mean())
    if share < config.min_sky:
        raise _no_sky(config, f"with {100 * share:.1f} % sky, expected at least {100 * config.min_sky:.0f} %")
    view = _view(config, alpha)
    sky = open_sky(config, view, segmenter, photo.icc)
    replaced = replace_sky(image, alpha, sky, view, config.look)
    with partial_file(config.out) as partial:
        photo.save(replaced, partial, config.out.suffix.lower(), SOFTWARE, QUALITY, not config.strip_metadata)
    return f"{image.shape[1]} x {image.shape[0]} pixels, {100 * share:.1f} % sky, {view.horizon}"


class _Shot:
    """The frames of a video, one after the other, from cut to cut."""

    def __init__(self, config: Replace, segmenter: Segmenter) -> None:
        self.config, self.segmenter = config, segmenter
        self.frames = FrameSegmenter(segmenter, stabilize=True, refinement=DEFAULTS)
        self.tracker, self.cuts = SkyTracker(), 0
        self.sky: Sky | None = None
        self.first: View | None = None
        self.horizon: Horizon | None = None
        self.steps: Counter[str] = Counter()

    def replace(self, frames: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
        """Yield every frame with its new sky, or as it is where it has hardly any; raise `InputError` where none has."""
        start_s: float | None = None
        for number, frame in enumerate(frames):
            time_s = number / float(DEFAULT_RATE) if frame.time_s is None else frame.time_s
            start_s = time_s if start_s is None else start_s
            yield TimedFrame(self._replace(frame.image, time_s - start_s), frame.time_s, frame.duration_s)
        if start_s is not None and self.horizon is None:
            raise _no_sky(self.config, f"without a frame of at least {100 * self.config.min_sky:.0f} % sky")

    def _replace(self, image: np.ndarray, time_s: float) -> np.ndarray:
        alpha = self.frames(image)
        if self.frames.cuts > self.cuts:
            self.tracker, self.first, self.cuts = SkyTracker(), None, self.frames.cuts
        motion = self.tracker.step(image, alpha)
        self.steps[motion.source] += 1
        if float(alpha.mean()) < self.config.min_sky:
            self.steps["untouched"] += 1
            return image
        if self.first is None:  # the motion up to here is undone in it
            self.first = dataclasses.replace(_view(self.config, alpha), motion=np.linalg.inv(motion.matrix))
            self.horizon = self.horizon or self.first.horizon
        if self.sky is None:
            self.sky = open_sky(self.config, self.first, self.segmenter)
        view = dataclasses.replace(self.first, motion=motion.matrix @ self.first.motion)
        return replace_sky(image, alpha, self.sky, view, self.config.look, time_s)

    def report(self) -> str:
        """Return in words what the frames had."""
        followed = ", ".join(f"{name} {self.steps[name]}" for name in ("start", "sky", "background", "none"))
        left = f"{self.steps['untouched']} left as they were (too little sky)"
        return f"{left}, {self.cuts} cuts, motion from: {followed}, {self.horizon}"


def _no_sky(config: Replace, what: str) -> InputError:
    return InputError(
        f"got {config.input} {what}: there is hardly a sky to replace, and nothing was written; --min-sky 0 replaces it all "
        "the same"
    )


def _view(config: Replace, alpha: np.ndarray) -> View:
    """Return the camera of an image: the horizon is found where it is not given."""
    found = find_horizon(alpha)
    return View(alpha.shape[0], alpha.shape[1], found if config.horizon is None else dataclasses.replace(found, y=config.horizon))


def open_sky(config: Replace, view: View, segmenter: Segmenter, icc: bytes | None = None) -> Sky:
    """Return the sky that `config.sky` names, an image in the colors of the profile `icc`."""
    if config.sky in PRESETS:
        return make_sky(config.sky, view, config.seed, config.wind)
    path = Path(config.sky)
    image = to_profile(read_rgb(path), Photo.of(path).icc, icc)
    if shows_land(segmenter.low_res(image)):
        print(f"{path} seems to show land too, and is taken as it is; crop it to its sky", file=sys.stderr)
    return ImageSky(image, view, config.wind)
