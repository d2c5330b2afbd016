"""Which layers suffer from int8: `python quantize/sensitivity.py --data DIR [--checkpoint FILE] [--out DIR]`.

Every convolution in turn is quantized alone, as all formats do it: weights with a scale per output channel, its input with a
scale per tensor, the range found on calibration pictures. Two figures follow: the signal-to-noise ratio of the layer's own
output, and what becomes of the masks. Layers are ranked by the masks' agreement with float32, which every layer moves, while
IoU goes up and down by chance. `int8.py --keep-float AUTO` follows this ranking and measures the exported network itself.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import write_json, write_text
from edge_runtime.images.dataset import find_pairs, splits
from export.network import Network, SkyProbability, load_network
from export.parity import holds_both, pooled_agreement, run_torch, sky_share
from quantize.calibration.calibration_set import divide, read_resized
from quantize.calibration.labeled import LabeledSet
from quantize.calibration.observe import Range, observe
from quantize.calibration.ranges import Method

SHOWN = 10  # layers in the table on stdout


@dataclass(frozen=True)
class SensitivityConfig:
    """Rank the convolutions of a checkpoint by what int8 does to them."""

    data: Path
    """Labeled pictures (images/ and masks/, or splits of them); calibration takes some, the others score."""
    checkpoint: Path | None = None
    """Checkpoint of train/fit.py. Default: the released models/unet_lite/checkpoint.pt."""
    split: str | None = None
    """Split of --data. Default: val where there is one."""
    source: str = ""
    """Score only pictures of sources whose names begin so, such as ade20k."""
    calib_count: int = 50
    """Pictures to calibrate on."""
    count: int = 40
    """Pictures to score on, spread evenly."""
    method: Method = "minmax"
    """How ranges are found."""
    seed: int = 0
    """Seed of the calibration pictures."""
    out: Path = Path("results/sensitivity")
    """Folder for NETWORK.json, .md and .png."""


@dataclass(frozen=True)
class LayerScore:
    """What int8 in one convolution alone does.

    Attributes
    ----------
    name
        Module of the torch network, as `--keep-float` wants it.
    sqnr_db
        10 log10 of the power of the layer's float32 output over that of the error, in decibels; inputs are those of float32.
    agreement
        Mask IoU with the float32 network, pooled.
    drop_points
        Loss of pooled IoU with the labels, in points.
    macs_share
        The layer's share of the network's multiply-accumulates.
    """

    name: str
    sqnr_db: float
    agreement: float
    drop_points: float
    macs_share: float


def rank(network: Network, calibration: Sequence[np.ndarray], labeled: LabeledSet, method: Method = "minmax") -> list[LayerScore]:
    """Return a score for every convolution, the most sensitive first.

    Parameters
    ----------
    calibration
        (size, size, 3) uint8 RGB; they set the ranges.
    labeled
        Scores; not in `calibration`.
    """
    model = copy.deepcopy(network.folded)
    layers = {name: layer for name, layer in model.network.named_modules() if isinstance(layer, nn.Conv2d)}
    ranges = _ranges(model, layers, calibration, method)
    ratios, macs = _signal_to_noise(model, layers, ranges, labeled.images)
    expected = labeled.masks(lambda image: run_torch(model, [image])[0])
    iou, sky = labeled.iou(expected), sky_share(expected)
    if not holds_both(sky):
        raise InputError(
            f"the float32 network finds sky in {sky:.1%} of the pixels of the labeled images, expected sky and ground, 1% or "
            "more of each: no layer could change such masks. Give --data with both"
        )
    scores = []
    for name, layer in track(layers.items(), "layers", console=Console(stderr=True)):
        with _only_int8(layer, ranges[name]):
            masks = labeled.masks(lambda image: run_torch(model, [image])[0])
        drop = 100.0 * (iou - labeled.iou(masks))
        share = macs[name] / sum(macs.values())
        scores.append(LayerScore(name, ratios[name], pooled_agreement(expected, masks), drop, share))
    return sorted(scores, key=lambda score: (score.agreement, score.sqnr_db))


def _ranges(
    model: SkyProbability, layers: dict[str, nn.Conv2d], pictures: Sequence[np.ndarray], method: Method
) -> dict[str, Range]:
    """Return the range of every convolution's input."""

    def run(picture: np.ndarray) -> list[tuple[str, np.ndarray]]:
        found: list[tuple[str, np.ndarray]] = []
        hooks = [
            # A copy: what follows may work in place.
            layer.register_forward_pre_hook(lambda _, inputs, name=name: found.append((name, inputs[0].numpy().copy())))
            for name, layer in layers.items()
        ]
        run_torch(model, [picture])
        for hook in hooks:
            hook.remove()
        return found

    return observe(run, pictures, method)


def _signal_to_noise(
    model: SkyProbability, layers: dict[str, nn.Conv2d], ranges: dict[str, Range], pictures: Sequence[np.ndarray]
) -> tuple[dict[str, float], dict[str, int]]:
    """Return the ratio of every layer in decibels, and its multiply-accumulates."""
    power: dict[str, np.ndarray] = {name: np.zeros(2) for name in layers}
    macs: dict[str, int] = {}

    def hook_for(name: str) -> Callable[[nn.Conv2d, tuple[Tensor], Tensor], None]:
        weight = round_weight(layers[name].weight)

        def hook(layer: nn.Conv2d, inputs: tuple[Tensor], output: Tensor) -> None:
            made = layer._conv_forward(round_input(inputs[0], ranges[name]), weight, layer.bias)
            power[name] += [float(output.double().square().sum()), float((output - made).double().square().sum())]
            macs[name] = layer.weight.numel() * output.shape[-1] * output.shape[-2]

        return hook

    hooks = [layer.register_forward_hook(hook_for(name)) for name, layer in layers.items()]
    run_torch(model, pictures)
    for hook in hooks:
        hook.remove()
    return {name: float(10 * np.log10(signal / max(noise, 1e-30))) for name, (signal, noise) in power.items()}, macs


@contextmanager
def _only_int8(layer: nn.Conv2d, spread: Range) -> Iterator[None]:
    """Quantize one convolution for as long as the context lasts."""
    weight = layer.weight.data
    layer.weight.data = round_weight(weight)
    hook = layer.register_forward_pre_hook(lambda _, inputs: (round_input(inputs[0], spread),))
    try:
        yield
    finally:
        hook.remove()
        layer.weight.data = weight


def round_weight(weight: Tensor) -> Tensor:
    """Return what int8 with a scale per output channel leaves of (outputs, inputs, rows, columns) weights."""
    scale = weight.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-12) / 127.0
    return torch.round(weight / scale).clamp(-127, 127) * scale


def round_input(x: Tensor, spread: Range) -> Tensor:
    """Return what 8 bits with one scale leave of a tensor: 256 steps over the range, one of which is zero."""
    low, high = min(spread.low, 0.0), max(spread.high, 0.0)
    scale = max(high - low, 1e-12) / 255.0
    zero = round(-low / scale)
    return (torch.round(x / scale) + zero).clamp(0, 255).sub(zero) * scale


def plot(scores: Sequence[LayerScore], title: str, path: Path) -> None:
    """Draw disagreement and signal-to-noise ratio of all layers, the most sensitive first."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (top, bottom) = pyplot.subplots(2, 1, figsize=(max(7.0, 0.17 * len(scores)), 6.5), sharex=True)
    places = range(len(scores))
    top.bar(places, [100 * (1 - score.agreement) for score in scores], color="#3b6fb6")
    top.set_ylabel("mask disagreement, %")
    top.set_title(f"{title}: one convolution at a time in int8")
    bottom.bar(places, [score.sqnr_db for score in scores], color="#8a8f98")
    bottom.set_ylabel("SQNR of its output, dB")
    bottom.set_xticks(list(places), [score.name for score in scores], rotation=90, fontsize=6)
    for axis in (top, bottom):
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.01)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def markdown(scores: Sequence[LayerScore]) -> str:
    """Return the ranked table."""
    lines = ["| layer | share of MACs | SQNR dB | agreement | IoU drop, points |", "|---|---:|---:|---:|---:|"]
    for score in scores:
        figures = f"{score.macs_share:.1%} | {score.sqnr_db:.1f} | {score.agreement:.4f} | {score.drop_points:+.2f}"
        lines.append(f"| {score.name} | {figures} |")
    return "\n".join(lines) + "\n"


def measure(config: SensitivityConfig) -> dict[str, Any]:
    """Rank, write the three files and return what the JSON file holds; raises `InputError` for bad words or pictures."""
    if config.count < 1:
        raise InputError(f"got --count {config.count}, expected 1 or more pictures")
    split = config.split or ("val" if "val" in splits(config.data) else None)
    network = load_network(config.checkpoint, None)
    chosen = divide(config.data / split if split else config.data, config.calib_count, config.seed)
    used = {path.stem for path in chosen.calibration}
    pairs = [pair for pair in find_pairs(config.data, split) if pair.source.startswith(config.source) and pair.id not in used]
    if not pairs:
        raise InputError(
            f"got no picture of --source {config.source!r} beside those that calibrate; expected a source of {config.data}"
        )
    pairs = pairs[:: -(-len(pairs) // config.count)]
    scores = rank(network, read_resized(chosen.calibration, network.size), LabeledSet(pairs, network.size), config.method)
    result = {
        "network": network.checkpoint.name, "size": network.size, "checkpoint_sha256": network.sha256, "method": config.method,
        "calibration_pictures": len(chosen.calibration), "pictures": len(pairs), "source": config.source,
        "layers": [dataclasses.asdict(score) for score in scores],
    }  # fmt: skip
    config.out.mkdir(parents=True, exist_ok=True)
    path = config.out / f"{network.checkpoint.name}.json"
    write_json(path, result)
    write_text(path.with_suffix(".md"), markdown(scores))
    plot(scores, f"{network.checkpoint.name}, {network.size} pixels", path.with_suffix(".png"))
    return result


def main(config: SensitivityConfig) -> None:
    """Print the most sensitive layers and the folder."""
    scores = [LayerScore(**layer) for layer in measure(config)["layers"]]
    print(markdown(scores[:SHOWN]), end="")
    print(config.out)


if __name__ == "__main__":
    run_command(main, SensitivityConfig)
