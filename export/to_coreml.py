"""Export to Core ML: `python export/to_coreml.py [--checkpoint FILE] [--size WxH] [--precision fp32|fp16] [--out DIR]`.

The model takes an image, as Vision gives it. The .mlpackage is kept as one zip file; unpack it for Xcode. fp16 also computes in
half, which Apple's neural engine needs. coremltools has an environment of its own, with this project in it:
`python -m export.consumers.environments coreml` makes it. Parity is measured on macOS, where Core ML predicts. Elsewhere the
description of the model is checked and nothing is run.
"""

from __future__ import annotations

import importlib.metadata
import platform
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.artifact.spec import Quant
from edge_runtime.backends.coreml import check_description, pack, unpacked
from edge_runtime.backends.tensors import import_interpreter
from edge_runtime.images.network_input import MEAN, STD
from export.graphs.facts import PRODUCER, facts, sentence
from export.network import Network
from export.pipeline import STORED, Converted, export_command, input_spec, output_spec, run_export

BYTES = Quant(1 / STD, round(MEAN)), "uint8"  # Core ML itself turns the pixels of an image into (pixel - 127) / 128
TOOLS = ("torch", "coremltools")
NOT_RUN = "Core ML predicts only on macOS"


class Rows(nn.Module):
    """A network whose output is (1, H, W, 1), as that of every network that takes the bytes of an image."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Map (1, 3, H, W) float32, (pixel - 127) / 128, to the probability of sky."""
        return self.network(image).permute(0, 2, 3, 1)


def convert(network: Network, precision: str, folder: Path) -> Converted:
    """Write `folder`/model.mlpackage.zip: input `image`, RGB at the input size, output `sky` (1, H, W, 1) float32."""
    coremltools = import_interpreter("coremltools", "coreml")
    half, name, terms = precision == "fp16", network.checkpoint.name, network.checkpoint.weights_license
    image = coremltools.ImageType(
        name="image",
        shape=network.example.shape,
        scale=1 / STD,
        bias=[-MEAN / STD] * 3,
        color_layout=coremltools.colorlayout.RGB,
    )
    model = coremltools.convert(
        torch.jit.trace(Rows(network.folded).eval(), network.example),
        inputs=[image],
        outputs=[coremltools.TensorType(name="sky", dtype=np.float32)],
        compute_precision=coremltools.precision.FLOAT16 if half else coremltools.precision.FLOAT32,
        minimum_deployment_target=coremltools.target.iOS16,
        convert_to="mlprogram",
        skip_model_load=True,
    )
    model.short_description, model.author, model.license = sentence(name, network.size, terms), PRODUCER, terms
    model.version = importlib.metadata.version(PRODUCER)
    model.user_defined_metadata.update(facts(name, network.size, terms))
    package, path = folder / "model.mlpackage", folder / "model.mlpackage.zip"
    model.save(str(package))
    pack(package, path)
    tensors = input_spec("image", network.size, "NHWC", *BYTES), output_spec("sky")
    return Converted({"model": path}, *tensors, STORED[precision], STORED[precision], TOOLS)


def _check(artifact: Artifact) -> None:
    """Compare the description in the package with model.json."""
    import coremltools

    with unpacked(artifact.file("model")) as package:
        check_description(artifact, coremltools.utils.load_spec(str(package)).description)


check = None if platform.system() == "Darwin" else _check
export = partial(run_export, artifact_format="coreml", convert=convert, check=check, not_run=NOT_RUN)

if __name__ == "__main__":
    export_command(export)
