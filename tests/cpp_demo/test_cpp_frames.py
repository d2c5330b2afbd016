"""Camera frames through the C interface: the network sees exactly Pillow's resize of the converted, turned, cropped frame."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skyedge_ctypes import BGRA, NV12, NV21, RGB, RGBA, UYVY, YUV420, YUYV, CFrame, CMask, load_library

from edge_runtime.images.resize import resize_rgb

pytestmark = pytest.mark.slow
TURNS = {0: None, 90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}


class Network:
    """The released small network behind skyedge.h."""

    def __init__(self, library: ctypes.CDLL, model: Path) -> None:
        self.library, self.handle = library, ctypes.c_void_p()
        assert library.skyedge_create(os.fsencode(model), None, ctypes.byref(self.handle)) == 0
        width, height = ctypes.c_int32(), ctypes.c_int32()
        assert library.skyedge_input_size(self.handle, ctypes.byref(width), ctypes.byref(height)) == 0
        self.size = width.value, height.value

    def segment(self, frame: CFrame, width: int, height: int, kind: type = np.float32) -> np.ndarray:
        """Return the mask of a frame."""
        mask = CMask.of(np.empty((height, width), kind))
        code = self.library.skyedge_segment(self.handle, ctypes.byref(frame), ctypes.byref(mask))
        assert code == 0, self.library.skyedge_last_error()
        return mask.array

    def of_rgb(self, image: Image.Image) -> np.ndarray:
        """Return the mask, at the network's size, of an RGB image after Pillow's resize."""
        width, height = self.size
        pixels = resize_rgb(np.asarray(image), height, width)
        return self.segment(CFrame.of(RGB, width, height, pixels.reshape(height, width * 3).copy()), width, height)


@pytest.fixture(scope="module")
def network(build: Path, project_root: Path) -> Iterator[Network]:
    """Return a network that is opened once."""
    library = load_library(build / "libskyedge.so")
    network = Network(library, project_root / "models" / "unet_lite_s" / "ncnn-fp16")
    yield network
    library.skyedge_destroy(network.handle)


def to_rgb(luma: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return full-range BT.601 as RGB, in the units of 2^-16 that frame_input.cpp documents."""
    height, width = luma.shape
    u, v = (np.repeat(np.repeat(plane, 2, 0), 2, 1)[:height, :width].astype(np.int64) - 128 for plane in (u, v))
    gray = luma.astype(np.int64) * 65536 + 32768
    channels = gray + 91881 * v, gray - 22554 * u - 46802 * v, gray + 116130 * u
    return np.stack([np.clip(channel >> 16, 0, 255) for channel in channels], -1).astype(np.uint8)


def padded(plane: np.ndarray, more: int) -> np.ndarray:
    """Return the rows of a plane with `more` bytes behind each."""
    return np.ascontiguousarray(np.pad(plane.reshape(len(plane), -1), ((0, 0), (0, more)), constant_values=170))


def make(rng: np.random.Generator, kind: int, width: int, height: int) -> tuple[CFrame, np.ndarray]:
    """Return a random frame, and its RGB pixels."""
    more = int(rng.integers(0, 2) * rng.integers(1, 20))
    if kind in (RGB, RGBA, BGRA):
        pixels = rng.integers(0, 256, (height, width, 3 if kind == RGB else 4), dtype=np.uint8)
        rgb = pixels[..., 2::-1] if kind == BGRA else pixels[..., :3]
        return CFrame.of(kind, width, height, padded(pixels, more)), rgb
    luma = rng.integers(0, 256, (height, width), dtype=np.uint8)
    if kind in (YUYV, UYVY):
        luma = np.pad(luma, ((0, 0), (0, width % 2)))
        u, v = rng.integers(0, 256, (2, height, luma.shape[1] // 2), dtype=np.uint8)
        pairs = np.stack((luma[:, ::2], u, luma[:, 1::2], v) if kind == YUYV else (u, luma[:, ::2], v, luma[:, 1::2]), -1)
        rows = [to_rgb(luma[y : y + 1, :width], u[y : y + 1], v[y : y + 1]) for y in range(height)]
        return CFrame.of(kind, width, height, padded(pairs, more)), np.concatenate(rows)
    u, v = rng.integers(0, 256, (2, (height + 1) // 2, (width + 1) // 2), dtype=np.uint8)
    if kind in (NV12, NV21):
        pairs = np.stack((u, v) if kind == NV12 else (v, u), -1)
        frame = CFrame.of(kind, width, height, padded(luma, more), padded(pairs, more))
    else:
        step = int(rng.integers(1, 3))
        chroma = [padded(np.repeat(plane, step, 1), more) for plane in (u, v)]
        frame = CFrame.of(kind, width, height, padded(luma, 0), *chroma)
        frame.chroma_pixel_stride = step
    return frame, to_rgb(luma, u, v)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("kind", [RGB, RGBA, BGRA, NV12, NV21, YUV420, YUYV, UYVY])
def test_the_network_sees_pillows_resize(network: Network, kind: int, rotation: int) -> None:
    rng = np.random.default_rng(100 * kind + rotation)
    for _ in range(3):
        width, height = (int(side) for side in rng.integers(2, 420, 2))
        frame, rgb = make(rng, kind, width, height)
        frame.rotation = rotation
        image = Image.fromarray(np.ascontiguousarray(rgb))
        if rng.integers(0, 2):
            left, top = int(rng.integers(0, width)), int(rng.integers(0, height))
            right, bottom = int(rng.integers(left + 1, width + 1)), int(rng.integers(top + 1, height + 1))
            frame.crop_x, frame.crop_y, frame.crop_width, frame.crop_height = left, top, right - left, bottom - top
            image = image.crop((left, top, right, bottom))
        turn = TURNS[rotation]
        upright = image.transpose(turn) if turn is not None else image
        np.testing.assert_array_equal(network.segment(frame, *network.size), network.of_rgb(upright))


def test_yuv_is_within_a_level_of_pillows() -> None:
    values = np.array([0, 1, 16, 64, 127, 128, 129, 200, 254, 255], np.uint8)
    luma, u, v = (plane.ravel() for plane in np.meshgrid(values, values, values))
    expected = np.asarray(Image.merge("YCbCr", [Image.fromarray(plane[None]) for plane in (luma, u, v)]).convert("RGB"))[0]
    got = np.stack(
        [to_rgb(np.full((1, 1), y), np.full((1, 1), cb), np.full((1, 1), cr))[0, 0] for y, cb, cr in zip(luma, u, v, strict=True)]
    )
    assert np.abs(got.astype(int) - expected).max() <= 1
