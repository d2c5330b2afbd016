"""Export to torch: `python export/to_torch.py [--checkpoint FILE] [--size WxH] [--precision fp32|fp16] [--out DIR]`.

The file is a `torch.export` program (.pt2), which runs without our code. fp16 stores weights as float16 and widens them in the
graph: torch's half convolutions on CPUs without half arithmetic are 7 to 75 times slower than float32 ones. On a GPU, run the
program under `torch.autocast` to compute in half.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.cli import run_command
from export.network import Network
from export.pipeline import Converted, ExportConfig, input_spec, output_spec, print_artifact, run_export


class Widen(nn.Module):
    """Parametrization of a weight that is kept as float16: float32 where it is used."""

    def forward(self, stored: Tensor) -> Tensor:
        """Return `stored` as float32."""
        return stored.float()


def export(config: ExportConfig) -> Artifact:
    """Write the torch artifact of a checkpoint."""
    return run_export(config, "torch", convert)


def convert(network: Network, precision: str, folder: Path) -> Converted:
    """Write `folder`/model.pt2: input `image` (1, 3, H, W) float32, output (1, 1, H, W) float32."""
    half = precision == "fp16"
    module = halve_weights(network.folded) if half else network.folded
    program = torch.export.export(module, (network.example,))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it holds the folders of the machine that exports
    program.example_inputs = None  # else the tensor of zeros that it was traced with is saved too
    path = folder / "model.pt2"
    torch.export.save(program, path)
    weights = "float16" if half else "float32"
    tensors = input_spec("image", network.size, "NCHW"), output_spec("sky")
    return Converted({"model": path}, *tensors, weights, "float32", ("torch",))


def halve_weights(module: nn.Module) -> nn.Module:
    """Return a copy of `module` that keeps its convolution weights as float16; biases, which are small, stay float32."""
    halved = copy.deepcopy(module)
    for part in halved.modules():
        if isinstance(part, nn.Conv2d):
            parametrize.register_parametrization(part, "weight", Widen())
            stored = part.get_parameter("parametrizations.weight.original")
            stored.data = stored.data.half()
    return halved.requires_grad_(False)


def main(config: ExportConfig) -> None:
    """Export and print where to."""
    print_artifact(export(config))


if __name__ == "__main__":
    run_command(main, ExportConfig)
