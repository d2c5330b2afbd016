"""Export to torch: `python export/to_torch.py [--checkpoint FILE] [--size PIXELS] [--precision fp32|fp16] [--out DIR]`.

The file is a `torch.export` program (.pt2), which runs without our code. fp16 stores weights as float16 and computes in half:
for GPUs. It runs on CPUs too, slower than fp32 on those without half arithmetic.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from edge_runtime.artifact import Artifact
from edge_runtime.cli import run_command
from export.command import Converted, ExportConfig, input_spec, output_spec, print_artifact, run_export
from export.wrapper import Network, SkyProbability


class HalfSkyProbability(nn.Module):
    """A network in half precision between a float32 input and a float32 sigmoid."""

    def __init__(self, probability: SkyProbability) -> None:
        super().__init__()
        self.network = copy.deepcopy(probability.network).half()

    def forward(self, image: Tensor) -> Tensor:
        """Map (1, 3, H, W) float32 RGB, (pixel - 127) / 128, to the probability of sky, (1, 1, H, W) float32."""
        return torch.sigmoid(self.network(image.half()).float())


def export(config: ExportConfig) -> Artifact:
    """Write the torch artifact of a checkpoint; see `run_export` for what it raises."""
    return run_export(config, "torch", convert)


def convert(network: Network, precision: str, folder: Path) -> Converted:
    """Write `folder`/model.pt2: input `image` (1, 3, H, W) float32, output (1, 1, H, W) float32."""
    half = precision == "fp16"
    module = HalfSkyProbability(network.folded) if half else network.folded
    program = torch.export.export(module, (network.example,))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it holds the folders of the machine that exports
    path = folder / "model.pt2"
    torch.export.save(program, path)
    stored = "float16" if half else "float32"
    return Converted({"model": path}, input_spec("image", network.size, "NCHW"), output_spec("sky"), stored, stored, ("torch",))


def main(config: ExportConfig) -> None:
    """Export and print where to."""
    print_artifact(export(config))


if __name__ == "__main__":
    run_command(main, ExportConfig)
