"""ONNX in int8, as QDQ for onnxruntime. A library; `quantize/int8.py` is the command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from export.command import Converted, input_spec, output_spec
from export.parity import MEAN, STD
from export.to_onnx import TOOLS, to_model_proto
from export.wrapper import Network


def convert(network: Network, pictures: Sequence[np.ndarray], folder: Path) -> Converted:
    """Write `folder`/model.onnx, calibrated on (H, W, 3) uint8 RGB pictures: float32 in and out, uint8 and int8 between.

    Weights are int8 per output channel, activations uint8 per tensor (the variant that onnxruntime runs faster than float32),
    ranges the minimum and maximum over all pictures; the input's are those of a byte.
    """
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands out one picture after another."""

        def __init__(self) -> None:
            self.inputs: Iterator[np.ndarray] = iter(pictures)

        def get_next(self) -> dict[str, np.ndarray] | None:
            picture = next(self.inputs, None)
            if picture is None:
                return None
            return {"image": np.ascontiguousarray(((picture.astype(np.float32) - MEAN) / STD).transpose(2, 0, 1)[None])}

    path = folder / "model.onnx"
    quantize_static(
        to_model_proto(network),
        path,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={
            "TensorQuantOverrides": {"image": [{"rmin": np.float32((0 - MEAN) / STD), "rmax": np.float32((255 - MEAN) / STD)}]},
            "CalibMaxIntermediateOutputs": 32,  # ranges are merged as they come: memory does not grow with the pictures
        },
    )
    tensors = input_spec("image", network.size, "NCHW"), output_spec("sky")
    return Converted({"model": path}, *tensors, "per_channel_symmetric", "per_tensor", TOOLS)
