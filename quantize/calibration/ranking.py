"""Which convolutions suffer from int8: each is quantized alone, as all formats do it, and the masks are compared."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edge_runtime.errors import InputError
from edge_runtime.progress import track
from export.network import Network, SkyProbability
from export.parity import pooled_agreement, require_both, run_torch, sky_share
from quantize.calibration.labeled import LabeledSet
from quantize.calibration.observe import Range, observe
from quantize.calibration.ranges import Method
from train.models import macs_by_layer


@dataclass(frozen=True)
class LayerScore:
    """What int8 in one convolution alone does.

    Attributes
    ----------
    name
        Module of the torch network, as `--keep-float` wants it.
    sqnr_db
        Signal-to-noise ratio of the layer's output, 10 log10 of the power of the float32 output over that of the error, in
        decibels; its inputs are those of float32.
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
    """Return a score for every convolution, the most sensitive first: the lowest agreement of the masks with float32.

    Every layer moves the agreement, while IoU goes up and down by chance. `calibration`, (H, W, 3) uint8 RGB, sets the ranges
    and holds none of `labeled`. Raises `InputError` where the float32 network finds only sky or only ground in `labeled`.
    """
    model = copy.deepcopy(network.folded)
    layers = {name: layer for name, layer in model.network.named_modules() if isinstance(layer, nn.Conv2d)}
    macs = macs_by_layer(model.network, network.size.height, network.size.width)
    ranges = _ranges(model, layers, calibration, method)
    ratios = _signal_to_noise(model, layers, ranges, labeled.images)
    expected = run_torch(model, labeled.images)
    require_both(sky_share(expected), "the labeled images", "give --data with both", InputError)
    iou = labeled.iou(expected)
    scores = []
    for name in track(list(layers), "ranking layers"):
        with _only_int8(layers[name], ranges[name]):
            masks = run_torch(model, labeled.images)
        drop = 100.0 * (iou - labeled.iou(masks))
        share = macs[name] / sum(macs.values())
        scores.append(LayerScore(name, ratios[name], pooled_agreement(expected, masks), drop, share))
    return sorted(scores, key=lambda score: (score.agreement, score.sqnr_db))


def _ranges(
    model: SkyProbability, layers: dict[str, nn.Conv2d], images: Sequence[np.ndarray], method: Method
) -> dict[str, Range]:
    """Return the range of every convolution's input."""

    def run(image: np.ndarray) -> list[tuple[str, np.ndarray]]:
        found: list[tuple[str, np.ndarray]] = []
        hooks = [
            # A copy: what follows may work in place.
            layer.register_forward_pre_hook(lambda _, inputs, name=name: found.append((name, inputs[0].numpy().copy())))
            for name, layer in layers.items()
        ]
        run_torch(model, [image])
        for hook in hooks:
            hook.remove()
        return found

    return observe(run, images, method)


def _signal_to_noise(
    model: SkyProbability, layers: dict[str, nn.Conv2d], ranges: dict[str, Range], images: Sequence[np.ndarray]
) -> dict[str, float]:
    """Return the signal-to-noise ratio of every layer in decibels."""
    power: dict[str, np.ndarray] = {name: np.zeros(2) for name in layers}

    def hook_for(name: str) -> Callable[[nn.Conv2d, tuple[Tensor], Tensor], None]:
        weight = round_weight(layers[name].weight)

        def hook(layer: nn.Conv2d, inputs: tuple[Tensor], output: Tensor) -> None:
            rounded = layer._conv_forward(round_input(inputs[0], ranges[name]), weight, layer.bias)
            power[name] += [float(output.double().square().sum()), float((output - rounded).double().square().sum())]

        return hook

    hooks = [layer.register_forward_hook(hook_for(name)) for name, layer in layers.items()]
    run_torch(model, images)
    for hook in hooks:
        hook.remove()
    return {name: float(10 * np.log10(signal / max(noise, 1e-30))) for name, (signal, noise) in power.items()}


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
