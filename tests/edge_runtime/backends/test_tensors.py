"""The one place that turns images into input tensors and output tensors into probabilities."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edge_runtime.artifact.artifact import InputSpec, OutputSpec, Quant
from edge_runtime.backends.tensors import InputEncoder, decode_output
from edge_runtime.errors import InputError

MEAN, STD = (127.0,) * 3, (128.0,) * 3
INPUT = InputSpec("image", (1, 2, 256, 3), "NHWC", "float32", "RGB", "pillow_bilinear", MEAN, STD, None)
RAMP = np.stack([np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)] * 2)  # (2, 256, 3): every byte


def test_encoding_is_exact() -> None:
    plain = InputEncoder(INPUT)(RAMP)
    assert plain.dtype == np.float32 and plain.shape == (1, 2, 256, 3)
    assert np.array_equal(plain[0, 0, :, 0], (np.arange(256) - 127) / 128)
    planes = InputEncoder(dataclasses.replace(INPUT, layout="NCHW", shape=(1, 3, 2, 256)))(RAMP)
    assert planes.flags.c_contiguous and np.array_equal(planes, plain.transpose(0, 3, 1, 2))
    int8 = InputEncoder(dataclasses.replace(INPUT, dtype="int8", quant=Quant(0.0078125, -1)))(RAMP)
    assert int8.dtype == np.int8 and np.array_equal(int8[0], RAMP.astype(int) - 128)  # no arithmetic at all
    clipped = InputEncoder(dataclasses.replace(INPUT, dtype="int8", quant=Quant(0.004, -1)))(RAMP)
    assert clipped.min() == -128 and clipped.max() == 127
    each = InputEncoder(dataclasses.replace(INPUT, mean=(0.0, 1.0, 2.0), std=(1.0, 2.0, 4.0)))(RAMP)
    assert each[0, 0, 10].tolist() == [10.0, 4.5, 2.0]  # R, G, B


def test_decoding_refuses_what_is_no_probability() -> None:
    spec = OutputSpec("sky", "probability", 0.5, "float32", None)
    almost = decode_output(np.array([[[[-1e-4, 0.5], [1.0, 1 + 1e-4]]]], np.float32), spec, 2, 2)
    assert almost.shape == (2, 2) and almost.min() == 0 and almost.max() == 1
    for wrong in (-3.0, 1.5, np.nan, np.inf):
        with pytest.raises(InputError, match="expected 0 to 1"):
            decode_output(np.array([[0.5, wrong]], np.float32), spec, 1, 2)
    int8 = dataclasses.replace(spec, dtype="int8", quant=Quant(0.00390625, -128))
    assert decode_output(np.array([[-128, 0, 127]], np.int8), int8, 1, 3).tolist() == [[0.0, 0.5, 255 / 256]]
