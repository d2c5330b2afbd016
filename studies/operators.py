"""Where the time of an ONNX artifact goes, operator by operator: `python studies/operators.py [--model DIR]`.

onnxruntime's profiler times every node of the graph that it runs, after fusion and in its own layout. The multiply-accumulates
(MACs) come from the weights and outputs of this graph, so padded channels count. Two yardsticks: the arithmetic limit, clock x
MACs per cycle, and a large matrix product of the same precision in the same runtime, in turn with the network. One thread.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.backends.tensors import InputEncoder
from edge_runtime.benchmark.machine import describe_machine
from edge_runtime.errors import InputError
from studies.harness import RESULTS, Figures, Study, StudyConfig, require, table

SIDE = 768  # of the matrices of the yardstick
SUFFIX = "_kernel_time"


@dataclass(frozen=True, kw_only=True)
class OperatorsConfig(StudyConfig):
    """Profile an ONNX artifact in onnxruntime, operator by operator."""

    model: Path = Path("models/unet_lite_s/onnx-int8")
    """Artifact folder."""
    runs: int = 100
    """Profiled runs."""
    clock_ghz: float = 2.6
    """Nominal clock of one core, for the arithmetic limit; a core that boosts can exceed it."""
    macs_per_cycle: int = 128
    """MACs that one core starts in a cycle: int8 with AVX512-VNNI 64 for each 512-bit unit; float32 16 for each."""
    out: Path = RESULTS / "operators"


def measure(config: OperatorsConfig) -> Iterator[tuple[str, Figures]]:
    """Yield time and MACs of every node, and both yardsticks."""
    require(config, 1, "runs", "macs_per_cycle")
    if not config.clock_ghz > 0:
        raise InputError(f"got --clock-ghz {config.clock_ghz}, expected more than 0")
    artifact = read_artifact(config.model)
    if artifact.spec.format != "onnx":
        raise InputError(f"got {config.model} of format {artifact.spec.format}, expected onnx: only onnxruntime times each node")
    int8 = artifact.spec.quantization.precision == "int8"
    with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
        run, finish = _session(artifact.file("model").read_bytes(), Path(folder))
        feed = {artifact.spec.input.name: InputEncoder(artifact.spec.input)(artifact.golden().input)}
        product, product_feed = _matrix_product(int8)
        whole, square = [], []
        for run_number in range(config.runs + 5):
            taken = (_seconds(lambda: run(feed)), _seconds(lambda: product(product_feed)))
            if run_number >= 5:  # the first runs fill caches
                whole.append(taken[0])
                square.append(taken[1])
        nodes = finish(config.runs)
    macs = sum(node["macs"] for node in nodes)
    reached = SIDE**3 / float(np.median(square)) / 1e9
    yield artifact.spec.name, {
        "machine": dataclasses.asdict(describe_machine()), "artifact": artifact.spec.name, "runs": config.runs,
        "ms": 1000 * float(np.median(whole)), "macs": macs, "limit_gmacs": config.clock_ghz * config.macs_per_cycle,
        "clock_ghz": config.clock_ghz, "macs_per_cycle": config.macs_per_cycle, "matrix_product_gmacs": reached, "nodes": nodes,
    }  # fmt: skip


def _session(model: bytes, folder: Path) -> tuple[Callable[[dict[str, np.ndarray]], Any], Callable[[int], list[dict[str, Any]]]]:
    """Return a function that runs a model, and one that ends the profile and returns every node's median of its last runs."""
    import onnxruntime  # after edge_runtime, which switches its telemetry off

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
    """Return of every convolution the number of weights and of output channels, and whether it is depthwise."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    found = {}
    for node in graph.node:
        shape = next((shapes[name] for name in node.input if len(shapes.get(name, ())) == 4), None)
        if "Conv" in node.op_type and shape is not None:
            found[node.name] = (int(np.prod(shape)), shape[0], shape[1] == 1)
    return found


def _matrix_product(int8: bool) -> tuple[Callable[[dict[str, np.ndarray]], Any], dict[str, np.ndarray]]:
    """Return a square matrix product in onnxruntime and its left operand; the right one is constant, like weights."""
    rng = np.random.default_rng(0)
    right = rng.integers(-127, 128, (SIDE, SIDE)).astype(np.int8 if int8 else np.float32)
    left = rng.integers(0, 255, (SIDE, SIDE)).astype(np.uint8 if int8 else np.float32)
    kinds = (TensorProto.UINT8, TensorProto.INT32) if int8 else (TensorProto.FLOAT, TensorProto.FLOAT)
    ends = [helper.make_tensor_value_info(name, kind, (SIDE, SIDE)) for name, kind in zip("xy", kinds, strict=True)]
    node = helper.make_node("MatMulInteger" if int8 else "MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "product", ends[:1], ends[1:], [numpy_helper.from_array(right, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    import onnxruntime  # after edge_runtime, which switches its telemetry off

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda feed: session.run(None, feed), {"x": left}


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def page(figures: Figures) -> list[str]:
    """Return the two yardsticks, the table by operator and the longest nodes."""
    least_ms = figures["macs"] / figures["limit_gmacs"] / 1e6
    reached = figures["macs"] / figures["ms"] / 1e6
    groups: dict[str, list[Figures]] = defaultdict(list)
    for node in figures["nodes"]:
        groups[node["operator"]].append(node)
    whole_ms = sum(node["ms"] for node in figures["nodes"])
    operators = []
    for operator, nodes in groups.items():
        ms, macs = sum(node["ms"] for node in nodes), sum(node["macs"] for node in nodes)
        shares = [f"{ms / whole_ms:.1%}", f"{macs / figures['macs']:.1%}"]
        operators.append((ms, [operator, len(nodes), f"{ms:.3f}", *shares, _speed(macs, ms)]))
    longest = sorted(figures["nodes"], key=lambda node: -node["ms"])[:10]
    return [
        f"One thread of {figures['machine']['name']}, median of {figures['runs']} profiled runs: {figures['ms']:.2f} ms for "
        f"{figures['macs'] / 1e9:.3f} GMACs, which is {reached:.0f} GMAC/s. The limit at {figures['clock_ghz']:g} GHz and "
        f"{figures['macs_per_cycle']} MACs a cycle is {figures['limit_gmacs']:.0f} GMAC/s: {least_ms:.2f} ms, "
        f"{figures['ms'] / least_ms:.1f} times as fast. A {SIDE} x {SIDE} matrix product in onnxruntime reaches "
        f"{figures['matrix_product_gmacs']:.0f} GMAC/s.",
        "",
        *table(
            ["operator", "nodes", "ms", "share of time", "share of MACs", "GMAC/s"],
            "lrrrrr",
            [row for _, row in sorted(operators, key=lambda item: -item[0])],
        ),
        "",
        "The ten longest nodes:",
        "",
        *table(
            ["node", "operator", "output", "ms", "GMAC/s"],
            "lllrr",
            [
                [
                    node["node"],
                    node["operator"],
                    " x ".join(map(str, node["output"])),
                    f"{node['ms']:.3f}",
                    _speed(node["macs"], node["ms"]),
                ]
                for node in longest
            ],
        ),
    ]


def _speed(macs: int, ms: float) -> str | None:
    """Return GMAC/s; None for a node that multiplies nothing, or is shorter than a tick of the profiler's clock."""
    return f"{macs / ms / 1e6:.0f}" if macs and ms else None


STUDY = Study("operators", "Operators of {artifact} in onnxruntime", OperatorsConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
