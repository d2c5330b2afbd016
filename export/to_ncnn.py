"""Export to ncnn: `python export/to_ncnn.py [--checkpoint FILE] [--size WxH] [--precision fp32|fp16] [--out DIR]`.

pnnx converts a traced module. fp16 stores weights as float16; whether ncnn also computes in half is the reader's option.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import torch

from edge_runtime.errors import InputError
from export.graphs.facts import layer_name
from export.network import Network
from export.pipeline import STORED, Converted, converted, export_command, run_export

INPUT_BLOB, OUTPUT_BLOB = "in0", "out0"  # pnnx names blobs by position


def convert(network: Network, precision: str, folder: Path) -> Converted:
    """Write `folder`/model.ncnn.param and .bin: blobs `in0` (3, H, W) and `out0` (1, H, W), float32."""
    import pnnx

    try:  # check_trace would run the network again and say no more than the parity gate
        with torch.no_grad():
            pnnx.export(network.folded, str(folder / "model.pt"), (network.example,), check_trace=False, fp16=precision == "fp16")
    except FileNotFoundError as error:
        raise InputError(f"pnnx cannot convert {network.checkpoint.name}, ncnn lacks a layer; take ONNX or TFLite") from error
    files = {"param": folder / "model.ncnn.param", "bin": folder / "model.ncnn.bin"}
    label = layer_name(network.checkpoint.name, network.checkpoint.weights_license)
    lines = files["param"].read_text(encoding="ascii")
    files["param"].write_text(re.sub(rf"(?m)^(Input +){INPUT_BLOB} +", rf"\g<1>{label} ", lines), encoding="ascii")
    return converted(network, files, STORED[precision], ("ncnn", "pnnx"), names=(INPUT_BLOB, OUTPUT_BLOB))


export = partial(run_export, artifact_format="ncnn", convert=convert)

if __name__ == "__main__":
    export_command(export)
