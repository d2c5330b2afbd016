"""Write the image of docs/video-and-sky.md that shows refinement of a generated scene: `python studies/refinement_example.py`."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import write_bytes
from edge_runtime.images.resize import resize_probability
from edge_runtime.masks.refine import refine
from edge_runtime.segmenter import Segmenter
from scenes.render import generate

LABELS = ("image", "bilinear", "refined")
CAPTION = 28  # pixels of height
MOST_BYTES = 200_000


@dataclass(frozen=True)
class RefinementExampleConfig:
    """Lay a crop of a scene, its mask upsampled bilinearly, and its mask refined side by side."""

    out: Path = Path("results/refinement/example.jpg")
    model: Path = Path("models/unet_lite/onnx-fp32")  # artifact that gives the map
    kind: str = "field"  # of the scene
    sky: str = "clear"  # of the scene
    seed: int = 700_002  # of the scene
    size: tuple[int, int] = (1536, 2048)  # height, width of the scene in pixels
    tile: int = 420  # side of a crop in pixels


def main(config: RefinementExampleConfig) -> None:
    """Write the image; the crop is where the target has most edges."""
    if not 16 <= config.tile <= min(config.size):
        raise InputError(f"got --tile {config.tile}, expected 16 to {min(config.size)}, the scene's shorter side")
    scene = generate(config.seed, config.size, config.kind, config.sky)
    low_res = Segmenter.load(config.model).low_res(scene.image)
    edges = cv2.morphologyEx((scene.alpha >= 0.5).astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    busy = cv2.boxFilter(edges, -1, (config.tile, config.tile), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    inside = busy[: config.size[0] - config.tile + 1, : config.size[1] - config.tile + 1]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    crop = np.s_[top : top + config.tile, left : left + config.tile]
    maps = (resize_probability(low_res, *config.size), refine(scene.image, low_res))
    grays = [np.repeat(np.rint(255 * gray[crop]).astype(np.uint8)[..., None], 3, 2) for gray in maps]
    sheet = Image.new("RGB", (3 * config.tile, config.tile + CAPTION), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (label, tile) in enumerate(zip(LABELS, (scene.image[crop], *grays), strict=True)):
        sheet.paste(Image.fromarray(tile), (number * config.tile, CAPTION))
        draw.text((number * config.tile + 8, 4), label, fill="black", font_size=18)
    data = io.BytesIO()
    for quality in (92, 85, 75, 60):
        data = io.BytesIO()
        sheet.save(data, format="JPEG", quality=quality)
        if data.tell() < MOST_BYTES:
            break
    write_bytes(config.out, data.getvalue())
    print(f"{config.out}: {data.tell() / 1000:.0f} kB")


if __name__ == "__main__":
    run_command(main, RefinementExampleConfig)
