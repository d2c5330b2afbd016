"""Export to Core ML: `python export/to_coreml.py [--checkpoint FILE] [--size WxH] [--precision fp32|fp16] [--out DIR]`.

The .mlpackage is kept as one zip file; unpack it for Xcode. fp16 also computes in half, which Apple's neural engine needs.
coremltools has an environment of its own, with this project in it: `python -m export.consumers.environments coreml` makes it.
Parity is measured on macOS, where Core ML predicts. Elsewhere the description of the model is checked and nothing is run.
"""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends.coreml import check_description, pack, unpacked
from edge_runtime.backends.tensors import import_interpreter
from edge_runtime.cli import run_command
from export.network import Network
from export.pipeline import Converted, ExportConfig, input_spec, output_spec, print_artifact, run_export

TOOLS = ("torch", "coremltools")
NOT_RUN = "Core ML predicts only on macOS"


def export(config: ExportConfig) -> Artifact:
    """Write the Core ML artifact of a checkpoint."""
    import_interpreter("coremltools", "coreml")
    if platform.system() == "Darwin":
        return run_export(config, "coreml", convert)
    return run_export(config, "coreml", convert, _check, NOT_RUN)


def convert(network: Network, precision: str, folder: Path) -> Converted:
    """Write `folder`/model.mlpackage.zip: input `image` (1, 3, H, W) float32, output `sky` (1, 1, H, W) float32."""
    import coremltools

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
    kind = "float16" if half else "float32"
    tensors = input_spec("image", network.size, "NCHW"), output_spec("sky")
    return Converted({"model": path}, *tensors, kind, kind, TOOLS)


def _check(artifact: Artifact) -> None:
    """Compare the description in the package with model.json."""
    import coremltools

    with unpacked(artifact.file("model")) as package:
        check_description(artifact, coremltools.utils.load_spec(str(package)).description)


def main(config: ExportConfig) -> None:
    """Export and print where to."""
    print_artifact(export(config))


if __name__ == "__main__":
    run_command(main, ExportConfig)
