"""Runs one network in a process of its own, which may crash: `python foreign.py PROGRAM MODEL INPUTS.npy OUTPUTS.npy`.

Imports none of our packages: mediapipe runs in another environment. INPUTS.npy stacks the network's input tensors, for mediapipe
(H, W, 3) uint8 RGB images; OUTPUTS.npy stacks the output tensors, for mediapipe the confidence masks.
"""

import sys
from collections.abc import Callable

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]


def openvino(model: str) -> Run:
    """Open ONNX or TFLite in OpenVINO on the CPU, in float32 where the CPU has bfloat16 too."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it would look up a host
    import openvino as ov

    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"})
    return lambda tensor: compiled(tensor)[0]


def opencv(model: str) -> Run:
    """Open ONNX or TFLite in OpenCV's DNN module."""
    import cv2

    onnx = model.endswith(".onnx")
    network = cv2.dnn.readNetFromONNX(model) if onnx else cv2.dnn.readNetFromTFLite(model)

    def run(tensor: np.ndarray) -> np.ndarray:
        # Its reader of TFLite turns NHWC into NCHW, and takes NHWC in silence.
        network.setInput(tensor if onnx else np.ascontiguousarray(tensor.transpose(0, 3, 1, 2)))
        return network.forward()

    return run


def mediapipe(model: str) -> Run:
    """Open TFLite in the ImageSegmenter of MediaPipe Tasks, and check that its label arrives."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageSegmenterOptions(base_options=BaseOptions(model_asset_path=model), output_confidence_masks=True)
    segmenter = vision.ImageSegmenter.create_from_options(options)
    if list(segmenter.labels) != ["sky"]:
        raise ValueError(f"labels {segmenter.labels}, expected sky")

    def run(image: np.ndarray) -> np.ndarray:
        result = segmenter.segment(mp.Image(image_format=mp.ImageFormat.SRGB, data=image))
        return result.confidence_masks[0].numpy_view()

    return run


if __name__ == "__main__":
    program = {"openvino": openvino, "opencv": opencv, "mediapipe": mediapipe}[sys.argv[1]](sys.argv[2])
    np.save(sys.argv[4], np.stack([np.array(program(tensor)) for tensor in np.load(sys.argv[3])]))
