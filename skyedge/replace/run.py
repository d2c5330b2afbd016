"""Replace the sky: `python -m skyedge.replace IMAGE|VIDEO --model DIR --sky IMAGE|VIDEO|PRESET --out FILE`.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.files import partial_file
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.mask_file import exif_record, marked, record_of
from edge_runtime.masks.refine import DEFAULTS, refine
from edge_runtime.progress import track
from edge_runtime.segment.jobs import is_content
from edge_runtime.segmenter import Segmenter
from edge_runtime.video.encode import CODECS
from edge_runtime.video.io import Pacing, TimedFrame, VideoSource, is_live, is_video
from edge_runtime.video.pipeline import FrameSegmenter
from edge_runtime.video.sink import VideoSink, check_free
from skyedge.replace.motion import SkyTracker
from skyedge.replace.own_sky import ImageSky, Mapping, VideoSky, rows_of_sky, without_land
from skyedge.replace.presets import PRESETS, Sky, make_sky
from skyedge.replace.relight import Cutout, Look, replace_sky
from skyedge.replace.view import Horizon, View, find_horizon

LONGEST_S = 600.0  # of an animation
LINE_S = 10.0  # between lines of progress
OUT_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
RECORD = "replace"  # in the file: it may be written again
QUALITY = 95  # of JPEG and WebP


@dataclass(frozen=True)
class Replace:
    """Put another sky into an image or a video, or make a moving preview of an image."""

    input: Annotated[Path, tyro.conf.Positional]
    """Image or video."""
    model: Path
    """Artifact folder."""
    sky: str
    """clear, clouds, overcast, sunset, stars (drawn, no file needed), or an image or video of a sky."""
    out: Path
    """File to write: an image, or a video (.mp4, .mkv, .avi) for a video and with --animate."""
    animate: float = 0.0
    """Seconds of a preview in which the sky of an image moves; its end joins its beginning."""
    fps: float = 25.0
    """Frames per second of --animate; a video keeps its own."""
    relight: float = 0.5
    """How far the foreground follows the new sky's light and color, 0 to 1."""
    halo: float = 0.3
    """Glow of the new sky over the foreground's edges, 0 to 1."""
    wind: float = 1.0
    """Speed of the clouds; 0 stands still."""
    seed: int = 0
    """Of the drawn skies."""
    mapping: Mapping = "ahead"
    """A sky image or video was taken toward the horizon, or straight up: then it is laid on a plane overhead."""
    sky_is_sky: bool = True
    """A sky image is all sky and is taken as it is. --no-sky-is-sky lets the network cut off its land and paint over masts and
    branches. Of a video the land is always cut off."""
    overwrite: bool = False
    """Also replace an --out that this program did not write."""
    horizon: float | None = None
    """Height of the horizon at the middle of the image, 0 = top, 1 = bottom; found from the sky where it is left out."""
    tilt: float | None = None
    """Slope of the horizon, degrees, positive where it falls to the right; found too."""
    fov: float = 65.0
    """Angle of view of the camera along the longer side, degrees."""
    min_sky: float = 0.05
    """Images with a smaller share of sky are refused; such frames of a video stay as they are."""
    threads: int = 1
    """CPU threads of the interpreter."""


def main(config: Replace) -> None:
    """Replace the sky of one image or video."""
    start = time.monotonic()
    video = is_video(config.input)
    _check(config, video)
    segmenter = Segmenter.load(config.model, config.threads)
    said = _video(config, segmenter) if video else _image(config, segmenter)
    print(f"{config.out}: {said}, {time.monotonic() - start:.1f} s")


def _check(config: Replace, video: bool) -> None:
    """Raise `InputError` for what can be told without reading an image."""
    if is_live(config.input) or is_live(config.sky):
        raise InputError(f"got {config.input} and --sky {config.sky}, expected files; record the camera or stream first")
    if video and config.animate:
        raise InputError(f"got --animate with the video {config.input}, expected an image; leave --animate out")
    if not (0 <= config.animate <= LONGEST_S and 1 <= config.fps <= 240 and 0 <= config.min_sky <= 1):
        got = f"--animate {config.animate}, --fps {config.fps}, --min-sky {config.min_sky}"
        raise InputError(f"got {got}, expected 0..{LONGEST_S:.0f} seconds, 1..240 frames per second, a share in 0..1")
    if config.horizon is not None and not -2 <= config.horizon <= 3:
        raise InputError(f"got --horizon {config.horizon}, expected a share of the image's height in -2..3, such as 0.6")
    if config.sky not in PRESETS and not Path(config.sky).is_file():
        raise InputError(f"got --sky {config.sky}, expected {', '.join(PRESETS)}, or an existing image or video")
    suffixes = tuple(CODECS) if video or config.animate else OUT_SUFFIXES
    if config.out.suffix.lower() not in suffixes or config.out.is_dir():
        raise InputError(f"got --out {config.out}, expected a file that ends in {', '.join(suffixes)} (--animate makes a video)")
    if config.seed < 0 or not math.isfinite(config.wind):
        raise InputError(f"got --seed {config.seed}, --wind {config.wind}, expected a seed of 0 or more and a finite speed")
    defaults = {field.name: field.default for field in dataclasses.fields(Replace)}
    for name, used, by in (("fps", config.animate, "--animate"), ("mapping", config.sky not in PRESETS, "a sky of your own")):
        if not used and getattr(config, name) != defaults[name]:
            raise InputError(f"got --{name} {getattr(config, name)}, which only {by} uses; leave it out")
    for source in (config.input, Path(config.sky)):
        if os.path.realpath(config.out) == os.path.realpath(source):
            raise InputError(f"got {source} as input and output, expected two files; choose another --out")
    Look(config.relight, config.halo)
    if video or config.animate:
        check_free(config.out, config.overwrite)
    elif not config.overwrite and is_content(config.out) and record_of(config.out) != RECORD:
        raise InputError(
            f"got --out {config.out}, an image that `replace` did not write; choose another name, or give --overwrite"
        )


def _image(config: Replace, segmenter: Segmenter) -> str:
    """Replace the sky of an image, once or for every frame of a preview; return what was done."""
    image = read_rgb(config.input)
    alpha = refine(image, segmenter.low_res(image))
    share = float(alpha.mean())
    if share < config.min_sky:
        raise InputError(
            f"got {config.input} with {100 * share:.1f} % sky, expected at least {100 * config.min_sky:.0f} %: there is hardly "
            "a sky to replace, and nothing was written; --min-sky 0 replaces it all the same"
        )
    view = _view(config, alpha)
    sky = open_sky(config, view, segmenter, config.animate or None)
    look = Look(config.relight, config.halo)
    said = f"{image.shape[1]} x {image.shape[0]} pixels, {100 * share:.1f} % sky, {_say(view.horizon)}"
    if not config.animate:
        with partial_file(config.out) as partial:
            Image.fromarray(replace_sky(image, alpha, sky, view, look)).save(
                partial, quality=QUALITY, pnginfo=marked(RECORD), exif=exif_record(RECORD)
            )
        return said
    count, cutout = max(1, round(config.animate * config.fps)), Cutout.of(image, alpha)
    with VideoSink(config.out, config.fps, alpha.shape) as sink:
        for number in track(range(count), "frames"):
            sink.write(cutout.before(sky, view, look, number / config.fps))
    return f"{count} frames of {said}"


def _video(config: Replace, segmenter: Segmenter) -> str:
    """Replace the sky of a video, frame by frame; return what was done."""
    source = VideoSource(config.input)
    try:
        frame = source.read()
        if frame is None:
            raise InputError(f"{config.input} holds no frame that can be decoded, expected a video; record it again")
        shot, pacing = _Shot(config, segmenter), Pacing(source.rate)
        shown = time.monotonic()
        with VideoSink(config.out, source.rate, frame.image.shape[:2], sound_of=config.input) as sink:
            while frame is not None:
                image = shot.replace(frame, source.frames - 1, source.rate)
                following = source.read()
                for _ in range(pacing.copies(frame.time_s, None if following is None else following.time_s)):
                    sink.write(image)
                frame = following
                if time.monotonic() - shown >= LINE_S:
                    shown = time.monotonic()
                    print(f"{config.input}: {source.frames} frames", file=sys.stderr, flush=True)
            if shot.horizon is None:
                raise InputError(
                    f"got {config.input} without a frame of at least {100 * config.min_sky:.0f} % sky, so there is no sky to "
                    "replace, and nothing was written; --min-sky 0 replaces it all the same"
                )
        missing = source.shortfall()
        if missing:
            raise InputError(f"{missing}: what could be read is in {config.out}")
        return f"{source.frames} frames, {shot.report()}" + f", {sink.sound}" * bool(sink.sound)
    finally:
        source.close()


class _Shot:
    """The frames of a video, one after the other, from cut to cut."""

    def __init__(self, config: Replace, segmenter: Segmenter) -> None:
        self.config, self.segmenter = config, segmenter
        self.look = Look(config.relight, config.halo)
        self.frames = FrameSegmenter(segmenter, stabilize=True, refinement=DEFAULTS)
        self.tracker, self.cuts = SkyTracker(), 0
        self.sky: Sky | None = None
        self.first: View | None = None
        self.horizon: Horizon | None = None
        self.steps: Counter[str] = Counter()

    def replace(self, frame: TimedFrame, number: int, rate: float) -> np.ndarray:
        """Return the next frame (H, W, 3) uint8 RGB with its new sky, or as it is where it has hardly any."""
        image, alpha = frame.image, self.frames(frame.image)
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
            self.sky = open_sky(self.config, self.first, self.segmenter, None)
        view = dataclasses.replace(self.first, motion=motion.matrix @ self.first.motion)
        time_s = number / rate if frame.time_s is None else frame.time_s
        return replace_sky(image, alpha, self.sky, view, self.look, time_s)

    def report(self) -> str:
        """Return in words what the frames had."""
        assert self.horizon is not None
        followed = ", ".join(f"{name} {self.steps[name]}" for name in ("start", "sky", "background", "none"))
        left = f"{self.steps['untouched']} left as they were (too little sky)"
        return f"{left}, {self.cuts} cuts, motion from: {followed}, {_say(self.horizon)}"


def _view(config: Replace, alpha: np.ndarray) -> View:
    """Return the camera of an image: the horizon is found where it is not given."""
    found = find_horizon(alpha)
    given = Horizon(
        found.y if config.horizon is None else config.horizon, found.tilt_deg if config.tilt is None else config.tilt, found.seen
    )
    if not math.isfinite(given.y) or not math.isfinite(given.tilt_deg):
        raise InputError(f"got --horizon {config.horizon}, --tilt {config.tilt}, expected numbers")
    return View(alpha.shape[0], alpha.shape[1], given, config.fov)


def open_sky(config: Replace, view: View, segmenter: Segmenter, loop_s: float | None) -> Sky:
    """Return the sky that `config.sky` names; of an image or a video, what is above its land."""
    if config.sky in PRESETS:
        return make_sky(config.sky, config.seed, config.wind, loop_s)
    path = Path(config.sky)
    if is_video(path):
        source = VideoSource(path)
        frame = source.read()
        source.close()
        rows = 1.0 if frame is None else rows_of_sky(segmenter.low_res(frame.image), path)
        return VideoSky(path, view, config.mapping, rows)
    image = read_rgb(path)
    if config.sky_is_sky:
        if rows_of_sky(segmenter.low_res(image), path, least=0) < 1:
            print(f"{path} seems to show land too, and is taken as it is; --no-sky-is-sky cuts it off", file=sys.stderr)
        return ImageSky(image, view, config.mapping, config.wind, loop_s)
    probability = refine(image, segmenter.low_res(image))
    kept = max(1, round(rows_of_sky(probability, path) * len(image)))
    return ImageSky(without_land(image[:kept], probability[:kept]), view, config.mapping, config.wind, loop_s)


def _say(horizon: Horizon) -> str:
    how = "seen" if horizon.seen else "estimated"
    return f"horizon {how} at {100 * horizon.y:.0f} % of the height, tilt {horizon.tilt_deg:.1f} degrees"
