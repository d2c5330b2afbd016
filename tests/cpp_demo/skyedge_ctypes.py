"""skyedge.h for ctypes: what the tests of the C interface share."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import numpy as np

RGB, RGBA, BGRA, NV12, NV21, YUV420, YUYV, UYVY = range(8)
ALPHA8, FLOAT32 = range(2)


class COptions(ctypes.Structure):
    """`skyedge_options`."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        *((name, ctypes.c_int32) for name in ("threads", "fp16", "vulkan", "big_cores", "self_test")),
    ]


class CFiles(ctypes.Structure):
    """`skyedge_files`: an artifact in memory."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        *((f"{name}_{part}", kind) for name in ("json", "param", "bin", "golden_input", "golden_output")
          for part, kind in (("data", ctypes.c_char_p), ("size", ctypes.c_size_t))),
    ]  # fmt: skip

    @classmethod
    def of(cls, *contents: bytes) -> CFiles:
        """Return model.json, param and bin, and the golden pair where it is given."""
        return cls(ctypes.sizeof(cls), *(word for content in contents for word in (content, len(content))))


class CFrame(ctypes.Structure):
    """`skyedge_frame`, with the arrays that it points to."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        *((name, ctypes.c_int32) for name in ("format", "width", "height")),
        ("planes", ctypes.c_void_p * 3),
        ("row_strides", ctypes.c_int32 * 3),
        *((name, ctypes.c_int32) for name in ("chroma_pixel_stride", "rotation")),
        *((name, ctypes.c_int32) for name in ("crop_x", "crop_y", "crop_width", "crop_height", "color")),
    ]

    @classmethod
    def of(cls, pixel_format: int, width: int, height: int, *planes: np.ndarray) -> CFrame:
        """Return a frame over `planes`, (rows, bytes) uint8 each."""
        frame = cls(struct_size=ctypes.sizeof(cls), format=pixel_format, width=width, height=height, chroma_pixel_stride=1)
        frame.kept = planes
        for i, plane in enumerate(planes):
            frame.planes[i], frame.row_strides[i] = plane.ctypes.data, plane.strides[0]
        return frame


class CMask(ctypes.Structure):
    """`skyedge_mask` over an array (h, w) of uint8 or float32."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("row_stride", ctypes.c_size_t),
        *((name, ctypes.c_int32) for name in ("width", "height", "format")),
    ]

    @classmethod
    def of(cls, array: np.ndarray) -> CMask:
        """Return a mask that writes into `array`."""
        kind = FLOAT32 if array.dtype == np.float32 else ALPHA8
        mask = cls(ctypes.sizeof(cls), array.ctypes.data, array.strides[0], array.shape[1], array.shape[0], kind)
        mask.array = array
        return mask


def load_library(path: Path) -> ctypes.CDLL:
    """Return libskyedge with the result types of skyedge.h."""
    library = ctypes.CDLL(str(path))
    library.skyedge_last_error.restype = library.skyedge_version.restype = library.skyedge_notes.restype = ctypes.c_char_p
    library.skyedge_destroy.restype = None
    library.skyedge_destroy.argtypes = [ctypes.c_void_p]
    return library


def phone_frame(folder: Path) -> CFrame:
    """Return a frame as most phones give it, held upright and cropped to 56 x 40 pixels; its planes go to FOLDER/y, u, v.

    U and V share their memory, a sample of each in turn.
    """
    rng = np.random.default_rng(3)
    luma, pairs = (rng.integers(0, 256, (rows, 64), dtype=np.uint8) for rows in (48, 24))
    for name, plane in (("y", luma.ravel()), ("u", pairs.ravel()[:-1]), ("v", pairs.ravel()[1:])):
        (folder / name).write_bytes(plane.tobytes())
    frame = CFrame.of(YUV420, 64, 48, luma, pairs, pairs)
    frame.planes[2] = frame.planes[1] + 1
    frame.chroma_pixel_stride, frame.rotation = 2, 90
    frame.crop_x, frame.crop_y, frame.crop_width, frame.crop_height = 4, 2, 56, 40
    return frame


def mask_of(library: Path, model: Path, frame: CFrame, height: int, width: int) -> np.ndarray:
    """Return the (height, width) uint8 mask that the C interface makes of a frame."""
    native, network = load_library(library), ctypes.c_void_p()
    assert native.skyedge_create(os.fsencode(model), None, ctypes.byref(network)) == 0
    mask = CMask.of(np.empty((height, width), np.uint8))
    assert native.skyedge_segment(network, ctypes.byref(frame), ctypes.byref(mask)) == 0
    native.skyedge_destroy(network)
    return mask.array
