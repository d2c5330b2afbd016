"""Names of convolutions. Every format calls them as the torch network does, such as `decoder.0.entry.0`.

`layers_of` finds a convolution in an exported file by its weights, which no converter changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from torch import nn

from edge_runtime.errors import GateError, InputError
from export.network import Network


def convolution_weights(network: Network) -> dict[str, np.ndarray]:
    """Return the (outputs, inputs / groups, rows, columns) float32 weights of all convolutions, batch norm folded in."""
    layers = network.folded.network.named_modules()
    return {name: layer.weight.detach().numpy() for name, layer in layers if isinstance(layer, nn.Conv2d)}


def check_names(network: Network, names: frozenset[str]) -> None:
    """Raise `InputError` where one of `names` is no convolution."""
    known = convolution_weights(network)
    wrong = sorted(names - known.keys())
    if wrong:
        some = ", ".join(list(known)[:4])
        raise InputError(f"got --keep-float {' '.join(wrong)}, expected convolutions, such as {some}; sensitivity.py lists them")


def layers_of(network: Network, names: Collection[str], found: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return, for each convolution of `names`, the name of the layer of an exported file that it became.

    `found` maps the layers of the file to their weights, in the axes of `convolution_weights`. Raises `GateError` where the
    converter changed the weights, so that a layer is not there, or there twice.
    """
    weights = convolution_weights(network)
    named: dict[str, str] = {}
    for name in sorted(names):
        same = [layer for layer, values in found.items() if _close(values, weights[name])]
        if len(same) != 1:
            raise GateError(f"got {len(same)} layers of the file with the weights of {name}, expected 1; nothing was written")
        named[name] = same[0]
    return named


def _close(values: np.ndarray, expected: np.ndarray) -> bool:
    if values.shape != expected.shape:
        return False
    return bool(np.abs(values - expected).max() <= 1e-6 * max(1.0, float(np.abs(expected).max())))
