"""Which convolutions suffer from int8: each is quantized alone, as all formats do it, and the masks are compared."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edge_runtime.errors import InputError
from edge_runtime.progress import track
from export.network import Network, SkyProbability
from export.parity import pooled_agreement, require_both, run_torch, sky_share
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
    agreement
        Mask IoU with the float32 network, pooled.
    macs_share
        The layer's share of the network's multiply-accumulates.
    """

    name: str
    agreement: float
    macs_share: float


def rank(
    network: Network, calibration: Sequence[np.ndarray], images: Sequence[np.ndarray], method: Method = "minmax"
) -> list[LayerScore]:
    """Return a score for every convolution, the most sensitive first.

    `calibration` sets the ranges, and masks of `images` are compared; both are (H, W, 3) uint8 RGB. Raises `InputError` where
    the float32 network finds only sky or only ground in `images`.
    """
    model = copy.deepcopy(network.folded)
    layers = {name: layer for name, layer in model.network.named_modules() if isinstance(layer, nn.Conv2d)}
    macs = macs_by_layer(model.network, network.size.height, network.size.width)
    ranges = _ranges(model, layers, calibration, method)
    expected = run_torch(model, images)
    require_both(sky_share(expected), "the images that rank layers", "give images with both", InputError)
    scores = []
    for name in track(list(layers), "ranking layers"):
        with _only_int8(layers[name], ranges[name]):
            agreement = pooled_agreement(expected, run_torch(model, images))
        scores.append(LayerScore(name, agreement, macs[name] / sum(macs.values())))
    return sorted(scores, key=lambda score: score.agreement)


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
