"""Export to ExecuTorch: `python export/to_executorch.py [--checkpoint FILE] [--size WxH] [--out DIR]`.

XNNPACK runs the whole network. ExecuTorch brings many packages, so it has an environment of its own, with this project in it:
`python -m export.consumers.environments executorch` makes it and prints its interpreter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends.executorch import import_runtime
from edge_runtime.cli import run_command
from edge_runtime.errors import GateError, InputError
from export.network import Network
from export.pipeline import Converted, ExportConfig, input_spec, output_spec, print_artifact, run_export

TOOLS = ("torch", "executorch")
DELEGATE = "executorch_call_delegate"


def export(config: ExportConfig) -> Artifact:
    """Write the ExecuTorch artifact of a checkpoint."""
    if config.precision != "fp32":
        raise InputError(
            f"got --precision {config.precision} for executorch, expected fp32: its XNNPACK keeps float32 weights; "
            "quantize/int8.py --format executorch makes small files"
        )
    import_runtime()
    return run_export(config, "executorch", convert)


def convert(network: Network, precision: str, folder: Path) -> Converted:
    """Write `folder`/model.pte: input (1, 3, H, W) float32, output (1, 1, H, W) float32."""
    return save(network, network.folded, folder, "float32", "float32", TOOLS)


def save(
    network: Network, module: torch.nn.Module, folder: Path, weights: str, activations: str, tools: tuple[str, ...]
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
    tensors = input_spec("image", network.size, "NCHW"), output_spec("sky")
    return Converted({"model": path}, *tensors, weights, activations, tools)


def _not_delegated(program: Any) -> list[str]:
    calls = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    return sorted(call for call in calls if DELEGATE not in call and "getitem" not in call)


def main(config: ExportConfig) -> None:
    """Export and print where to."""
    print_artifact(export(config))


if __name__ == "__main__":
    run_command(main, ExportConfig)
