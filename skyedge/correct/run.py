"""Correct a mask by strokes: `python -m skyedge.correct IMAGE --model DIR --sky X,Y --out MASK.png`.

A stroke labels some pixels. How far the label spreads is found in two steps at a reduced size. `cv2.floodFill` selects
connected pixels of similar color with the wrong label, and goes further where the network was unsure. `cv2.grabCut` (Rother
et al. 2004) then separates them from the rest, which keeps the network's labels. `edge_runtime.masks.refine` brings the
change to the image's edges. Pixels further from a stroke than `REACH`, or not connected to it, never change.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from edge_runtime.errors import InputError
from edge_runtime.files import check_free, write_bytes
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.mask_file import VOID, is_ours, mask_png, read_gray
from edge_runtime.images.opencv import cv2
from edge_runtime.images.resize import check_rgb, to_mask8
from edge_runtime.masks.refine import refine
from edge_runtime.segmenter import Segmenter

RECORD = "correct"  # in the PNG: `correct` may write it again, `segment` may not
SKY, OTHER = 255, 0  # values of a stroke; VOID is no stroke
WORK_SIDE = 400  # long side of the image that is cut: bounds the time of a graph cut, whatever the image's size
REACH = 0.35  # of the long side: largest distance from a stroke at which the mask may change
DEPTHS, LEAST = 4.0, 2.0  # the same in depths of the stroke inside the wrong area, plus so many pixels
LIKE, LIKE_UNSURE = 10, 30  # levels per channel that the flood may differ from the stroke's color: where p is sure, unsure
SURE = 0.1  # p at most this far from 0 or 1 is sure
CUTS = 2  # rounds of grabCut
MARGIN = 12  # pixels of the working image around what may change, for the colors of both sides
MIX = 4.0  # pixels of the working image over which the joined change ends


@dataclass(frozen=True)
class Correct:
    """Correct the sky mask of an image by strokes or points."""

    image: Annotated[Path, tyro.conf.Positional]
    """Image; points count in pixels of it as it is seen, upright, from the upper left corner, 0,0."""
    out: Path
    """PNG to write: 8-bit, round(255 p), of the upright image's size. It may be the file of --mask."""
    model: Path | None = None
    """Artifact folder that makes the mask to correct."""
    mask: Path | None = None
    """Mask to correct, in place of --model: 8-bit PNG of the image's size."""
    strokes: Path | None = None
    """PNG of the image's size: 255 sky, 0 not sky, 128 or transparent where there is no stroke."""
    sky: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """X,Y of a point that is sky; can be repeated."""
    not_sky: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """X,Y of a point that is not sky; can be repeated."""
    overwrite: bool = False
    """Also replace an --out that this program did not write."""


def main(config: Correct) -> None:
    """Correct one mask; say on stdout how much of it changed."""
    if (config.model is None) == (config.mask is None):
        raise InputError("got both or neither of --model and --mask, expected one of them; leave one out, or add --model DIR")
    out = os.path.realpath(config.out)
    if out in {os.path.realpath(path) for path in (config.image, config.strokes) if path}:
        raise InputError(f"got --out {config.out}, an input that would be overwritten; choose another name")
    if not config.overwrite and not (config.mask and out == os.path.realpath(config.mask)):
        check_free([config.out], lambda path: is_ours(path, RECORD))
    image = read_rgb(config.image)
    strokes = read_strokes(config, image.shape[:2])
    if config.mask is not None:
        before = read_values(config.mask, image.shape[:2], "mask").astype(np.float32) / 255
    else:
        assert config.model is not None
        before = refine(image, Segmenter.load(config.model).low_res(image))
    after = correct(image, before, strokes)
    write_bytes(config.out, mask_png(to_mask8(after), RECORD))
    changed = np.count_nonzero((after >= 0.5) != (before >= 0.5)) / after.size
    print(f"{100 * changed:.2f}% of the pixels changed, {np.count_nonzero(strokes != VOID)} were given: {config.out}")


def correct(image: np.ndarray, probability: np.ndarray, strokes: np.ndarray) -> np.ndarray:
    """Correct a mask, (H, W) float32 in [0, 1], where strokes contradict it; the result is exactly 1 or 0 on the strokes.

    `image` is (H, W, 3) uint8 RGB. `strokes` is (H, W) uint8: 255 sky, 0 not sky, 128 no stroke; at least one is needed.
    """
    check_rgb(image)
    if not image.shape[:2] == probability.shape == strokes.shape:
        shapes = f"image {image.shape[:2]}, mask {probability.shape}, strokes {strokes.shape}"
        raise InputError(f"got {shapes}, expected one (height, width) for all three")
    check_strokes(strokes)
    size = _working_size(strokes.shape)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    p = np.clip(cv2.resize(probability, size, interpolation=cv2.INTER_AREA), 0, 1)
    given = _shrink_strokes(strokes, size)
    result = probability.copy()
    for value in (SKY, OTHER):
        changed = _changed(small, p, given, value)
        if changed.any():
            _bring_back(image, probability, p, changed, value, result)
    result[strokes == SKY], result[strokes == OTHER] = 1, 0
    return result


def check_strokes(strokes: np.ndarray) -> None:
    """Raise `InputError` where strokes hold another value than 0, 128, 255, or nothing but 128."""
    counts = np.bincount(strokes.ravel(), minlength=256)
    counts[[SKY, OTHER]] *= -1
    if (wrong := np.flatnonzero(np.where(np.arange(256) == VOID, 0, counts) > 0)).size:
        raise InputError(f"got strokes of the value {wrong[0]}, expected 255 sky, 0 not sky, 128 no stroke; draw hard edges")
    if not (counts < 0).any():
        raise InputError("got no stroke, expected one at least; draw one with 255 or 0, or give --sky X,Y or --not-sky X,Y")


def read_strokes(config: Correct, shape: tuple[int, ...]) -> np.ndarray:
    """Return strokes and points of a command as (H, W) uint8, 128 where there is none."""
    strokes = np.full(shape, VOID, np.uint8)
    if config.strokes is not None:
        strokes = read_values(config.strokes, shape, "strokes").copy()
        check_strokes(strokes)
    for words, value, flag in ((config.sky, SKY, "--sky"), (config.not_sky, OTHER, "--not-sky")):
        for word in words:
            x, y = _point(word, flag)
            if not (0 <= x < shape[1] and 0 <= y < shape[0]):
                raise InputError(f"got {flag} {word}, expected 0,0 to {shape[1] - 1},{shape[0] - 1}; name a point inside")
            if strokes[y, x] not in (VOID, value):
                raise InputError(f"got {flag} {word}, where the opposite is given too; expected one of the two, remove one")
            strokes[y, x] = value
    check_strokes(strokes)
    return strokes


def read_values(path: Path, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Read a gray PNG of 8 bits as (H, W) uint8; what is transparent is 128. Raises `InputError` for any other file or size."""
    gray, alpha, _ = read_gray(path, what)
    if gray.shape != tuple(shape):
        raise InputError(f"{what} {path} is {gray.shape}, expected {tuple(shape)} (height, width) as the upright image")
    return gray if alpha is None else np.where(alpha == 0, np.uint8(VOID), gray)


def _point(word: str, flag: str) -> tuple[int, int]:
    try:
        x, y = (int(number) for number in word.split(","))
    except ValueError as error:
        raise InputError(f"got {flag} {word}, expected X,Y in whole pixels, for example {flag} 640,120") from error
    return x, y


def _working_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (width, height) of the working image."""
    factor = max(1.0, max(shape) / WORK_SIDE)
    return max(1, math.ceil(shape[1] / factor)), max(1, math.ceil(shape[0] / factor))


def _shrink_strokes(strokes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return strokes at the working size; a pixel that holds strokes of both labels gets none."""
    small = np.full((size[1], size[0]), VOID, np.uint8)
    hits = []
    for value in (SKY, OTHER):
        y, x = np.nonzero(strokes == value)
        hit = np.zeros(small.shape, bool)
        hit[y * size[1] // strokes.shape[0], x * size[0] // strokes.shape[1]] = True
        hits.append(hit)
    small[hits[0] & ~hits[1]] = SKY
    small[hits[1] & ~hits[0]] = OTHER
    return small


def _changed(small: np.ndarray, p: np.ndarray, given: np.ndarray, value: int) -> np.ndarray:
    """Return as (h, w) bool which working pixels the strokes of one label change."""
    seeds = given == value
    open_to = (p < 0.5) if value == SKY else (p >= 0.5)
    wrong = seeds & open_to
    if not wrong.any():
        return wrong
    near = _near(wrong, open_to)
    grown = _flood(small, p, wrong, open_to & near & (given != OTHER + SKY - value))
    part = _around(near)  # a cut learns its colors nearby, not from a similar house elsewhere
    cut = np.zeros_like(near)
    cut[part] = _cut(small[part], p[part], grown[part], given[part], value, near[part])
    return _joined((cut | wrong) & open_to & near, wrong)


def _around(near: np.ndarray) -> tuple[slice, slice]:
    """Return the part of the working image that a cut looks at."""
    x, y, width, height = cv2.boundingRect(near.astype(np.uint8))
    return slice(max(0, y - MARGIN), y + height + MARGIN), slice(max(0, x - MARGIN), x + width + MARGIN)


def _near(wrong: np.ndarray, open_to: np.ndarray) -> np.ndarray:
    """Return where strokes may change the mask: widely around a stroke deep inside a wrong area, narrowly at its edge."""
    depth = cv2.distanceTransform(np.pad(open_to.astype(np.uint8), 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1]
    near = wrong.astype(np.uint8)
    for x, y in _spread(wrong):
        reach = min(REACH * max(wrong.shape), DEPTHS * float(depth[y, x]) + LEAST)
        cv2.circle(near, (int(x), int(y)), round(reach), 1, cv2.FILLED)
    return near.view(bool)


def _flood(small: np.ndarray, p: np.ndarray, wrong: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return the pixels within `allowed` that are connected to wrong ones and have about their color."""
    calm = cv2.bilateralFilter(small, 5, 20, 5)
    unsure = np.minimum(p, 1 - p) > SURE
    found = wrong.copy()
    for levels, where in ((LIKE, allowed), (LIKE_UNSURE, allowed & unsure | wrong)):
        blocked = np.pad((~where).astype(np.uint8), 1, constant_values=1)
        for x, y in _spread(wrong):
            if not where[y, x]:
                continue
            mask = blocked.copy()
            flags = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | (2 << 8)
            cv2.floodFill(calm, mask, (int(x), int(y)), 0, (levels,) * 3, (levels,) * 3, flags)
            found |= mask[1:-1, 1:-1] == 2
    return found


def _spread(wrong: np.ndarray, count: int = 64) -> np.ndarray:
    """Return at most `count` of the wrong pixels as (n, 2) x, y, evenly along the strokes."""
    y, x = np.nonzero(wrong)
    picked = np.unique(np.linspace(0, len(x) - 1, min(count, len(x))).round().astype(int))
    return np.stack([x[picked], y[picked]], 1)


def _cut(small: np.ndarray, p: np.ndarray, grown: np.ndarray, given: np.ndarray, value: int, near: np.ndarray) -> np.ndarray:
    """Return the pixels that grabCut labels `value`: strokes are certain, `grown` is likely, the network starts the rest."""
    small = np.ascontiguousarray(small)
    labels = np.where(p >= 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[p > 1 - SURE], labels[p < SURE] = cv2.GC_FGD, cv2.GC_BGD
    unsure = cv2.dilate(grown.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))).view(bool)
    labels[unsure & near] = np.where(p >= 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD)[unsure & near]
    labels[grown] = cv2.GC_PR_FGD if value == SKY else cv2.GC_PR_BGD
    labels[given == SKY], labels[given == OTHER] = cv2.GC_FGD, cv2.GC_BGD
    is_sky = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if is_sky.all() or not is_sky.any():  # grabCut wants both
        return grown
    sky_model, other_model = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(small, labels, (0, 0, 1, 1), other_model, sky_model, CUTS, cv2.GC_INIT_WITH_MASK)
    is_sky = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return is_sky if value == SKY else ~is_sky


def _joined(mask: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Return the connected parts of a mask that hold a seed."""
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    wanted = np.unique(parts[seeds & mask])
    return np.isin(parts, wanted[wanted > 0])


def _bring_back(
    image: np.ndarray, before: np.ndarray, p: np.ndarray, changed: np.ndarray, value: int, result: np.ndarray
) -> None:
    """Write the change into `result` (H, W), along the image's edges, and only toward the stroke's label."""
    wanted = p.copy()
    wanted[changed] = value / 255
    found = refine(image, wanted)
    distance = cv2.distanceTransform((~changed).astype(np.uint8), cv2.DIST_L2, 5)
    share = np.clip(1 - distance / MIX, 0, 1).astype(np.float32)
    share = cv2.resize(share, before.shape[::-1], interpolation=cv2.INTER_LINEAR)
    found = before + share * (found - before)
    if value == SKY:
        np.maximum(result, found, out=result, where=share > 0)
    else:
        np.minimum(result, found, out=result, where=share > 0)
