"""Runs one network in a process of its own, which may crash: `python foreign.py PROGRAM MODEL INPUT.npy OUTPUT.npy`.

Imports none of our packages: mediapipe runs in another environment. INPUT.npy is the network's input tensor, for mediapipe an
(H, W, 3) uint8 RGB image; OUTPUT.npy is the output tensor, for mediapipe the confidence mask.
"""

import sys

import numpy as np


def openvino(model: str, tensor: np.ndarray) -> np.ndarray:
    """Run ONNX or TFLite in OpenVINO on the CPU, in float32 where the CPU has bfloat16 too."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it would look up a host
    import openvino as ov

    config = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    return np.asarray(ov.Core().compile_model(model, "CPU", config)(tensor)[0])


def opencv(model: str, tensor: np.ndarray) -> np.ndarray:
    """Run ONNX or TFLite in OpenCV's DNN module."""
    import cv2

    if model.endswith(".onnx"):
        network = cv2.dnn.readNetFromONNX(model)
    else:  # its reader of TFLite turns NHWC into NCHW, and takes NHWC in silence
        network, tensor = cv2.dnn.readNetFromTFLite(model), np.ascontiguousarray(tensor.transpose(0, 3, 1, 2))
    network.setInput(tensor)
    return np.asarray(network.forward())


def mediapipe(model: str, image: np.ndarray) -> np.ndarray:
    """Run TFLite in the ImageSegmenter of MediaPipe Tasks, and check that its label arrives."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageSegmenterOptions(base_options=BaseOptions(model_asset_path=model), output_confidence_masks=True)
    with vision.ImageSegmenter.create_from_options(options) as segmenter:
        if list(segmenter.labels) != ["sky"]:
            raise ValueError(f"labels {segmenter.labels}, expected sky")
        result = segmenter.segment(mp.Image(image_format=mp.ImageFormat.SRGB, data=image))
        return np.array(result.confidence_masks[0].numpy_view())


if __name__ == "__main__":
    run = {"openvino": openvino, "opencv": opencv, "mediapipe": mediapipe}[sys.argv[1]]
    np.save(sys.argv[4], run(sys.argv[2], np.load(sys.argv[3])))
