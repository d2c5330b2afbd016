"""Export to ncnn: `python export/to_ncnn.py [--checkpoint FILE] [--size WxH] [--precision fp32|fp16] [--out DIR]`.

pnnx converts a traced module. fp16 stores weights as float16; whether ncnn also computes in half is the reader's option.
"""

from __future__ import annotations

from pathlib import Path

import torch

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.cli import run_command
from export.network import Network
from export.pipeline import Converted, ExportConfig, input_spec, output_spec, print_artifact, run_export

INPUT_BLOB, OUTPUT_BLOB = "in0", "out0"  # pnnx names blobs by position


def export(config: ExportConfig) -> Artifact:
    """Write the ncnn artifact of a checkpoint."""
    return run_export(config, "ncnn", convert)


def convert(network: Network, precision: str, folder: Path) -> Converted:
    """Write `folder`/model.ncnn.param and .bin: blobs `in0` (3, H, W) and `out0` (1, H, W), float32."""
    import pnnx

    half = precision == "fp16"
    traced = folder / "model.pt"
    # Tracing itself runs the network; running it again to compare (check_trace) would say no more than the parity gate.
    with torch.no_grad():
        pnnx.export(network.folded, str(traced), (network.example,), check_trace=False, fp16=half)
    files = {"param": folder / "model.ncnn.param", "bin": folder / "model.ncnn.bin"}
    stored = "float16" if half else "float32"
    tensors = input_spec(INPUT_BLOB, network.size, "NCHW"), output_spec(OUTPUT_BLOB)
    return Converted(files, *tensors, stored, "float32", ("ncnn", "pnnx"))


def main(config: ExportConfig) -> None:
    """Export and print where to."""
    print_artifact(export(config))


if __name__ == "__main__":
    run_command(main, ExportConfig)
