"""Export to TFLite: `python export/to_tflite.py [--checkpoint FILE] [--size WxH] [--precision fp32|fp16] [--out DIR]`.

litert-torch converts with input and output in NHWC, and no TRANSPOSE is left in the graph. fp16 stores weights as float16 with a
DEQUANTIZE before their users, which XNNPACK does once, when it loads the file: half the size, the speed of fp32. The file holds
TFLite Metadata, so MediaPipe Tasks takes it as it is.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from export.graphs.tflite_graph import finish, tidy
from export.network import Network
from export.pipeline import STORED, Converted, converted, export_command, run_export

TOOLS = ("ai-edge-litert", "ai-edge-quantizer", "litert-converter", "litert-torch")


def convert(network: Network, precision: str, folder: Path) -> Converted:
    """Write `folder`/model.tflite: input `image` (1, H, W, 3) float32, output `sky` (1, H, W, 1) float32."""
    content = to_flatbuffer(network)
    if precision == "fp16":
        content = halve_weights(content)
    path = folder / "model.tflite"
    path.write_bytes(finish(content, network.checkpoint.name, network.size, network.checkpoint.weights_license))
    return converted(network, {"model": path}, STORED[precision], TOOLS, "NHWC")


def to_flatbuffer(network: Network) -> bytes:
    """Return the float32 TFLite model, with short names."""
    import litert_torch

    nhwc = litert_torch.to_channel_last_io(network.folded, args=[0], outputs=[0]).eval()
    example = network.example.permute(0, 2, 3, 1).contiguous()
    return tidy(litert_torch.convert(nhwc, (example,)).model_content())


def halve_weights(content: bytes) -> bytes:
    """Return a float32 TFLite model with its convolution weights stored as float16; biases, which are small, stay float32."""
    from ai_edge_quantizer import quantizer

    recipe: list[dict[str, Any]] = [
        {
            "regex": ".*",
            "operation": operation,
            "algorithm_key": quantizer.AlgorithmName.FLOAT_CASTING,
            "op_config": {
                "weight_tensor_config": {"num_bits": 16, "dtype": "FLOAT"},
                "compute_precision": "FLOAT",
                "explicit_dequantize": True,
            },
        }
        for operation in ("CONV_2D", "DEPTHWISE_CONV_2D")
    ]
    halved = quantizer.Quantizer(content, recipe).quantize(enable_progress_report=False).quantized_model
    return tidy(bytes(halved))


export = partial(run_export, artifact_format="tflite", convert=convert)

if __name__ == "__main__":
    export_command(export)
