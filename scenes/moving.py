"""Short videos of procedural scenes with exact masks: the camera moves, things pass, clouds drift, light changes.

A shot is made of the layers of one scene (`scenes.render.compose`): its sky, its foreground with the share of sky that the
foreground leaves, and passing things of their own. Each layer is moved, then they are laid over each other in linear light,
so that the share of sky is exact in every frame, by construction. The sensor adds fresh noise to every frame.

As a command it writes a clip, and with `--masks` its exact masks (lossless, gray)::

    python -m scenes.moving --out build/clip.mp4 --motion pan --masks build/masks.mkv
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.srgb import encode
from scenes.kinds import KINDS
from scenes.parts.canvas import Canvas
from scenes.parts.passing import cars_and_people
from scenes.render import MOST_PIXELS, OUTDOOR_SKIES, compose

Motion = Literal["tripod", "pan", "handheld", "dolly", "objects", "clouds", "exposure", "cut"]
MOTIONS: tuple[Motion, ...] = get_args(Motion)
MARGIN = 1.5  # the plates are so much larger than the frame, each way, in pixels of the frame
SKY_SHARE = (0.15, 0.85)  # of the plates: a shot without any edge between sky and the rest would show nothing
NOISE = 0.012  # of the sensor, at full light; standard deviation, white = 1
TRIES = 50
PURE = 0.99  # from this share of sky on a pixel is the sky's
BESIDE, CLOSE = 0.02, 0.006  # of the width: as far as this from the foreground, and from things, `Frame.back` is theirs
WEATHER = (0.26, 0.3, 0.22, 0.14, 0.08)  # in the order of OUTDOOR_SKIES


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame with its exact mask and motion.

    Attributes
    ----------
    image
        (H, W, 3) uint8, sRGB, color order RGB.
    alpha
        (H, W) float32 in [0, 1], share of each pixel that is sky.
    back
        (H, W, 2) float32: x, y in the frame before of what each pixel shows, exactly; NaN where that was out of sight,
        and in the first frame of a shot. Sky close to an edge is said to move with the edge, as errors of a mask do.
    shot
        Number of the shot, from 0; a cut begins the next.
    """

    image: np.ndarray
    alpha: np.ndarray
    back: np.ndarray
    shot: int


@dataclass(frozen=True)
class _Paths:
    """Where camera, clouds and light are in each frame of a shot."""

    shift: np.ndarray  # (frames, 2) pixels of the frame
    turn_deg: np.ndarray
    zoom: np.ndarray
    drift: np.ndarray  # (frames, 2) pixels that the sky alone moves
    gain: np.ndarray


def moving_scene(
    seed: int,
    frames: int,
    size: tuple[int, int] = (360, 640),
    motion: Motion = "pan",
    kind: str | None = None,
    sky: str | None = None,
) -> Iterator[Frame]:
    """Yield the frames of a shot, or of two with a hard cut in the middle (`motion` "cut").

    `seed` decides scene and motion: the same arguments give the same frames on one machine. `size` is (height, width) in pixels,
    each at least 32. `kind` and `sky` are as in `scenes.render.generate`, but with sky; None draws them. Motions: tripod (nothing
    moves but the noise), pan (the camera turns steadily, up to 0.6 % of the width a frame), handheld (it shakes), dolly (it goes
    forward: the foreground grows and the sky stays), objects (cars and people pass in front of the skyline), clouds (the sky
    drifts alone), exposure (brightness drifts and jitters), cut (two shots).
    """
    _check(seed, frames, size, motion, kind, sky)
    if motion != "cut":
        yield from _shot(np.random.default_rng((seed, 0)), frames, size, motion, (kind, sky), 0)
        return
    half = frames // 2
    for shot, count in enumerate((half, frames - half)):
        yield from _shot(np.random.default_rng((seed, shot)), count, size, "handheld", (kind, sky), shot)


def _check(seed: int, frames: int, size: tuple[int, int], motion: str, kind: str | None, sky: str | None) -> None:
    """Raise `InputError` where these cannot be asked for."""
    if seed < 0 or frames < 1 or not 32 <= min(size) <= max(size) <= MOST_PIXELS:
        got = f"seed {seed}, {frames} frames of {size[0]} x {size[1]}"
        raise InputError(f"got {got}, expected a seed of 0 or more, 1 frame or more, sides of 32 to {MOST_PIXELS} pixels")
    if motion not in MOTIONS:
        raise InputError(f"got motion {motion!r}, expected one of {', '.join(MOTIONS)}")
    with_sky = [name for name, each in KINDS.items() if each.has_sky]
    if kind is not None and kind not in with_sky:
        raise InputError(f"got kind {kind!r}, expected a kind of scene with sky: {', '.join(with_sky)}")
    if sky is not None and sky not in OUTDOOR_SKIES:
        raise InputError(f"got sky {sky!r}, expected one of {', '.join(OUTDOOR_SKIES)}")


def _shot(
    rng: np.random.Generator,
    frames: int,
    size: tuple[int, int],
    motion: str,
    look: tuple[str | None, str | None],
    shot: int,
) -> Iterator[Frame]:
    height, width = size
    plate, weather = _plate(rng, size, *look)
    paths = _paths(rng, motion, frames, size)
    passing = cars_and_people(rng, plate, size, frames) if motion == "objects" else []
    ground = np.dstack([plate.paint, plate.alpha])
    exposure = _exposure(plate, weather)
    beside, close = (np.ones((2 * round(share * width) + 1,) * 2, np.uint8) for share in (BESIDE, CLOSE))
    before: _Layout | None = None
    for t in range(frames):
        camera = _matrix(plate, size, paths.shift[t], paths.turn_deg[t], paths.zoom[t])
        # What is far away does not grow when the camera goes forward.
        above = _matrix(plate, size, paths.shift[t] + paths.drift[t], paths.turn_deg[t], 1.0)
        sky, front = _warp(plate.sky, above, size), _warp(ground, camera, size)
        paint, alpha = front[..., :3], np.clip(front[..., 3], 0, 1)
        owner = cv2.dilate((alpha < PURE).astype(np.uint8), beside)
        matrices = [above, camera]
        for thing in passing:
            moved = camera.copy()
            moved[:, 2] += thing.step * (t - (frames - 1) / 2)
            layer = _warp(np.dstack([thing.paint, thing.cover]), moved, size, cv2.BORDER_CONSTANT)
            cover = np.clip(layer[..., 3], 0, 1)
            paint, alpha = paint * (1 - cover[..., None]) + layer[..., :3], alpha * (1 - cover)
            owner[cv2.dilate((cover > 1 - PURE).astype(np.uint8), close) > 0] = len(matrices)
            matrices.append(moved)
        light = (alpha[..., None] * sky + paint) * np.float32(exposure * paths.gain[t])
        layout = _Layout(owner, matrices)
        yield Frame(_develop(rng, light), np.ascontiguousarray(alpha, np.float32), layout.back(before), shot)
        before = layout


@dataclass(frozen=True, eq=False)
class _Layout:
    """Which layer each pixel of a frame belongs to (0 the sky), and each layer's matrix from plate to frame."""

    owner: np.ndarray
    matrices: list[np.ndarray]

    def back(self, before: _Layout | None) -> np.ndarray:
        """Return where each pixel was in the frame `before`, (H, W, 2) float32; NaN where out of sight."""
        height, width = self.owner.shape
        back = np.full((height, width, 2), np.nan, np.float32)
        if before is None:
            return back
        for number, (now, then) in enumerate(zip(self.matrices, before.matrices, strict=True)):
            y, x = np.nonzero(self.owner == number)
            to_plate = cv2.invertAffineTransform(now)
            step = (then @ np.vstack([to_plate, [0, 0, 1]])).astype(np.float32)
            place = np.stack([x, y, np.ones_like(x)], -1).astype(np.float32) @ step.T
            column, row = np.rint(place).astype(int).T
            seen = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            seen[seen] = before.owner[row[seen], column[seen]] == number
            back[y[seen], x[seen]] = place[seen]
        return back


def _plate(rng: np.random.Generator, size: tuple[int, int], kind: str | None, sky: str | None) -> tuple[Canvas, str]:
    """Paint a scene that has both sky and something else where the camera looks."""
    outdoors = [name for name, each in KINDS.items() if each.has_sky and name != "allsky"]
    large = round(size[0] * MARGIN), round(size[1] * MARGIN)
    for _ in range(TRIES):
        weather = sky or str(rng.choice(OUTDOOR_SKIES, p=WEATHER))
        canvas = compose(rng, large, kind or str(rng.choice(outdoors)), weather)
        top, left = (large[0] - size[0]) // 2, (large[1] - size[1]) // 2
        share = float(canvas.alpha[top : top + size[0], left : left + size[1]].mean())
        if SKY_SHARE[0] <= share <= SKY_SHARE[1] or kind == "allsky":
            return canvas, weather
    raise InputError(f"no scene of kind {kind!r} with a skyline in {TRIES} tries, expected one; choose another --seed")


def _paths(rng: np.random.Generator, motion: str, frames: int, size: tuple[int, int]) -> _Paths:
    """Draw the paths of a shot; what `motion` does not ask for stays still."""
    unit, steps = size[1] / 640, np.arange(frames) - (frames - 1) / 2
    shift, drift, turn = np.zeros((frames, 2)), np.zeros((frames, 2)), np.zeros(frames)
    zoom: np.ndarray = np.ones(frames)
    gain = np.ones(frames)
    if motion == "pan":
        reach = np.array([0.22 * size[1], 0.1 * size[0]])
        step = np.array([rng.choice([-1, 1]) * rng.uniform(1.5, 4), rng.normal(0, 0.3)]) * unit
        shift = np.clip(np.outer(steps, step), -reach, reach)
    elif motion == "handheld":
        shift = _wander(rng, frames, 2, 2.5 * unit, 0.9) + rng.normal(0, 0.4 * unit, (frames, 2))
        turn = _wander(rng, frames, 1, 0.25, 0.9)[:, 0]
    elif motion == "dolly":
        zoom = 1.006 ** (steps + (frames - 1) / 2)
        shift = _wander(rng, frames, 2, 0.5 * unit, 0.9)
    elif motion == "clouds":
        drift = np.outer(steps, [rng.choice([-1, 1]) * rng.uniform(0.8, 2.0), rng.normal(0, 0.1)]) * unit
    elif motion == "exposure":
        slow = 0.35 * np.sin(2 * np.pi * (steps / 40 + rng.uniform()))
        gain = np.exp(slow + rng.normal(0, 0.04, frames))
    return _Paths(shift, turn, zoom, drift, gain)


def _wander(rng: np.random.Generator, frames: int, columns: int, deviation: float, memory: float) -> np.ndarray:
    """Return (frames, columns): a walk that is pulled back, smooth as a hand is, of about this deviation."""
    out, speed, place = np.zeros((frames, columns)), np.zeros(columns), rng.normal(0, deviation, columns)
    for t in range(frames):
        speed = memory * speed - 0.06 * place + rng.normal(0, 0.18 * deviation, columns)
        place = place + speed
        out[t] = place
    return out


def _matrix(plate: Canvas, size: tuple[int, int], shift: np.ndarray, turn_deg: float, zoom: float) -> np.ndarray:
    """Return (2, 3) from the plate to the frame: turned and zoomed about the middle, then shifted."""
    center = (plate.width - 1) / 2, (plate.height - 1) / 2
    matrix = cv2.getRotationMatrix2D(center, float(turn_deg), float(zoom))
    matrix[:, 2] += [(size[1] - plate.width) / 2 + shift[0], (size[0] - plate.height) / 2 + shift[1]]
    return matrix


def _warp(plane: np.ndarray, matrix: np.ndarray, size: tuple[int, int], border: int = cv2.BORDER_REPLICATE) -> np.ndarray:
    return cv2.warpAffine(plane, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR, borderMode=border)


def _exposure(plate: Canvas, weather: str) -> float:
    """Return the gain of a usual exposure: the geometric mean of the light goes most of the way to middle gray."""
    mean = float(np.exp(np.log(np.maximum(plate.image()[::8, ::8], 0).mean(-1) + 1e-3).mean()))
    return (0.2 / mean) ** 0.6 * (0.75 if weather in ("sunset", "night") else 1.0)


def _develop(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Turn linear light (H, W, 3) into 8-bit sRGB: noise of the sensor, a soft shoulder, the sRGB curve."""
    light = np.clip(image, 0, 4)
    light = light + rng.standard_normal(light.shape, np.float32) * (NOISE * np.sqrt(np.minimum(light, 1) + 0.01))
    light = np.clip(light, 0, None)
    light = np.where(light > 0.6, 0.6 + 0.4 * np.tanh((light - 0.6) / 0.5), light)
    return np.rint(np.clip(encode(light), 0, 1) * 255).astype(np.uint8)


# --- the command ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MovingConfig:
    """Write a moving procedural scene as a clip, and its exact masks."""

    out: Path  # the clip: .mp4, .mov or .avi (MPEG-4), .webm (VP9) or .mkv (FFV1, lossless)
    masks: Path | None = None  # its exact masks, gray, 255 = sky; .mkv, so that they stay exact
    motion: Motion = "pan"  # what moves
    frames: int = 75  # how many
    fps: float = 25.0  # frames a second
    seed: int = 0  # decides scene and motion
    size: tuple[int, int] = (360, 640)  # height, width in pixels
    kind: str | None = None  # kind of scene, one of scenes/render.py with sky; drawn where not given
    overwrite: bool = False  # replace files that are there


def main(config: MovingConfig) -> None:
    """Write the clip; files appear under their names when they are whole."""
    from fractions import Fraction

    from edge_runtime.video.format import VideoFormat
    from edge_runtime.video.write import VideoSink, check_target

    if config.masks is not None and config.masks.suffix.lower() != ".mkv":
        raise InputError(f"got --masks {config.masks}, expected a name that ends in .mkv, whose codec is lossless")
    for path in filter(None, (config.out, config.masks)):
        check_target(path, config.overwrite)
    form = VideoFormat(Fraction(config.fps).limit_denominator(1001))
    with contextlib.ExitStack() as sinks:
        clip = sinks.enter_context(VideoSink(config.out, form))
        masks = config.masks and sinks.enter_context(VideoSink(config.masks, form))
        for frame in moving_scene(config.seed, config.frames, config.size, config.motion, config.kind):
            clip.write(frame.image)
            if masks:
                masks.write(np.rint(frame.alpha * 255).astype(np.uint8))
    height, width = config.size
    print(f"{config.frames} frames of {width} x {height}, {config.motion}, seed {config.seed}: {config.out}")


if __name__ == "__main__":
    from edge_runtime.cli import run_command

    run_command(main, MovingConfig)
