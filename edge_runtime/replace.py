"""Replace the sky: `python -m edge_runtime.replace PICTURE|VIDEO --model DIR --sky PICTURE|VIDEO|PRESET --out FILE`.

Segment, refine, find the horizon, place the new sky above it, take the old one's colour out of branches and wires, relight
the foreground, blend; in a video, move the new sky as the old one moves. Written from the description of Zou et al. 2020
("Castle in the Sky", arXiv 2010.11800); what each step does instead, its module says.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.image_ops import read_rgb
from edge_runtime.progress import track
from edge_runtime.refine import refine
from edge_runtime.relight import Cutout, Look, replace_sky
from edge_runtime.segmenter import Segmenter
from edge_runtime.sky_files import check_target, is_video, open_video, video_sink, write_picture
from edge_runtime.sky_motion import SkyTracker
from edge_runtime.sky_pictures import Mapping, PictureSky, VideoSky, rows_of_sky
from edge_runtime.sky_presets import PRESETS, Sky, make_sky
from edge_runtime.sky_view import Horizon, View, find_horizon

LONGEST_S = 600.0  # of an animation


@dataclass(frozen=True)
class Replace:
    """Put another sky into a picture or a video, or make a moving preview of a picture."""

    input: Annotated[Path, tyro.conf.Positional]
    """Picture or video."""
    model: Path
    """Artifact folder."""
    sky: str
    """clear, clouds, overcast, sunset, stars (drawn, no file needed), or a picture or video of a sky."""
    out: Path
    """File to write: a picture, or a video (.mp4, .mkv, .avi) for a video and with --animate."""
    animate: float = 0.0
    """Seconds of a preview in which the sky of a picture moves; its end joins its beginning."""
    fps: float = 25.0
    """Frames per second of --animate; a video keeps its own."""
    relight: float = 0.5
    """How far the foreground follows the new sky's light and colour, 0 to 1."""
    halo: float = 0.3
    """Glow of the new sky over the foreground's edges, 0 to 1."""
    wind: float = 1.0
    """Speed of the clouds; 0 stands still."""
    seed: int = 0
    """Of the drawn skies."""
    mapping: Mapping = "ahead"
    """A sky picture or video was taken towards the horizon, or straight up: then it is laid on a plane overhead."""
    horizon: float | None = None
    """Height of the horizon at the middle of the picture, 0 = top, 1 = bottom; found from the sky where it is left out."""
    tilt: float | None = None
    """Slope of the horizon, degrees, positive where it falls to the right; found too."""
    fov: float = 65.0
    """Angle of view of the camera along the longer side, degrees."""
    min_sky: float = 0.05
    """Pictures with a smaller share of sky are refused; such frames of a video stay as they are."""
    threads: int = 1
    """CPU threads of the interpreter."""


def main(config: Replace) -> None:
    """Replace the sky of one picture or video."""
    start = time.monotonic()
    video = is_video(config.input)
    _check(config, video)
    segmenter = Segmenter.load(config.model, config.threads)
    said = _video(config, segmenter) if video else _picture(config, segmenter)
    print(f"{config.out}: {said}, {time.monotonic() - start:.1f} s")


def _check(config: Replace, video: bool) -> None:
    """Raise `InputError` for what can be told without reading a picture."""
    if video and config.animate:
        raise InputError(f"got --animate with the video {config.input}, expected a picture; leave --animate out")
    if not (0 <= config.animate <= LONGEST_S and 1 <= config.fps <= 240 and 0 <= config.min_sky <= 1):
        got = f"--animate {config.animate}, --fps {config.fps}, --min-sky {config.min_sky}"
        raise InputError(f"got {got}, expected 0..{LONGEST_S:.0f} seconds, 1..240 frames per second, a share in 0..1")
    if config.horizon is not None and not -2 <= config.horizon <= 3:
        raise InputError(f"got --horizon {config.horizon}, expected a share of the picture's height in -2..3, such as 0.6")
    if config.sky not in PRESETS and not Path(config.sky).is_file():
        raise InputError(f"got --sky {config.sky}, expected {', '.join(PRESETS)}, or an existing picture or video")
    check_target(config.out, video or config.animate > 0)
    for source in (config.input, Path(config.sky)):
        if config.out.resolve() == source.resolve():
            raise InputError(f"got {source} as input and output, expected two files; choose another --out")
    Look(config.relight, config.halo)


def _picture(config: Replace, segmenter: Segmenter) -> str:
    """Replace the sky of a picture, once or for every frame of a preview; return what was done."""
    image = read_rgb(config.input)
    alpha = refine(image, segmenter.coarse(image))
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
        write_picture(config.out, replace_sky(image, alpha, sky, view, look))
        return said
    count, cutout = max(1, round(config.animate * config.fps)), Cutout.of(image, alpha)
    with video_sink(config.out, config.fps) as sink:
        for number in track(range(count), "frames"):
            sink.write(cutout.before(sky, view, look, number / config.fps))
    return f"{count} frames of {said}"


def _video(config: Replace, segmenter: Segmenter) -> str:
    """Replace the sky of a video, frame by frame; return what was done."""
    video = open_video(config.input)
    look, tracker = Look(config.relight, config.halo), SkyTracker()
    first: View | None = None
    sky: Sky | None = None
    steps: Counter[str] = Counter()
    with video_sink(config.out, video.rate) as sink:
        for number, image in enumerate(video.frames):
            alpha = refine(image, segmenter.coarse(image))
            motion = tracker.step(image, alpha)
            steps[motion.source] += number > 0
            if float(alpha.mean()) < config.min_sky:
                steps["untouched"] += 1
                sink.write(image)
                continue
            if first is None or sky is None:
                # Seen from the first frame with a sky; the motion up to there is undone in it.
                first = dataclasses.replace(_view(config, alpha), motion=np.linalg.inv(motion.matrix))
                sky = open_sky(config, first, segmenter, None)
            view = dataclasses.replace(first, motion=motion.matrix @ first.motion)
            sink.write(replace_sky(image, alpha, sky, view, look, number / video.rate))
            if number % 100 == 99:
                print(f"{number + 1} of {video.count or 'unknown'} frames", file=sys.stderr, flush=True)
        if first is None:
            raise InputError(
                f"got {config.input} without a frame of at least {100 * config.min_sky:.0f} % sky, so there is no sky to "
                "replace, and nothing was written; --min-sky 0 replaces it all the same"
            )
    followed = f"motion from sky {steps['sky']}, from background {steps['background']}, none {steps['none']}"
    return f"{sink.count} frames, {steps['untouched']} with too little sky left as they were, {followed}, {_say(first.horizon)}"


def _view(config: Replace, alpha: np.ndarray) -> View:
    """Return the camera of a picture: the horizon is found where it is not given."""
    found = find_horizon(alpha)
    given = Horizon(
        found.y if config.horizon is None else config.horizon, found.tilt_deg if config.tilt is None else config.tilt, found.seen
    )
    if not math.isfinite(given.y) or not math.isfinite(given.tilt_deg):
        raise InputError(f"got --horizon {config.horizon}, --tilt {config.tilt}, expected numbers")
    return View(alpha.shape[0], alpha.shape[1], given, config.fov)


def open_sky(config: Replace, view: View, segmenter: Segmenter, loop_s: float | None) -> Sky:
    """Return the sky that `config.sky` names; of a picture or a video, what is above its land."""
    if config.sky in PRESETS:
        return make_sky(config.sky, config.seed, config.wind, loop_s)
    path = Path(config.sky)
    if is_video(path):
        frame = next(open_video(path).frames)
        return VideoSky(path, view, config.mapping, rows_of_sky(segmenter.coarse(frame), path))
    picture = read_rgb(path)
    rows = max(1, round(rows_of_sky(segmenter.coarse(picture), path) * len(picture)))
    return PictureSky(picture[:rows], view, config.mapping, config.wind, loop_s)


def _say(horizon: Horizon) -> str:
    how = "seen" if horizon.seen else "estimated"
    return f"horizon {how} at {100 * horizon.y:.0f} % of the height, tilt {horizon.tilt_deg:.1f} degrees"


if __name__ == "__main__":
    run_command(main, Replace)
