"""ExecuTorch in int8 by torch's PT2E quantization, with the rules of ExecuTorch's XNNPACK quantizer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from edge_runtime.backends.executorch import import_runtime
from edge_runtime.images.network_input import to_nchw
from export.network import Network
from export.pipeline import Converted, Write, int8_weights
from export.to_executorch import TOOLS, save
from quantize.calibration.ranges import Method


def calibrate(network: Network, images: Sequence[np.ndarray], folder: Path, method: Method | None = None) -> Write:
    """Return what quantizes with the quantizer's own ranges: it marks layers before it finds ranges, so each write calibrates."""
    import_runtime()
    return partial(_write, network, images)


def _write(network: Network, images: Sequence[np.ndarray], keep: frozenset[str], folder: Path) -> Converted:
    """Write `folder`/model.pte, in which the convolutions of `keep` stay float: float32 in and out."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import get_module_name_filter

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    kept = [get_module_name_filter(f"network.{name}") for name in keep]
    quantizer.set_filter_function(lambda node: not any(belongs(node) for belongs in kept))
    traced = torch.export.export(network.folded, (network.example,)).module()
    observed = prepare_pt2e(traced, quantizer)
    with torch.no_grad():
        for image in images:
            observed(torch.from_numpy(to_nchw(image)))
    return save(network, convert_pt2e(observed), folder, int8_weights(keep), (*TOOLS, "torchao"), "per_tensor")
