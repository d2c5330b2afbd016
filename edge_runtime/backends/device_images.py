"""Image in, mask out, with everything in between on the device of a torch network: bytes go up, one tensor comes down."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.artifact.spec import ModelSpec
from edge_runtime.backends.tensors import RANGE_SLACK, InputEncoder, not_probabilities, run_failed

if TYPE_CHECKING:
    from torch import Tensor

BITS = 22  # of Pillow's fixed-point weights
BROKEN = 255  # value of all pixels of a mask whose network gave no probabilities


class DeviceImages:
    """Runs a torch network on whole images. `network` maps the input tensor to the output tensor, both on `device`.

    The resize is Pillow's, as the contract demands, in the same integers. Thread-safe.
    """

    def __init__(self, torch: Any, spec: ModelSpec, device: str, network: Callable[[Tensor], Tensor]) -> None:
        self.torch, self.spec, self.device, self.network = torch, spec, device, network
        encoder = InputEncoder(spec.input)
        self.height, self.width, _ = encoder.image_shape
        self.channels_first = encoder.channels_first
        self.table = torch.from_numpy(np.stack(encoder.tables)).to(device)  # channel, byte -> input value

    def probability(self, image: np.ndarray) -> np.ndarray:
        """Segment (H, W, 3) uint8 RGB of any size into (H, W) float32 probabilities."""
        return self._finish(image, lambda sky, valid: self.torch.where(valid, sky, float("nan")), float("nan"))

    def mask(self, image: np.ndarray, threshold: float) -> np.ndarray:
        """Segment (H, W, 3) uint8 RGB of any size into (H, W) bool: sky from `threshold` on. One byte a pixel comes back."""
        return self._finish(image, lambda sky, valid: self.torch.where(valid, (sky >= threshold).byte(), BROKEN), BROKEN) == 1

    def _finish(self, image: np.ndarray, final: Callable[[Tensor, Tensor], Tensor], broken: float) -> np.ndarray:
        torch = self.torch
        try:
            with torch.inference_mode():
                sky = self.network(self.encode(image)).float().reshape(1, 1, self.height, self.width)
                low, high = torch.aminmax(sky)
                valid = (low >= -RANGE_SLACK) & (high <= 1 + RANGE_SLACK)  # NaN fails both
                sky = sky.clamp(0.0, 1.0)
                if image.shape[:2] != (self.height, self.width):
                    sky = torch.nn.functional.interpolate(sky, size=image.shape[:2], mode="bilinear", align_corners=False)
                done: np.ndarray = final(sky[0, 0], valid).cpu().numpy()
        except RuntimeError as error:
            raise run_failed(self.spec, "torch", error) from error
        if np.array_equal(done[0, 0], broken, equal_nan=True):
            raise not_probabilities(float(low), float(high))
        return done

    def encode(self, image: np.ndarray) -> Tensor:
        """Return (H, W, 3) uint8 RGB of any size as the input tensor, resized and normalized on the device."""
        pixels = self.torch.from_numpy(np.ascontiguousarray(image)).to(self.device)
        small = self._resize(self._resize(pixels, 1, self.width), 0, self.height)
        planes = self.torch.gather(self.table, 1, small.reshape(-1, 3).T.long()).reshape(3, self.height, self.width)
        return (planes if self.channels_first else planes.permute(1, 2, 0)).contiguous()[None]

    def _resize(self, pixels: Tensor, axis: int, wanted: int) -> Tensor:
        """Bring one axis of (rows, columns, 3) uint8 to `wanted` pixels."""
        torch = self.torch
        index, weights = (torch.from_numpy(each).to(self.device) for each in taps(pixels.shape[axis], wanted))
        shape = list(pixels.shape)
        shape[axis] = wanted
        total = torch.full(shape, 1 << (BITS - 1), dtype=torch.int32, device=self.device)  # rounds
        for tap in range(index.shape[1]):
            weight = weights[:, tap].reshape((-1, 1) if axis else (-1, 1, 1))
            total += torch.index_select(pixels, axis, index[:, tap]).int() * weight
        return (total >> BITS).clamp(0, 255).byte()


def taps(given: int, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which pixels each of `wanted` pixels is made of, (wanted, K) int64, and their weights, (wanted, K) int32.

    Pillow's precompute_coeffs and normalize_coeffs_8bpc (src/libImaging/Resample.c) for its triangle filter.
    """
    scale = given / wanted
    support = max(1.0, scale)
    centers = (np.arange(wanted)[:, None] + 0.5) * scale
    first = np.maximum(0, (centers - support + 0.5).astype(np.int64))
    last = np.minimum(given, (centers + support + 0.5).astype(np.int64))
    index = first + np.arange(int((last - first).max()))
    weights = np.maximum(0.0, 1.0 - np.abs((index - centers + 0.5) * (1.0 / support)))
    weights[index >= last] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    return np.minimum(index, given - 1), np.floor(0.5 + weights * (1 << BITS)).astype(np.int32)
