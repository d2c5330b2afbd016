"""Where the time of an ONNX artifact goes: `python studies/operators.py [--model DIR] [--out DIR]`.

onnxruntime's own profiler times every node of the graph that it really runs (fused, and in its own layout); multiply-accumulates
(MACs) come from the weights and outputs of that graph, so channels that it pads in float32 count. Two yardsticks: the
arithmetic limit, clock x MACs a cycle, and what the same runtime reaches in a large matrix product of the same precision, in turn
with the network. One thread.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.backends.tensors import InputEncoder
from edge_runtime.benchmark.machine import describe_machine
from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import write_json, write_text
from export.pipeline import PROJECT_ROOT

SIDE = 768  # of the matrices of the yardstick
SUFFIX = "_kernel_time"


@dataclass(frozen=True)
class Config:
    """Profile an ONNX artifact in onnxruntime, operator by operator."""

    model: Path = PROJECT_ROOT / "models" / "unet_lite_s" / "onnx-int8"
    """Artifact folder."""
    runs: int = 100
    """Profiled runs."""
    clock_ghz: float = 2.6
    """Nominal clock of one core, for the arithmetic limit; a core that boosts can exceed it."""
    macs_per_cycle: int = 128
    """MACs that one core starts in a cycle: int8 with AVX512-VNNI 64 for each 512-bit unit; float32 16 for each."""
    out: Path = Path("results/operators")
    """Folder for operators-ARTIFACT.json and .md."""


def profile(config: Config) -> dict[str, Any]:
    """Return what the result file holds: time and MACs by operator, and both yardsticks.

    Raises
    ------
    InputError
        The artifact is not ONNX, or a value is out of range.
    """
    if config.runs < 1 or config.clock_ghz <= 0 or config.macs_per_cycle < 1:
        raise InputError(f"got {config}, expected a positive clock, and runs and MACs per cycle of 1 or more")
    artifact = read_artifact(config.model)
    if artifact.spec.format != "onnx":
        raise InputError(
            f"got {config.model} of format {artifact.spec.format}, expected onnx: only onnxruntime says what each node takes"
        )
    int8 = artifact.spec.quantization.precision == "int8"
    with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
        run, finish = _session(artifact.file("model").read_bytes(), Path(folder))
        feed = {artifact.spec.input.name: InputEncoder(artifact.spec.input)(artifact.golden().input)}
        product, product_feed = _matrix_product(int8)
        whole, square = [], []
        for turn in range(config.runs + 5):
            taken = (_seconds(lambda: run(feed)), _seconds(lambda: product(product_feed)))
            if turn >= 5:  # the first runs fill caches
                whole.append(taken[0])
                square.append(taken[1])
        nodes = finish(config.runs)
    macs = sum(node["macs"] for node in nodes)
    reached = SIDE**3 / float(np.median(square)) / 1e9
    return {
        "machine": dataclasses.asdict(describe_machine("", None)), "artifact": artifact.spec.name, "runs": config.runs,
        "ms": 1000 * float(np.median(whole)), "macs": macs, "limit_gmacs": config.clock_ghz * config.macs_per_cycle,
        "clock_ghz": config.clock_ghz, "macs_per_cycle": config.macs_per_cycle, "matrix_product_gmacs": reached, "nodes": nodes,
    }  # fmt: skip


def _session(model: bytes, folder: Path) -> tuple[Callable[[dict[str, np.ndarray]], Any], Callable[[int], list[dict[str, Any]]]]:
    """Return what runs a model, and what ends the profile: nodes with the median of their last `runs` times."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level, options.enable_profiling = 1, 3, True
    options.profile_file_prefix, options.optimized_model_filepath = str(folder / "profile"), str(folder / "optimized.onnx")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def finish(runs: int) -> list[dict[str, Any]]:
        weights = _weights(onnx.load(options.optimized_model_filepath).graph)
        times: dict[str, list[float]] = defaultdict(list)
        facts: dict[str, dict[str, Any]] = {}
        for event in json.loads(Path(session.end_profiling()).read_text()):
            if event["cat"] != "Node" or not event["name"].endswith(SUFFIX):
                continue
            name = event["name"].removesuffix(SUFFIX)
            times[name].append(event["dur"] / 1000)
            ((_, shape),) = event["args"]["output_type_shape"][0].items()
            size, outputs, group_depthwise = weights.get(name, (0, 1, False))
            kind = event["args"]["op_name"] + " depthwise" * group_depthwise
            facts[name] = {"node": name, "operator": kind, "output": shape, "macs": size // outputs * int(np.prod(shape))}
        return [fact | {"ms": float(np.median(times[name][-runs:]))} for name, fact in facts.items()]

    return lambda feed: session.run(None, feed), finish


def _weights(graph: onnx.GraphProto) -> dict[str, tuple[int, int, bool]]:
    """Return the weights of every convolution: how many, for how many output channels, and whether it is depthwise."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    found = {}
    for node in graph.node:
        shape = next((shapes[name] for name in node.input if len(shapes.get(name, ())) == 4), None)
        if "Conv" in node.op_type and shape is not None:
            found[node.name] = (int(np.prod(shape)), shape[0], shape[1] == 1)
    return found


def _matrix_product(int8: bool) -> tuple[Callable[[dict[str, np.ndarray]], Any], dict[str, np.ndarray]]:
    """Return a square matrix product in onnxruntime, and its left side; its right side is constant, as weights are."""
    rng = np.random.default_rng(0)
    right = rng.integers(-127, 128, (SIDE, SIDE)).astype(np.int8 if int8 else np.float32)
    left = rng.integers(0, 255, (SIDE, SIDE)).astype(np.uint8 if int8 else np.float32)
    kinds = (TensorProto.UINT8, TensorProto.INT32) if int8 else (TensorProto.FLOAT, TensorProto.FLOAT)
    ends = [helper.make_tensor_value_info(name, kind, (SIDE, SIDE)) for name, kind in zip("xy", kinds, strict=True)]
    node = helper.make_node("MatMulInteger" if int8 else "MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "product", ends[:1], ends[1:], [numpy_helper.from_array(right, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda feed: session.run(None, feed), {"x": left}


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def markdown(result: dict[str, Any]) -> str:
    """Return the two yardsticks in a sentence and the table by operator, the longest first."""
    least = result["macs"] / result["limit_gmacs"] / 1e6
    reached = result["macs"] / result["ms"] / 1e6
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for node in result["nodes"]:
        groups[node["operator"]].append(node)
    whole = sum(node["ms"] for node in result["nodes"])
    lines = [
        f"{result['artifact']}, onnxruntime, one thread, median of {result['runs']} profiled runs: {result['ms']:.2f} ms for "
        f"{result['macs'] / 1e9:.3f} GMACs, that is {reached:.0f} GMAC/s. The limit at {result['clock_ghz']:g} GHz and "
        f"{result['macs_per_cycle']} MACs a cycle is {result['limit_gmacs']:.0f} GMAC/s, {least:.2f} ms: "
        f"{result['ms'] / least:.1f} times as fast. A {SIDE} x {SIDE} matrix product in the same runtime reaches "
        f"{result['matrix_product_gmacs']:.0f} GMAC/s.",
        "",
        "| operator | nodes | ms | share of time | share of MACs | GMAC/s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for operator, nodes in sorted(groups.items(), key=lambda item: -sum(node["ms"] for node in item[1])):
        ms, macs = sum(node["ms"] for node in nodes), sum(node["macs"] for node in nodes)
        shares = f"{ms / whole:.1%} | {macs / result['macs']:.1%}"
        lines.append(f"| {operator} | {len(nodes)} | {ms:.3f} | {shares} | {_speed(macs, ms)} |")
    lines += ["", "The ten longest nodes:", "", "| node | operator | output | ms | GMAC/s |", "|---|---|---|---:|---:|"]
    for node in sorted(result["nodes"], key=lambda node: -node["ms"])[:10]:
        shape, speed = " x ".join(map(str, node["output"])), _speed(node["macs"], node["ms"])
        lines.append(f"| {node['node']} | {node['operator']} | {shape} | {node['ms']:.3f} | {speed} |")
    return "\n".join(lines) + "\n"


def _speed(macs: int, ms: float) -> str:
    """Return GMAC/s as the tables show it: a dash for what multiplies nothing, or faster than the profiler's clock ticks."""
    return f"{macs / ms / 1e6:.0f}" if macs and ms else "–"


def main(config: Config) -> None:
    """Profile, write both files and print the table."""
    result = profile(config)
    config.out.mkdir(parents=True, exist_ok=True)
    write_json(config.out / f"{result['artifact']}.json", result)
    write_text(config.out / f"{result['artifact']}.md", markdown(result))
    print(markdown(result), end="")


if __name__ == "__main__":
    run_command(main, Config)
