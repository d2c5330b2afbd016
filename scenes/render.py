"""Procedural scenes with exact sky masks: a seed in, an image and the sky's share of every pixel out.

They are the data of `make demo` and of the tests, a part of the training mix, and the golden inputs. A scene is layered
in linear light as alpha * sky + (1 - alpha) * foreground (`scenes.parts.canvas.Canvas`), so alpha is exact by
construction; whatever the camera does that moves light between pixels (tilt, blur) is done to alpha as well. The same
seed gives the same bytes on one machine with one set of package versions; elsewhere a last bit may differ.

As a command it writes a data set in the layout of the trainer::

    python -m scenes.render --out DIR --count 200 --split train

    DIR/SPLIT/images/scene_000000.png   RGB
    DIR/SPLIT/masks/scene_000000.png    8-bit: 255 sky, 0 other, values between = share of the pixel that is sky
    DIR/manifest.csv

In a mask of this layout 128 alone means "ignore this pixel"; a share that rounds to 128 is therefore written as 129, so
that no exact label is ever thrown away. Readers that want a class take values >= 128 as sky, except where they ignore.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.files import partial_file
from scenes.kinds import KINDS
from scenes.parts.camera import Camera, expose
from scenes.parts.canvas import Canvas
from scenes.parts.light import Light, pick
from scenes.parts.noise import Rng
from scenes.parts.skies import Sky, make_sky
from scenes.parts.structures import birds

OUTDOOR_SKIES = ("clear", "cloudy", "overcast", "sunset", "night")
SKIES: tuple[str, ...] = (*OUTDOOR_SKIES, "none")
MOST_PIXELS = 8192  # of a side: the layers take about 100 bytes a pixel


@dataclass(frozen=True)
class Scene:
    """An image and its exact sky mask.

    Attributes
    ----------
    image
        (H, W, 3) uint8, sRGB, color order RGB.
    alpha
        (H, W) float32 in [0, 1], share of each pixel that is sky.
    kind, sky
        One of `KINDS`, one of `SKIES`; sky is "none" where the kind has no sky.
    """

    image: np.ndarray
    alpha: np.ndarray
    kind: str
    sky: str


_SKY_WEIGHTS = (1.2, 1.5, 1.1, 0.7, 0.6)  # in the order of OUTDOOR_SKIES


def _choose(rng: Rng, kind: str | None, sky: str | None) -> tuple[str, str]:
    """Settle what is to be painted; always draws the same numbers."""
    weights = np.array([each.weight * (sky is None or (sky != "none") == each.has_sky) for each in KINDS.values()])
    drawn_kind = str(rng.choice(list(KINDS), p=weights / weights.sum()))
    drawn_sky = str(rng.choice(OUTDOOR_SKIES, p=np.array(_SKY_WEIGHTS) / sum(_SKY_WEIGHTS)))
    kind = kind or drawn_kind
    if not KINDS[kind].has_sky:
        return kind, "none"
    return kind, sky or drawn_sky


def _check(size: tuple[int, int], kind: str | None, sky: str | None) -> None:
    """Raise `InputError` where these cannot be asked for."""
    if len(size) != 2 or not 16 <= min(size) <= max(size) <= MOST_PIXELS:
        raise InputError(f"scene size: got {tuple(size)}, expected (height, width), each 16 to {MOST_PIXELS}; try 384 512")
    if kind is not None and kind not in KINDS:
        raise InputError(f"scene kind: got {kind!r}, expected one of {', '.join(KINDS)}")
    if sky is not None and sky not in SKIES:
        raise InputError(f"scene sky: got {sky!r}, expected one of {', '.join(SKIES)}")
    if kind is not None and sky is not None and (sky != "none") != KINDS[kind].has_sky:
        without = ", ".join(name for name, each in KINDS.items() if not each.has_sky)
        raise InputError(
            f"scene: got kind {kind!r} with sky {sky!r}, expected sky 'none' with {without} and with no"
            " other kind; leave one of the two out"
        )


def compose(rng: Rng, size: tuple[int, int], kind: str, sky: str) -> Canvas:
    """Paint the layers of a scene, before the camera; `canvas.image()` is linear RGB."""
    height, width = size
    horizon = rng.uniform(0.42, 0.82)
    if kind in ("lookup", "allsky"):
        horizon = rng.uniform(1.0, 1.6)
    if sky == "none":
        backdrop = Sky(np.zeros((height, width, 3), np.float32), _light_without_sky(rng, indoor=kind == "indoor"))
    else:
        backdrop = make_sky(rng, sky, height, width, horizon)
    canvas = Canvas(height, width, backdrop.light, backdrop.pixels, horizon)
    KINDS[kind].paint(canvas, rng)
    if KINDS[kind].has_sky and rng.random() < 0.08:
        birds(canvas, rng)
    return canvas


def _light_without_sky(rng: Rng, indoor: bool) -> Light:
    """Light of a sky that is not seen; indoors that of lamps and windows, soft and mostly warm."""
    weather = str(rng.choice(("clear", "overcast", "sunset", "night"), p=(0.45, 0.4, 0.1, 0.05)))
    light = make_sky(rng, weather, 16, 16, 0.5).light
    if not indoor:
        return light
    tone = pick(rng, ((255, 244, 228), (255, 226, 190), (240, 246, 255)), 0.05)
    return Light(light.sun_x, 0, tone * 0.35, tone * rng.uniform(0.25, 0.55), tone * 0.3, light.night)


def generate(seed: int, size: tuple[int, int] = (384, 512), kind: str | None = None, sky: str | None = None) -> Scene:
    """Make the scene of a seed.

    `seed` is any integer of 0 or more; the same arguments give the same bytes. `size` is (height, width), each 16 to 8192.
    `kind` is one of `KINDS` and `sky` one of `SKIES`; None draws them. "none" belongs to the kinds without sky and to no other.
    """
    _check(size, kind, sky)
    rng = np.random.default_rng(seed)
    kind, sky = _choose(rng, kind, sky)
    camera = Camera.draw(rng)
    canvas = compose(rng, camera.canvas_size(size), kind, sky)
    layers = camera.project(canvas, size)
    image = expose(rng, np.maximum(layers[..., :3], 0), canvas.light, sky)
    alpha = np.ascontiguousarray(np.clip(layers[..., 3], 0, 1))
    return Scene(image, alpha, kind, sky)


# --- the command ------------------------------------------------------------------------------------------------------

MANIFEST_FIELDS = (
    "id", "source", "split", "group", "scene", "width", "height", "sky_fraction", "ignore_fraction", "label_quality", "licence",
    "origin",
)  # fmt: skip


@dataclass(frozen=True)
class RenderConfig:
    """Write procedural scenes as a data set: images, exact masks, manifest."""

    out: Path  # folder of the data set; SPLIT/images, SPLIT/masks and manifest.csv appear in it
    count: int  # how many scenes
    seed: int = 0  # seed of the first; the others follow
    size: tuple[int, int] = (384, 512)  # height, width in pixels
    split: str = "train"  # name of the split
    kind: str | None = None  # one of the kinds of scene alone, such as indoor


def mask_bytes(alpha: np.ndarray) -> np.ndarray:
    """8-bit mask of alpha (H, W): round(255 * alpha), but never 128, which would mean "ignore"."""
    mask = np.round(alpha * 255).astype(np.uint8)
    mask[mask == 128] = 129
    return mask


def _write_png(path: Path, pixels: np.ndarray) -> None:
    if not cv2.imwrite(str(path), pixels):
        raise OSError(f"could not write {path}: is the disk full, or the folder read-only?")


def _other_rows(manifest: Path, split: str, ids: set[str]) -> list[list[str]]:
    """Rows of a manifest that writing these ids into this split leaves as they are."""
    if not manifest.exists():
        return []
    try:
        with open(manifest, newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"cannot read {manifest}: {error}; expected a manifest of scenes; choose another --out") from error
    if tuple(header) != MANIFEST_FIELDS or any(len(row) != len(header) for row in rows):
        raise InputError(f"{manifest}: got columns {header}, expected {','.join(MANIFEST_FIELDS)}; choose another --out")
    return [row for row in rows if row[2] != split or row[0] not in ids]


def main(config: RenderConfig) -> None:
    """Write the data set; a manifest that is there already keeps its other rows."""
    from rich.console import Console
    from rich.progress import track

    if config.count < 1:
        raise InputError(f"--count: got {config.count}, expected at least 1")
    if config.seed < 0:
        raise InputError(f"--seed: got {config.seed}, expected 0 or more")
    _check(config.size, config.kind, None)
    if not config.split or Path(config.split).name != config.split:
        raise InputError(f"--split: got {config.split!r}, expected a plain folder name such as train")
    manifest = config.out / "manifest.csv"
    seeds = range(config.seed, config.seed + config.count)
    kept = _other_rows(manifest, config.split, {f"scene_{seed:06d}" for seed in seeds})
    images, masks = (config.out / config.split / name for name in ("images", "masks"))
    images.mkdir(parents=True, exist_ok=True)
    masks.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in track(seeds, "scenes", console=Console(stderr=True)):
        scene, name = generate(seed, config.size, config.kind), f"scene_{seed:06d}"
        _write_png(images / f"{name}.png", scene.image[..., ::-1])
        _write_png(masks / f"{name}.png", mask_bytes(scene.alpha))
        height, width = config.size
        label = (f"{scene.kind}, {scene.sky}", width, height, f"{scene.alpha.mean():.6f}", "0.000000", "exact")
        rows.append((name, "scenes", config.split, name, *label, "Apache-2.0", f"scenes/render.py seed {seed}"))
    with partial_file(manifest) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([MANIFEST_FIELDS, *kept, *rows])
    print(f"{len(rows)} scenes in {config.out / config.split}")


if __name__ == "__main__":
    from edge_runtime.cli import run_command

    run_command(main, RenderConfig)
