"""Export to ExecuTorch: `python export/to_executorch.py [--checkpoint FILE] [--size WxH] [--out DIR]`.

XNNPACK runs the whole network. ExecuTorch brings many packages, so it has an environment of its own, with this project in it:
`python -m export.consumers.environments executorch` makes it and prints its interpreter.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch

from edge_runtime.backends.executorch import import_runtime
from edge_runtime.errors import GateError, InputError
from export.network import Network
from export.pipeline import STORED, Converted, converted, export_command, run_export

TOOLS = ("torch", "executorch")
DELEGATE = "executorch_call_delegate"


def convert(network: Network, precision: str, folder: Path) -> Converted:
    """Write `folder`/model.pte: input (1, 3, H, W) float32, output (1, 1, H, W) float32."""
    if precision != "fp32":
        raise InputError(
            f"got --precision {precision} for executorch, expected fp32: its XNNPACK keeps float32 weights; "
            "quantize/int8.py --format executorch makes small files"
        )
    import_runtime()
    return save(network, network.folded, folder, STORED[precision], TOOLS)


def save(
    network: Network, module: torch.nn.Module, folder: Path, weights: str, tools: tuple[str, ...], activations: str = "float32"
) -> Converted:
    """Write `module`, the network or its quantized graph, as `folder`/model.pte, all of it in one part of XNNPACK.

    Raises `GateError` where XNNPACK leaves operators to ExecuTorch's slow portable kernels.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    program = torch.export.export(module, (network.example,))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    if left := _not_delegated(lowered.exported_program()):
        raise GateError(f"XNNPACK of ExecuTorch does not take {', '.join(left)}; nothing was written")
    path = folder / "model.pte"
    path.write_bytes(lowered.to_executorch().buffer)
    return converted(network, {"model": path}, weights, tools, activations=activations)


def _not_delegated(program: Any) -> list[str]:
    calls = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    return sorted(call for call in calls if DELEGATE not in call and "getitem" not in call)


export = partial(run_export, artifact_format="executorch", convert=convert)

if __name__ == "__main__":
    export_command(export)
