"""skyedge.h for ctypes: what the tests of the C interface share."""

from __future__ import annotations

import ctypes
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
