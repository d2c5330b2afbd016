"""Export to Core ML: `python export/to_coreml.py [--checkpoint FILE] [--size WxH] [--precision fp32|fp16] [--out DIR]`.

The .mlpackage is kept as one zip file; unpack it for Xcode. fp16 also computes in half, which Apple's neural engine needs.
coremltools has an environment of its own, with this project in it: `python -m export.consumers.environments coreml` makes it.
Parity is measured on macOS, where Core ML predicts. Elsewhere the description of the model is checked and nothing is run.
"""

from __future__ import annotations

import platform
from functools import partial
from pathlib import Path

import torch

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends.coreml import check_description, pack, unpacked
from edge_runtime.backends.tensors import import_interpreter
from export.network import Network
from export.pipeline import STORED, Converted, converted, export_command, run_export

TOOLS = ("torch", "coremltools")
NOT_RUN = "Core ML predicts only on macOS"


def convert(network: Network, precision: str, folder: Path) -> Converted:
    """Write `folder`/model.mlpackage.zip: input `image` (1, 3, H, W) float32, output `sky` (1, 1, H, W) float32."""
    coremltools = import_interpreter("coremltools", "coreml")
    half = precision == "fp16"
    model = coremltools.convert(
        torch.jit.trace(network.folded, network.example),
        inputs=[coremltools.TensorType(name="image", shape=network.example.shape)],
        outputs=[coremltools.TensorType(name="sky")],
        compute_precision=coremltools.precision.FLOAT16 if half else coremltools.precision.FLOAT32,
        minimum_deployment_target=coremltools.target.iOS16,
        convert_to="mlprogram",
        skip_model_load=True,
    )
    package, path = folder / "model.mlpackage", folder / "model.mlpackage.zip"
    model.save(str(package))
    pack(package, path)
    return converted(network, {"model": path}, STORED[precision], TOOLS, activations=STORED[precision])


def _check(artifact: Artifact) -> None:
    """Compare the description in the package with model.json."""
    import coremltools

    with unpacked(artifact.file("model")) as package:
        check_description(artifact, coremltools.utils.load_spec(str(package)).description)


check = None if platform.system() == "Darwin" else _check
export = partial(run_export, artifact_format="coreml", convert=convert, check=check, not_run=NOT_RUN)

if __name__ == "__main__":
    export_command(export)
