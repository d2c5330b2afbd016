"""Example masks for the report: images with the sky of each artifact tinted, as small JPEG data."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.artifact.artifact import SPEC_FILE
from edge_runtime.benchmark.results import Results
from edge_runtime.errors import InputError
from edge_runtime.images.dataset import find_pairs
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.opencv import cv2
from edge_runtime.images.overlay import draw_overlay
from edge_runtime.images.resize import resize_rgb
from edge_runtime.models import CLASSICAL, read_model
from edge_runtime.segmenter import Segmenter
from skyedge.report.rows import Line

TILE_WIDTH = 260
JPEG_QUALITY = 82


@dataclass(frozen=True)
class Tile:
    """An image of the page: a data URL, its size in pixels, and its caption."""

    url: str
    width: int
    height: int
    caption: str


@dataclass(frozen=True)
class Strip:
    """One image with the masks of one network's artifacts; the first tile is the image itself."""

    network: str
    image: str
    tiles: tuple[Tile, ...]


def list_images(places: Sequence[Path]) -> list[Path]:
    """Return `places` with folders replaced by their images; raises `InputError` for a folder without images."""
    found: list[Path] = []
    for place in places:
        found += [pair.image for pair in find_pairs(place, masks=False)] if place.is_dir() else [place]
    return found


def make_strips(lines: Sequence[Line], folders: dict[str, Path], paths: Sequence[Path]) -> list[Strip]:
    """Run every artifact of `folders` (key -> folder) on every image; return strips by image, then network."""
    images = {path: read_rgb(path) for path in paths}
    originals = {path: _tile_size(image) for path, image in images.items()}
    shown = {line.key: line for line in lines if line.key in folders}
    overlays: dict[tuple[Path, str], Tile] = {}
    for key, line in shown.items():
        segmenter = Segmenter.load(folders[key])
        for path, image in images.items():
            probability = segmenter(image)
            height, width = originals[path].shape[:2]
            small = cv2.resize(probability, (width, height), interpolation=cv2.INTER_AREA)
            overlay = draw_overlay(originals[path], small, segmenter.artifact.spec.output.threshold)
            overlays[path, key] = as_tile(overlay, f"{line.artifact.format} {line.artifact.precision}")
    strips = []
    for path in paths:
        for network in sorted({line.network for line in shown.values()}):
            keys = sorted((key for key, line in shown.items() if line.network == network), key=lambda key: _order(shown[key]))
            tiles = (as_tile(originals[path], "image"), *(overlays[path, key] for key in keys))
            strips.append(Strip(network, path.stem, tiles))
    return strips


def find_folders(results: Results, models: Sequence[Path]) -> dict[str, Path]:
    """Return key -> folder of the measured artifacts that are here and unchanged (same SHA-256).

    `models` are artifact folders or folders of them; without any, the folders in the result file count.
    """
    artifacts = results.artifacts
    if models:
        places = [path.parent for folder in models for path in (*folder.glob(SPEC_FILE), *folder.glob(f"*/{SPEC_FILE}"))]
    else:
        places = [Path(artifact.folder) for artifact in artifacts if (Path(artifact.folder) / SPEC_FILE).is_file()]
    places += [Path(artifact.folder) for artifact in artifacts if artifact.folder.startswith(CLASSICAL)]
    by_sha = {read_model(place).sha256: place for place in places}
    found = {artifact.key: by_sha[artifact.sha256] for artifact in artifacts if artifact.sha256 in by_sha}
    if not found:
        raise InputError("got --images, but none of the measured artifacts is here; give their folders with --models")
    return found


def _order(line: Line) -> tuple[int, str]:
    return ("fp32", "fp16", "int8", "uint8").index(line.artifact.precision), line.artifact.format


def _tile_size(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    return resize_rgb(image, max(1, round(height * TILE_WIDTH / width)), TILE_WIDTH)


def as_tile(image: np.ndarray, caption: str) -> Tile:
    """Return (H, W, 3) uint8 RGB as a tile of its own size."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    url = "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
    return Tile(url, image.shape[1], image.shape[0], caption)
