"""What an evaluation looks like: how far probabilities can be believed, and a sheet of the worst images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge_runtime.images.dataset import Labeled, Pair, read_pair
from edge_runtime.images.resize import to_mask8
from edge_runtime.metrics.histograms import Reliability
from edge_runtime.metrics.iou import ImageMetrics

PANEL = (192, 144)  # width and height of one panel of a sheet, pixels
CAPTION, MARGIN, CELLS_PER_ROW = 18, 8, 3
BACKGROUND, INK, VOID_COLOR = (24, 24, 24), (230, 230, 230), (200, 60, 160)


def plot_reliability(found: Reliability, path: Path, title: str) -> None:
    """Draw as PNG how often pixels predicted as sky with some probability are sky, and how many pixels that is about."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 5.5), layout="constrained")
    figure.suptitle(title)
    top, bottom = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    top.plot([0, 1], [0, 1], color="gray", linestyle="--", label="calibrated")
    top.plot(found.predicted, found.sky, "o-", color="tab:blue", label=f"expected calibration error {found.ece:.4f}")
    top.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that is sky")
    top.legend(loc="upper left")
    width = 1.0 / len(found.starts)
    bottom.bar(found.starts, found.pixels / found.pixels.sum(), width, align="edge", color="tab:blue", alpha=0.5)
    bottom.set(yscale="log", xlabel="probability of sky", ylabel="share of pixels")
    figure.savefig(path, dpi=110)


def worst_first(images: Sequence[ImageMetrics]) -> list[int]:
    """Return image numbers, the largest mean absolute error first; images without a valid pixel have none."""
    errors = {index: image.mae for index, image in enumerate(images) if image.mae is not None}
    return sorted(errors, key=lambda index: -errors[index])


def worst_sheet(
    predict: Callable[[np.ndarray], np.ndarray], pairs: Sequence[Pair], images: Sequence[ImageMetrics], count: int, path: Path
) -> None:
    """Draw the `count` worst images as PNG: image, target (void in magenta), predicted probability, figures."""
    order = worst_first(images)[:count]
    cells = [
        (_caption(place, pairs[index], images[index]), _panels(predict, pairs[index])) for place, index in enumerate(order, 1)
    ]
    draw_sheet(cells or [("no image has a valid pixel", [])], path)


def draw_sheet(cells: Sequence[tuple[str, Sequence[np.ndarray]]], path: Path) -> None:
    """Draw cells of a caption and three panels, (H, W, 3) uint8 RGB each, as PNG or JPEG."""
    columns = min(CELLS_PER_ROW, len(cells))
    rows = -(-len(cells) // columns)
    cell = (3 * PANEL[0] + MARGIN, PANEL[1] + CAPTION + MARGIN)
    sheet = Image.new("RGB", (columns * cell[0] + MARGIN, rows * cell[1] + MARGIN), BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for place, (caption, panels) in enumerate(cells):
        left, top = MARGIN + place % columns * cell[0], MARGIN + place // columns * cell[1]
        name, keep = caption, len(caption) // 2
        while font.getlength(name) > 3 * PANEL[0] and keep > 4:
            keep -= 1
            name = f"{caption[:keep]}…{caption[-keep:]}"  # the number at its start, and figures at its end
        draw.text((left, top), name, INK, font)
        for number, panel in enumerate(panels):
            sheet.paste(_fitted(panel), (left + number * PANEL[0], top + CAPTION))
    sheet.save(path)


def _caption(place: int, pair: Pair, image: ImageMetrics) -> str:
    share = (image.tp + image.fn) / max(1, image.pixels)
    iou = "-" if image.iou is None else f"{image.iou:.3f}"
    name = pair.id if pair.id.startswith(pair.source) else f"{pair.source}/{pair.id}"
    return f"{place}. {name}  IoU {iou}  MAE {image.mae:.3f}  sky {share:.1%}"


def _panels(predict: Callable[[np.ndarray], np.ndarray], pair: Pair) -> list[np.ndarray]:
    labeled = read_pair(pair)
    return [labeled.image, draw_label(labeled), np.repeat(to_mask8(predict(labeled.image))[:, :, None], 3, axis=2)]


def draw_label(labeled: Labeled) -> np.ndarray:
    """Return a label as (H, W, 3) uint8 RGB: sky white, void magenta."""
    target = np.repeat(to_mask8(labeled.sky)[:, :, None], 3, axis=2)
    target[~labeled.valid] = VOID_COLOR
    return target


def _fitted(panel: np.ndarray) -> Image.Image:
    """Shrink or enlarge to fit the panel, shape kept, centered."""
    height, width = panel.shape[:2]
    scale = min((PANEL[0] - 4) / width, PANEL[1] / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    whole = Image.new("RGB", PANEL, BACKGROUND)
    resized = Image.fromarray(panel).resize(size, Image.Resampling.BILINEAR)
    whole.paste(resized, ((PANEL[0] - size[0]) // 2, (PANEL[1] - size[1]) // 2))
    return whole
