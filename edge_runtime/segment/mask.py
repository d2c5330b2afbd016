"""From an image file to its mask: the one path that `segment`, `batch` and `serve` share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_runtime.images.formats import Source, read_reduced
from edge_runtime.images.resize import resize_to_mask8, to_mask8
from edge_runtime.masks.presence import Finding, is_blank, judge
from edge_runtime.masks.refine import RefineConfig, refine
from edge_runtime.segmenter import Ensemble, Segmenter


@dataclass(frozen=True)
class MaskOptions:
    """What decides a mask besides image and model.

    Attributes
    ----------
    refinement
        How to follow the image's edges; None leaves the network's map as it is.
    min_sky
        Smallest share of the image that counts as sky; with less the mask is empty.
    low_res
        Leave the mask at the network's own size; not with `refinement`.
    exact
        Decode JPEGs in full. Otherwise those much larger than the network's input are decoded at 1/2, 1/4 or 1/8 where
        nothing else needs every pixel: several times faster, and masks differ a little.
    panorama
        The image goes all around: its left and right edge are neighbors, and the mask agrees there.
    """

    refinement: RefineConfig | None = None
    min_sky: float | None = None
    low_res: bool = False
    exact: bool = False
    panorama: bool = False


@dataclass(frozen=True, eq=False)
class ImageMask:
    """The mask of an image and what it comes from.

    Attributes
    ----------
    mask
        (H, W) uint8, round(255 p), at the size of the upright image, or as `low_res`.
    size
        (height, width) of the upright image.
    low_res
        (h, w) float32 in [0, 1]: the network's own map.
    finding
        What the map says about the image as a whole.
    image
        (..., 3) uint8 RGB as it was decoded: of the mask's size, or smaller.
    """

    mask: np.ndarray
    size: tuple[int, int]
    low_res: np.ndarray
    finding: Finding
    image: np.ndarray


def make_mask(source: Source, segmenter: Segmenter | Ensemble, options: MaskOptions = MaskOptions()) -> ImageMask:
    """Return the mask of an image file or of its bytes, empty where `is_blank`; raises `InputError` where it is broken."""
    whole = options.exact or options.refinement is not None
    image, size = read_reduced(source, None if whole else input_size(segmenter))
    low_res = around(image, segmenter) if options.panorama else segmenter.low_res(image)
    if is_blank(image):
        low_res = np.zeros_like(low_res)
    finding = judge(low_res, segmenter.threshold, options.min_sky)
    if not finding.sky:
        mask = np.zeros(low_res.shape if options.low_res else size, np.uint8)
    elif options.refinement is not None:
        mask = to_mask8(refine(image, low_res, options.refinement))
    else:
        mask = to_mask8(low_res) if options.low_res else resize_to_mask8(low_res, *size)
    return ImageMask(mask, size, low_res, finding, image)


def around(image: np.ndarray, segmenter: Segmenter | Ensemble) -> np.ndarray:
    """Return the map, as `Segmenter.low_res`, of an equirectangular panorama (H, W, 3): its first and last column are equal.

    The network also sees the image turned by half a round. Within a quarter of the width of the seam the map goes over to that
    of the turned image, where the seam lies in the middle.
    """
    low_res = segmenter.low_res(image)
    turned = segmenter.low_res(np.roll(image, image.shape[1] // 2, axis=1))
    width = low_res.shape[1]
    columns = np.arange(width, dtype=np.float32) + np.float32(0.5)
    share = np.minimum(1, np.minimum(columns, width - columns) * np.float32(4 / width))
    low_res = low_res * share + np.roll(turned, -(width // 2), axis=1) * (1 - share)
    low_res[:, [0, -1]] = low_res[:, [0, -1]].mean(axis=1, keepdims=True)
    return low_res


def input_size(segmenter: Segmenter | Ensemble) -> tuple[int, int]:
    """Return the (height, width) that the largest input of a network or an ensemble has."""
    sizes = [artifact.size for artifact in segmenter.artifacts]
    return max(height for height, _ in sizes), max(width for _, width in sizes)
