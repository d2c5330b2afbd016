"""The page of a batch run: rate over time, errors by kind, distribution of the sky share, and the images to label next."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from edge_runtime.errors import InputError
from edge_runtime.escape import plain
from edge_runtime.files import check_free, write_text
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.mask_file import read_gray
from edge_runtime.images.overlay import draw_overlay
from edge_runtime.images.resize import resize_rgb
from edge_runtime.records import build, parse_json, read_text
from skyedge.batch.results import BINS, LABEL_FOLDER, STAGES, SUMMARY_FILE, Summary
from skyedge.report.masks import TILE_WIDTH, Tile, as_tile
from skyedge.report.page import is_ours, render
from skyedge.report.plots import COLORS, RC, as_svg

THRESHOLD = 0.5


@dataclass(frozen=True)
class Stage:
    """A stage of the work: its seconds for one image, over all workers."""

    name: str
    ms: float


def is_archive(path: Path) -> bool:
    """Tell whether a path is the DEST of skyedge.batch."""
    return (path / SUMMARY_FILE).is_file()


def read_summary(folder: Path) -> Summary:
    """Read the summary of a batch run; raises `InputError` where it is broken."""
    path = folder / SUMMARY_FILE
    try:
        return build(Summary, parse_json(read_text(path, "the summary of a batch run"), "the summary of a batch run"))
    except InputError as error:
        raise InputError(f"{path}: {error}; run skyedge.batch again") from error


def write_page(folder: Path, out: Path, overwrite: bool = False) -> Path:
    """Write the page of a batch run to OUT/index.html and return its path."""
    summary = read_summary(folder)
    done = summary.images - summary.failed
    if not overwrite:
        check_free([out / "index.html"], is_ours)
    page = render(
        "archive.html.j2",
        s=summary,
        rate=Markup(rate_svg(summary)) if summary.new_images else None,
        shares=Markup(shares_svg(summary.sky_shares)),
        errors=sorted(summary.errors.items(), key=lambda item: -item[1]),
        stages=[Stage(name, 1000 * summary.stage_seconds[name] / max(1, done)) for name in STAGES],
        tiles=contact_sheet(folder / LABEL_FOLDER),
    )
    write_text(out / "index.html", page)
    return out / "index.html"


def rate_svg(summary: Summary) -> str:
    """Draw images per second over the time of the last run."""
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(9.2, 2.8), layout="constrained")
        axes = figure.subplots()
        times = [*(step.start for step in summary.timeline), summary.seconds]
        axes.stairs([step.rate for step in summary.timeline], times, fill=True, color=COLORS[0], alpha=0.35)
        axes.stairs([step.rate for step in summary.timeline], times, color=COLORS[0])
        axes.set_xlabel("seconds since the workers were started")
        axes.set_ylabel("images a second")
        axes.set_ylim(bottom=0)
        axes.set_title("Rate of the last run", loc="left", fontsize=11, fontweight="bold")
        return as_svg(figure, "Rate of the last run", {})


def shares_svg(shares: Sequence[int]) -> str:
    """Draw the number of images by sky share."""
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(9.2, 2.8), layout="constrained")
        axes = figure.subplots()
        width = 100 / BINS
        axes.bar([(index + 0.5) * width for index in range(BINS)], shares, 0.92 * width, color=COLORS[2])
        axes.set_xlabel("sky, % of the image")
        axes.set_ylabel("images")
        axes.set_title("Distribution of the sky share", loc="left", fontsize=11, fontweight="bold")
        return as_svg(figure, "Distribution of the sky share", {})


def contact_sheet(folder: Path) -> list[Tile]:
    """Return the images of lowest confidence with their masks drawn; none where the folder was not copied along."""
    path = folder / "manifest.csv"
    if not path.is_file():
        return []
    tiles = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found = [image for image in (folder / "images").iterdir() if image.stem == row["id"]]
            if not found:
                continue
            image = read_rgb(found[0])
            mask, _, _ = read_gray(folder / "masks" / f"{row['id']}.png")
            height = max(1, round(image.shape[0] * TILE_WIDTH / image.shape[1]))
            small = resize_rgb(image, height, TILE_WIDTH)
            probability = resize_rgb(mask[..., None].repeat(3, axis=2), height, TILE_WIDTH)[..., 0] / 255
            caption = f"{float(row['confidence']):.3f}  {plain(row['uri'].rpartition('/')[2])}"
            tiles.append(as_tile(draw_overlay(small, probability.astype("float32"), THRESHOLD), caption))
    return tiles
