"""Where a small network spends its time: `python studies/architectures.py [--names NAME ...]`.

Untrained variants of `unet_lite` and `unet_lite_s` are quantized to int8 TFLite on noise and take turns with U2-Netp at 384 in
ncnn, in CPU time of one thread, so that other work on the machine slows all alike. Ratios count, not milliseconds.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.benchmark.machine import describe_machine
from edge_runtime.errors import InputError
from edge_runtime.images.network_input import Size
from export import to_ncnn
from export.graphs.tflite_graph import read_graph
from export.network import Network, SkyProbability, fold_batch_norm, load_network
from export.pipeline import quiet
from quantize.formats import tflite_int8
from studies.harness import PROJECT_ROOT, RESULTS, Figures, Study, StudyConfig, require, table
from train.models import Checkpoint, count_macs, count_parameters
from train.models.unet_lite import LITE0, EncoderStage, InvertedResidual, Separable, _conv_bn

THREE = (EncoderStage(1, 16, 1, 1, 3), EncoderStage(3, 24, 2, 2, 3))  # the first two stages, with expansion 3 instead of 6
ONE = (EncoderStage(6, 24, 1, 1, 3),)  # what is left of the second stage behind a stem at stride 4
SMALL, LARGE = LITE0.stages[2:4], LITE0.stages[2:6]


@dataclass(frozen=True)
class Shape:
    """What differs between the variants."""

    size: int
    stages: tuple[EncoderStage, ...]
    widths: tuple[int, ...]
    stem: int = 32
    blocks: bool = False
    """The stem moves 4 x 4 pixels into channels; else it is a 3 x 3 convolution of stride 2."""
    upsample: Literal["nearest", "bilinear"] = "bilinear"
    kernels: tuple[tuple[int, ...], ...] = ((5, 3), (5, 3), (5,), (3,))


VARIANTS: dict[str, Shape] = {
    "s_nearest": Shape(192, LITE0.stages[:2] + SMALL, (56, 40, 24, 16), upsample="nearest"),
    "s_bilinear": Shape(192, LITE0.stages[:2] + SMALL, (56, 40, 24, 16)),
    "s_head4": Shape(192, LITE0.stages[:2] + SMALL, (56, 40, 24)),
    "s_expand3": Shape(192, THREE + SMALL, (56, 40, 24), stem=16),
    "s_blocks": Shape(192, ONE + SMALL, (56, 40, 24), stem=24, blocks=True),
    "s_blocks32": Shape(192, ONE + SMALL, (56, 40, 24), stem=32, blocks=True),
    "s_blocks_one_each": Shape(192, ONE + SMALL, (56, 40, 24), stem=24, blocks=True, kernels=((5,), (5,), (3,))),
    "l_nearest": Shape(256, LITE0.stages[:2] + LARGE, (80, 48, 32, 16), upsample="nearest"),
    "l_blocks": Shape(256, ONE + LARGE, (80, 48, 32), stem=24, blocks=True),
}


class Variant(nn.Module):
    """A network of the kind of `UNetLite`, made as `shape` says; three widths give a head of four logits a position."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.upsample, self.quarter = shape.upsample, len(shape.widths) == 3
        first = (
            nn.Sequential(nn.PixelUnshuffle(4), *_conv_bn(48, shape.stem, 3)) if shape.blocks else _conv_bn(3, shape.stem, 3, 2)
        )
        self.stem, channels = first, shape.stem
        blocks: list[nn.Module] = []
        self.taps, tapped = [], []
        for stage in shape.stages:
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                if stride == 2:
                    self.taps.append(len(blocks) - 1)
                    tapped.append(channels)
                blocks.append(InvertedResidual(channels, stage.out, stage.expand, stage.kernel, stride))
                channels = stage.out
        self.blocks = nn.ModuleList(blocks)
        deep = len(self.taps) + (2 if shape.blocks else 1) == 5
        if not deep:
            self.taps.append(len(blocks) - 1)
            tapped.append(channels)
        self.context = nn.Sequential(Separable(channels, 128, 5, 1 if deep else 2), Separable(128, 128, 5))
        widths = shape.widths
        self.reduce = nn.ModuleList(_conv_bn(i, o, 1) for i, o in zip((128, *widths[:-1]), widths, strict=True))
        self.lateral = nn.ModuleList(_conv_bn(i, o, 1) for i, o in zip(tapped[::-1], widths, strict=False))
        self.refine = nn.ModuleList(
            nn.Sequential(*(Separable(width, width, kernel) for kernel in kernels))
            for width, kernels in zip(widths, shape.kernels, strict=False)
        )
        self.head = nn.Conv2d(widths[-1], 4, 1) if self.quarter else nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to logits (N, 1, H, W)."""
        y, skips = self.stem(x), []
        if -1 in self.taps:
            skips.append(y)
        for index, block in enumerate(self.blocks):
            y = block(y)
            if index in self.taps:
                skips.append(y)
        y = self.context(y)
        corners = None if self.upsample == "nearest" else False
        for reduce, lateral, refine in zip(self.reduce, self.lateral, self.refine, strict=True):
            up = functional.interpolate(reduce(y), scale_factor=2.0, mode=self.upsample, align_corners=corners)
            y = refine(up + lateral(skips.pop()))
        y = self.head(y)
        y = functional.pixel_shuffle(y, 2) if self.quarter else y
        return functional.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=False)


@dataclass(frozen=True, kw_only=True)
class ArchitecturesConfig(StudyConfig):
    """Time untrained variants of the lite networks, and the released ones."""

    names: tuple[str, ...] = tuple(VARIANTS)
    """Variants to build."""
    rounds: int = 10
    """Rounds in which the networks take turns."""
    out: Path = RESULTS / "architectures"


def measure(config: ArchitecturesConfig) -> Iterator[tuple[str, Figures]]:
    """Build, then time all in turns; yield one result."""
    require(config, 1, "rounds")
    unknown = [name for name in config.names if name not in VARIANTS]
    if unknown:
        raise InputError(f"got --names {' '.join(unknown)}, expected some of {', '.join(VARIANTS)}")
    rows: list[dict[str, Any]] = []
    runs: list[Callable[[], Any]] = []
    with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
        for name in config.names:
            content, facts = _untrained(VARIANTS[name], Path(folder))
            _add(name, content, facts, rows, runs)
        for path in sorted((PROJECT_ROOT / "models").glob("unet_lite*/tflite-int8")):
            artifact = read_artifact(path)
            facts = {key: artifact.spec.provenance[key] for key in ("macs", "parameters")} | {"sha256": artifact.sha256}
            _add(f"released {path.parent.name}", artifact.file("model").read_bytes(), facts, rows, runs)
        for row, ratio in zip(rows, _ratios(runs, _reference(Path(folder)), config.rounds), strict=True):
            row["ratio"] = ratio
    machine = describe_machine()
    yield "architectures", {"machine": f"{machine.cpu}, {machine.instruction_set}", "rows": rows}


def _untrained(shape: Shape, folder: Path) -> tuple[bytes, dict[str, int]]:
    torch.manual_seed(0)
    model, size = Variant(shape).eval(), Size(shape.size, shape.size)
    parts = SkyProbability(model).eval(), SkyProbability(fold_batch_norm(model)).eval()
    facts = {"macs": count_macs(model, shape.size), "parameters": count_parameters(model)}
    network = Network(Checkpoint("unet_lite", shape.size, {}, "none"), "0" * 64, size, *parts, facts["parameters"], facts["macs"])
    rng = np.random.default_rng(0)
    with quiet():
        calibrated = tflite_int8.calibrate(
            network, [rng.integers(0, 256, (shape.size, shape.size, 3), dtype=np.uint8) for _ in range(6)], folder
        )
        return calibrated(frozenset(), folder).files["model"].read_bytes(), facts


def _add(name: str, content: bytes, facts: dict[str, Any], rows: list[dict[str, Any]], runs: list[Callable[[], Any]]) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    pieces = [operator["op_name"] for operator in interpreter._get_ops_details()].count("DELEGATE")
    floats = read_graph(content).float_tensors
    rows.append({"name": name, **facts, "bytes": len(content), "pieces": pieces, "float_tensors": floats})
    runs.append(interpreter.invoke)


def _reference(folder: Path) -> Callable[[], Any]:
    """Return U2-Netp at 384 in ncnn with float16 weights, as the public network is run."""
    import ncnn

    with quiet():
        made = to_ncnn.convert(load_network(PROJECT_ROOT / "models" / "u2netp" / "checkpoint.pt", 384), "fp16", folder)
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.load_param(str(made.files["param"]))
    net.load_model(str(made.files["bin"]))
    image = np.random.default_rng(0).random((3, 384, 384), np.float32)

    def run() -> Any:
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(image))
        return extractor.extract("out0")

    return run


def _ratios(runs: Sequence[Callable[[], Any]], reference: Callable[[], Any], rounds: int) -> list[float]:
    """Return how many times faster each is than the reference: medians of CPU time, all in turns."""
    taken: list[list[float]] = [[] for _ in range(len(runs) + 1)]
    for _ in range(rounds):
        for samples, run in zip(taken, [*runs, reference], strict=True):
            for _ in range(1 if run is reference else 12):
                start = time.thread_time()
                run()
                samples.append(time.thread_time() - start)
    *own, expected = (float(np.median(samples)) for samples in taken)
    return [round(expected / each, 1) for each in own]


def page(figures: Figures) -> list[str]:
    """Return the table: a row for every network."""
    rows = [
        [
            row["name"], f"{row['macs'] / 1e6:.1f}", f"{row['parameters']:,}", f"{row['bytes'] / 1000:.0f}", row["pieces"],
            row["float_tensors"], None if row["ratio"] is None else f"{row['ratio']:.0f}",
        ]
        for row in figures["rows"]
    ]  # fmt: skip
    head = ["network", "million MACs", "parameters", "int8 kB", "XNNPACK pieces", "float tensors", "times U2-Netp 384, ncnn"]
    return [
        f"{figures['machine']}, one thread, CPU time, all in turns. `nearest`, `bilinear`: upsampling. `head4`: four logits a",
        "position at stride 4, instead of one at stride 2. `expand3`: half the expansion in the first stages. `blocks`: a stem",
        "that moves 4 x 4 pixels into channels; `one_each`: one separable convolution in each step of the decoder.",
        *figures.get("notes", []), "", *table(head, "lrrrrrr", rows),
    ]  # fmt: skip


STUDY = Study("architectures", "Architectures of the small networks", ArchitecturesConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
