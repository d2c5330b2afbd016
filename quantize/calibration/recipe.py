"""What a user may choose about int8: how ranges are found, and which convolutions stay float. A library.

Convolutions go by the names of the torch network's modules (`decoder.0.entry.0`) in every format; `layers_of` finds each in an
exported file by its weights, which no converter changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from edge_runtime.errors import GateError, InputError
from export.network import Network
from quantize.calibration.ranges import Method


@dataclass(frozen=True)
class Recipe:
    """How to quantize.

    Attributes
    ----------
    method
        How the range of an activation follows from its values in the calibration pictures; None: the format's own choice.
    keep
        Names of the convolutions that stay float.
    """

    method: Method | None = None
    keep: frozenset[str] = frozenset()


AS_MEASURED = Recipe()


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


def layers_of(network: Network, keep: frozenset[str], found: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return, for each convolution in `keep`, the name of the layer of an exported file that it became.

    Parameters
    ----------
    found
        Layer of the file -> its weights, in the axes of `convolution_weights`.

    Raises
    ------
    GateError
        The converter changed the weights, so that a layer is not there or there twice.
    """
    weights = convolution_weights(network)
    named: dict[str, str] = {}
    for name in sorted(keep):
        same = [layer for layer, values in found.items() if _close(values, weights[name])]
        if len(same) != 1:
            raise GateError(f"got {len(same)} layers of the file with the weights of {name}, expected 1; nothing was written")
        named[name] = same[0]
    return named


def _close(values: np.ndarray, expected: np.ndarray) -> bool:
    if values.shape != expected.shape:
        return False
    return bool(np.abs(values - expected).max() <= 1e-6 * max(1.0, float(np.abs(expected).max())))
