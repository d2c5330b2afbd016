"""OpenVINO in int8 by NNCF's post-training quantization, which is made for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.network_input import to_nchw
from export.network import Network
from export.pipeline import Converted, input_spec, output_spec
from export.to_openvino import TOOLS, save, to_model
from quantize.calibration.layers import layers_of
from quantize.calibration.ranges import Method


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A network and its calibration images: NNCF finds ranges and writes in one step, so each `write` calibrates."""

    network: Network
    images: Sequence[np.ndarray]

    def write(self, keep: frozenset[str], folder: Path) -> Converted:
        """Write `folder`/model.xml and model.bin, in which the convolutions of `keep` stay float: float32 in and out."""
        import nncf

        model = to_model(self.network)
        weights = {node.get_friendly_name(): _weights(node) for node in model.get_ops() if "Convolution" in node.get_type_name()}
        kept = sorted(layers_of(self.network, keep, weights).values())
        made = nncf.quantize(
            model,
            nncf.Dataset(self.images, lambda image: {"image": to_nchw(image)}),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(self.images),
            ignored_scope=nncf.IgnoredScope(names=kept) if kept else None,
        )
        files = save(made, folder, halve=False)
        stored = "per_channel_symmetric" + (f", {len(kept)} layers float32" if kept else "")
        tensors = input_spec("image", self.network.size, "NCHW"), output_spec("sky")
        return Converted(files, *tensors, stored, "per_tensor", (*TOOLS, "nncf"))


def calibrate(network: Network, images: Sequence[np.ndarray], folder: Path, method: Method | None = None) -> Calibrated:
    """Return what NNCF quantizes with its own ranges; raises `InputError` where another `method` is asked for."""
    if method is not None:
        raise InputError(f"got --method {method} for openvino, expected none: NNCF finds the ranges")
    return Calibrated(network, images)


def _weights(convolution: Any) -> np.ndarray:
    """Return (outputs, inputs / groups, rows, columns) weights of a convolution of an `openvino.Model`."""
    node = convolution.input_value(1).get_node()
    while node.get_type_name() != "Constant":  # a grouped one reshapes them
        node = node.input_value(0).get_node()
    return np.asarray(node.get_data())
