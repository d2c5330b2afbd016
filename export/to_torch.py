"""Export to torch: `python export/to_torch.py [--checkpoint FILE] [--size WxH] [--precision fp32|fp16] [--out DIR]`.

The file is a `torch.export` program (.pt2), which runs without our code. fp16 stores weights as float16 and widens them in the
graph: torch's half convolutions on CPUs without half arithmetic are 7 to 75 times slower than float32 ones. On a GPU, run the
program under `torch.autocast` to compute in half.
"""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from export.network import Network
from export.pipeline import STORED, Converted, converted, export_command, run_export


class Widen(nn.Module):
    """Parametrization of a weight that is kept as float16: float32 where it is used."""

    def forward(self, stored: Tensor) -> Tensor:
        """Return `stored` as float32."""
        return stored.float()


def convert(network: Network, precision: str, folder: Path) -> Converted:
    """Write `folder`/model.pt2: input `image` (1, 3, H, W) float32, output (1, 1, H, W) float32."""
    module = halve_weights(network.folded) if precision == "fp16" else network.folded
    program = torch.export.export(module, (network.example,))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it holds the folders of the machine that exports
    program.example_inputs = None  # else the tensor of zeros that it was traced with is saved too
    path = folder / "model.pt2"
    torch.export.save(program, path)
    return converted(network, {"model": path}, STORED[precision], ("torch",))


def halve_weights(module: nn.Module) -> nn.Module:
    """Return a copy of `module` that keeps its convolution weights as float16; biases, which are small, stay float32."""
    halved = copy.deepcopy(module)
    for part in halved.modules():
        if isinstance(part, nn.Conv2d):
            parametrize.register_parametrization(part, "weight", Widen())
            stored = part.get_parameter("parametrizations.weight.original")
            stored.data = stored.data.half()
    return halved.requires_grad_(False)


export = partial(run_export, artifact_format="torch", convert=convert)

if __name__ == "__main__":
    export_command(export)
