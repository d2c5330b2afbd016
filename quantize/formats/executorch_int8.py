"""ExecuTorch in int8 by torch's PT2E quantization, with the rules of ExecuTorch's XNNPACK quantizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from edge_runtime.backends.executorch import import_runtime
from edge_runtime.errors import InputError
from edge_runtime.images.network_input import to_nchw
from export.network import Network
from export.pipeline import Converted
from export.to_executorch import TOOLS, save
from quantize.calibration.ranges import Method


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A network and its calibration images: the quantizer marks layers before it finds ranges, so each `write` calibrates."""

    network: Network
    images: Sequence[np.ndarray]

    def write(self, keep: frozenset[str], folder: Path) -> Converted:
        """Write `folder`/model.pte, in which the convolutions of `keep` stay float: float32 in and out."""
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
        from torchao.quantization.pt2e.quantizer import get_module_name_filter

        quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
        kept = [get_module_name_filter(f"network.{name}") for name in keep]
        quantizer.set_filter_function(lambda node: not any(belongs(node) for belongs in kept))
        traced = torch.export.export(self.network.folded, (self.network.example,)).module()
        observed = prepare_pt2e(traced, quantizer)
        with torch.no_grad():
            for image in self.images:
                observed(torch.from_numpy(to_nchw(image)))
        stored = "per_channel_symmetric" + (f", {len(keep)} layers float32" if keep else "")
        return save(self.network, convert_pt2e(observed), folder, stored, "per_tensor", (*TOOLS, "torchao"))


def calibrate(network: Network, images: Sequence[np.ndarray], folder: Path, method: Method | None = None) -> Calibrated:
    """Return what the quantizer quantizes with its own ranges; raises `InputError` where another `method` is asked for."""
    if method is not None:
        raise InputError(f"got --method {method} for executorch, expected none: its quantizer finds the ranges")
    import_runtime()
    return Calibrated(network, images)
