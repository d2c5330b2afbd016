"""Whether an exported file is the network that it was made from: both run on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from edge_runtime.artifact.golden import agreement
from edge_runtime.backends import Backend
from edge_runtime.errors import GateError, InputError
from edge_runtime.images.network_input import Size, to_nchw
from edge_runtime.images.resize import resize_rgb
from export.network import SkyProbability
from scenes.render import generate

MAX_ABS_FP32 = 1e-4  # largest difference in probability between two float32 runtimes
MIN_AGREEMENT_FP16 = 0.999  # mask IoU with float32
MIN_SHARE = 0.01  # of the pixels: masks with less sky or less ground than this prove nothing by agreeing
MIN_SPAN = 100 * MAX_ABS_FP32  # of probabilities: an output that hardly varies proves nothing by being equal
UNTRAINED = "nothing was written. Train the network"

# What a backend may differ by from the golden output, which the exporter's own backend gave. fp32: the order of additions. fp16:
# interpreters that also compute in half (ncnn and XNNPACK on Arm v8.2) were seen to differ by 2e-2. int8: kernels round
# differently, and one step of the last logits moves an edge pixel far: 0.11 at 4 of 36,864 pixels between XNNPACK and TFLite's
# own kernels, against 0.5 and more where a kernel saturates.
GOLDEN_ATOL = {"fp32": 1e-4, "fp16": 3e-2, "int8": 2.5e-1}


@dataclass(frozen=True)
class SceneChoice:
    """Arguments of `scenes.render.generate` for one built-in scene."""

    seed: int
    kind: str
    sky: str


# The first one is the golden input. Skies, lights and scales differ; the last has no sky at all.
SCENES = (
    SceneChoice(11, "mountain", "cloudy"),
    SceneChoice(12, "street", "clear"),
    SceneChoice(13, "city", "night"),
    SceneChoice(14, "trees", "overcast"),
    SceneChoice(15, "water", "sunset"),
    SceneChoice(16, "indoor", "none"),
)
SCENE_SIZE = (288, 384)  # height, width; stretched to the input size as any image is
NOISE_SEED = 17


@dataclass(frozen=True)
class Parity:
    """How an exported network compares with torch in float32 on all parity images.

    Attributes
    ----------
    max_abs
        Largest difference in probability at any pixel.
    agreement
        IoU of the masks at 0.5, pooled over the scenes. Noise does not count here: networks are undecided nearly everywhere
        in it, so a mask of it means nothing.
    images
        Number of images, noise included.
    sky_share
        Share of the scenes' pixels that torch predicts as sky, 0 to 1.
    span
        Difference between the largest and the smallest probability of torch.
    """

    max_abs: float
    agreement: float
    images: int
    sky_share: float
    span: float


def built_in_scenes(size: Size) -> list[np.ndarray]:
    """Return the built-in scenes at the input size, each (H, W, 3) uint8 RGB."""
    return [resize_rgb(generate(s.seed, SCENE_SIZE, s.kind, s.sky).image, size.height, size.width) for s in SCENES]


def parity_images(size: Size) -> list[np.ndarray]:
    """Return the built-in scenes, of which the first is the golden input, and one image of noise; (H, W, 3) uint8 RGB."""
    noise = np.random.default_rng(NOISE_SEED).integers(0, 256, (size.height, size.width, 3), dtype=np.uint8)
    return [*built_in_scenes(size), noise]


def run_torch(model: SkyProbability, images: Sequence[np.ndarray]) -> np.ndarray:
    """Return (N, H, W) float32 probabilities of (H, W, 3) uint8 RGB images, run one by one as a device would."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        outputs = [model(torch.from_numpy(to_nchw(image)).to(device))[0, 0].cpu().numpy() for image in images]
    return np.stack(outputs)


def run_backend(backend: Backend, images: Sequence[np.ndarray]) -> np.ndarray:
    """Return (N, H, W) float32 probabilities; raises `GateError` where the exported network gives none."""
    try:
        return np.stack([backend.run(image) for image in images])
    except InputError as error:  # the images are good, so the network is not
        raise GateError(f"the exported network does not run in {backend.name}: {error}") from error


def compare(expected: np.ndarray, got: np.ndarray) -> Parity:
    """Compare (N, H, W) probabilities of torch with those of an exported network, for all of `parity_images`."""
    scenes = slice(0, len(SCENES))
    return Parity(
        max_abs=float(np.abs(expected - got).max()),
        agreement=pooled_agreement(expected[scenes], got[scenes]),
        images=len(expected),
        sky_share=sky_share(expected[scenes]),
        span=float(expected.max() - expected.min()),
    )


def pooled_agreement(expected: np.ndarray, got: np.ndarray) -> float:
    """Return the mask IoU of two (N, H, W) stacks, pooled over all images; 1.0 where both are empty."""
    height = expected.shape[0] * expected.shape[1]
    return float(agreement(expected.reshape(height, -1), got.reshape(height, -1)))


def sky_share(masks: np.ndarray) -> float:
    """Return the share of the pixels of probabilities, any shape, that are sky."""
    return float((masks >= 0.5).mean())


def holds_both(share: float) -> bool:
    """Return whether masks with this share of sky hold enough sky and enough ground for an agreement to mean something."""
    return MIN_SHARE <= share <= 1.0 - MIN_SHARE


def require_both(share: float, where: str, advice: str, error: type[Exception] = GateError) -> None:
    """Raise `error` unless a share of sky, in the float32 masks of the images `where`, leaves both classes; see `holds_both`."""
    if not holds_both(share):
        raise error(
            f"the float32 network finds sky in {share:.1%} of the pixels of {where}, expected sky and ground, "
            f"{MIN_SHARE:.0%} or more of each: masks of one class agree, whatever was lost; {advice}"
        )


def check_parity(parity: Parity, precision: str) -> None:
    """Raise `GateError` unless `parity` is good enough for `precision`, fp32 or fp16.

    NaN never is good enough. Neither is a network whose output says nothing, since two empty masks agree.
    """
    if not parity.span >= MIN_SPAN:
        raise GateError(
            f"the probabilities of the float32 network differ by {parity.span:.1e} over all test images, expected at least "
            f"{MIN_SPAN:.0e}; nothing was compared and {UNTRAINED}"
        )
    if precision == "fp16":
        require_both(parity.sky_share, "the built-in scenes", UNTRAINED)
    if precision == "fp32" and not parity.max_abs <= MAX_ABS_FP32:
        raise GateError(
            f"parity with torch is {parity.max_abs:.2e} (max-abs), expected at most {MAX_ABS_FP32:.0e}; nothing was written. "
            "The converter changed the network: compare its graph with the model's"
        )
    if precision == "fp16" and not parity.agreement >= MIN_AGREEMENT_FP16:
        raise GateError(
            f"agreement of fp16 with fp32 is {parity.agreement:.5f} (mask IoU), expected at least {MIN_AGREEMENT_FP16}; "
            "nothing was written. Use --precision fp32 for this network"
        )
