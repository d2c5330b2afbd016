"""What a video takes over from the one that it is made of: rate, shape of pixels, colors, title. Set here and nowhere else.

Colors are told by the numbers of ITU-T H.273, which containers, codecs and FFmpeg share: matrix (from YUV to RGB), primaries,
transfer (of light to levels) and range (1: black at 16 and white at 235; 2: all levels).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from edge_runtime.images.opencv import Optional
from edge_runtime.images.srgb import shoulder, to_levels

av: Any = Optional("av", "PyAV", "video")

UNKNOWN, BT709, BT601, BT2020 = 2, 1, 6, 9  # matrices and primaries
PQ, HLG = 16, 18  # transfers of HDR
LIMITED, FULL = 1, 2  # ranges
HD_ROWS, HD_COLUMNS = 720, 1280  # from which on a video without tags is BT.709
WHITE_NITS = 203  # of an SDR white in HDR (ITU-R BT.2408)
TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
DEFAULT_RATE = Fraction(25)  # of sources without a rate
TICK = Fraction(1, 90_000)  # seconds; in it time stamps are written
OF_THE_FILE = ("major_brand", "minor_version", "compatible_brands", "encoder")  # metadata that a new file has of its own


@dataclass(frozen=True)
class Color:
    """The colors of a video, by the numbers of H.273."""

    matrix: int = UNKNOWN
    primaries: int = UNKNOWN
    transfer: int = UNKNOWN
    range: int = LIMITED

    @classmethod
    def of(cls, frame: Any, context: Any) -> Color:
        """Return the colors of a decoded frame; where it says nothing those of its stream, then those usual for its size."""
        matrix, primaries, transfer = (
            next((value for value in values if value not in (0, UNKNOWN, 3)), UNKNOWN)
            for values in (
                (frame.colorspace, context.colorspace),
                (frame.color_primaries, context.color_primaries),
                (frame.color_trc, context.color_trc),
            )
        )
        full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
        return cls(matrix, primaries, transfer, FULL if full else LIMITED).for_size(frame.height, frame.width)

    def for_size(self, height: int, width: int) -> Color:
        """Return these colors without a matrix left open: BT.709 for HD, which then has all its tags, else BT.601."""
        if self.matrix != UNKNOWN:
            return self
        if height < HD_ROWS and width < HD_COLUMNS:
            return replace(self, matrix=BT601)
        primaries, transfer = (BT709 if tag == UNKNOWN else tag for tag in (self.primaries, self.transfer))
        return Color(BT709, primaries, transfer, self.range)

    @property
    def hdr(self) -> bool:
        """Tell whether light beyond white is coded."""
        return self.transfer in (PQ, HLG)

    def as_sdr(self) -> Color:
        """Return the colors that frames have once they are RGB of 8 bits: HDR becomes BT.709."""
        return Color(BT709, BT709, BT709) if self.hdr else self


@dataclass(frozen=True)
class VideoFormat:
    """How a video is written: frames a second, width of a pixel by its height, colors (None: those usual for its size).

    `metadata` are title, date, place and what else the container of the source says of it; each container keeps what it can.
    """

    rate: Fraction = DEFAULT_RATE
    aspect: Fraction = Fraction(1)
    color: Color | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    def describe(self, stream: Any, pixels: str, size: tuple[int, int], tick: Fraction) -> Color:
        """Set all of it in a stream that is to be written, for frames of `size` (height, width); return its colors."""
        context = stream.codec_context
        color = (self.color or Color()).for_size(*size)
        if pixels.startswith(("bgr", "gray")):
            color = replace(color, range=FULL)
        stream.height, stream.width = size
        stream.pix_fmt = pixels
        context.time_base = tick
        context.sample_aspect_ratio = self.aspect
        context.colorspace = 0 if pixels.startswith("bgr") else color.matrix  # 0: RGB
        context.color_primaries, context.color_trc, context.color_range = color.primaries, color.transfer, color.range
        return color


class Converter:
    """Frames to RGB and back, exact to a level or two."""

    def __init__(self) -> None:
        flags = av.video.reformatter.Interpolation
        self._exact = flags.BILINEAR | flags.ACCURATE_RND | flags.FULL_CHR_H_INT | flags.FULL_CHR_H_INP
        self._reformat = av.video.reformatter.VideoReformatter().reformat

    def to_rgb(self, frame: Any, color: Color, size: tuple[int, int]) -> np.ndarray:
        """Return a decoded frame as (H, W, 3) uint8 RGB of `size` (H, W)."""
        matrix = 5 if color.matrix == BT601 else color.matrix  # two numbers of one matrix; swscale knows the other
        image = self._reformat(
            frame,
            height=size[0],
            width=size[1],
            format="gbrp16le" if color.hdr else "rgb24",
            interpolation=self._exact,
            src_colorspace=matrix,
            src_color_range=color.range,
        ).to_ndarray()
        return hdr_to_sdr(image, color.transfer) if color.hdr else image

    def to_frame(self, image: np.ndarray, pixels: str, color: Color, size: tuple[int, int]) -> Any:
        """Return (H, W) gray, (H, W, 3) RGB or (H, W, 4) RGBA, each uint8, as a frame of the format `pixels` and of `size`."""
        kind = "gray" if image.ndim == 2 else "rgb24" if image.shape[2] == 3 else "rgba"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=kind)
        words = {"src_color_range": FULL, "dst_color_range": color.range, "interpolation": self._exact}
        words |= {"height": size[0], "width": size[1]}
        if not pixels.startswith(("bgr", "gray")):
            words["dst_colorspace"] = 5 if color.matrix == BT601 else color.matrix
        return self._reformat(frame, format=pixels, **words)


def hdr_to_sdr(levels: np.ndarray, transfer: int) -> np.ndarray:
    """Return HDR levels of BT.2020, (H, W, 3) uint16, as (H, W, 3) uint8 sRGB; light above an SDR white is compressed."""
    light = _hdr_light(transfer)[levels >> 4]
    if transfer == HLG:
        light *= np.maximum(light @ BT2020_LUMA, 1e-6)[..., None] ** np.float32(0.2)
        light *= np.float32(1000 / WHITE_NITS)  # of a display of 1000 nits
    return np.rint(to_levels(shoulder(light @ TO_BT709.T))).astype(np.uint8)


@cache
def _hdr_light(transfer: int) -> np.ndarray:
    """Return the light of 4096 levels, float32: of PQ 1 is an SDR white, of HLG the brightest that a scene can have."""
    level = np.arange(4096) / 4095
    if transfer == HLG:  # ITU-R BT.2100
        high = (np.exp((level - 0.55991073) / 0.17883277) + 0.28466892) / 12
        return np.where(level <= 0.5, level**2 / 3, high).astype(np.float32)
    root = level ** (1 / 78.84375)
    nits = 10_000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    return (nits / WHITE_NITS).astype(np.float32)
