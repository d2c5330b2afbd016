"""OpenVINO in int8 by NNCF's post-training quantization, which is made for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.images.network_input import to_nchw
from export.network import Network
from export.pipeline import Converted, Write, converted, int8_weights
from export.to_openvino import TOOLS, save, to_model
from quantize.calibration.layers import layers_of
from quantize.calibration.ranges import Method


def calibrate(network: Network, images: Sequence[np.ndarray], folder: Path, method: Method | None = None) -> Write:
    """Return what quantizes with NNCF's own ranges: NNCF finds ranges and writes in one step, so each write calibrates."""
    return partial(_write, network, images)


def _write(network: Network, images: Sequence[np.ndarray], keep: frozenset[str], folder: Path) -> Converted:
    """Write `folder`/model.xml and model.bin, in which the convolutions of `keep` stay float: float32 in and out."""
    import nncf

    model = to_model(network)
    weights = {node.get_friendly_name(): _weights(node) for node in model.get_ops() if "Convolution" in node.get_type_name()}
    kept = sorted(layers_of(network, keep, weights).values())
    made = nncf.quantize(
        model,
        nncf.Dataset(images, lambda image: {"image": to_nchw(image)}),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        ignored_scope=nncf.IgnoredScope(names=kept) if kept else None,
    )
    files = save(made, folder, halve=False)
    return converted(network, files, int8_weights(kept), (*TOOLS, "nncf"), activations="per_tensor")


def _weights(convolution: Any) -> np.ndarray:
    """Return (outputs, inputs / groups, rows, columns) weights of a convolution of an `openvino.Model`."""
    node = convolution.input_value(1).get_node()
    while node.get_type_name() != "Constant":  # a grouped one reshapes them
        node = node.input_value(0).get_node()
    return np.asarray(node.get_data())
