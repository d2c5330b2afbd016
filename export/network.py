"""The network as every exported file holds it: one input image, one output named `sky`, batch norm folded away."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edge_runtime.cores import limit_threads
from edge_runtime.errors import InputError
from edge_runtime.files import file_sha256
from edge_runtime.images.network_input import Size
from train.models import Checkpoint, count_parameters, load_checkpoint, macs_by_layer

PROJECT_ROOT = Path(__file__).resolve().parent.parent
RELEASED_CHECKPOINT = PROJECT_ROOT / "models" / "unet_lite" / "checkpoint.pt"
STRIDE = 32  # every network here halves its input five times
MAX_SIDE = 2048  # pixels: the activations of U2-Netp take about 6 GB there


class SkyProbability(nn.Module):
    """A network, and the sigmoid that turns its logits into probabilities."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Map (1, 3, H, W) float32 RGB, (pixel - 127) / 128, to the probability of sky, (1, 1, H, W) in [0, 1]."""
        return torch.sigmoid(self.network(image))


@dataclass(frozen=True, eq=False)
class Network:
    """A checkpoint, ready to be converted.

    Attributes
    ----------
    checkpoint
        Where the weights come from.
    sha256
        Of the checkpoint file, hex.
    size
        Of the input.
    reference
        The network as it was trained, float32: what every export is compared with.
    folded
        The same with batch norm folded into the convolutions: what is exported.
    parameters
        Number of trainable parameters, before folding.
    macs
        Multiply-accumulates of all convolutions for one image.
    """

    checkpoint: Checkpoint
    sha256: str
    size: Size
    reference: SkyProbability
    folded: SkyProbability
    parameters: int
    macs: int

    @property
    def example(self) -> Tensor:
        """A (1, 3, height, width) float32 input to trace with; its values do not matter."""
        return torch.zeros(1, 3, self.size.height, self.size.width)


def load_network(checkpoint: Path | None, size: str | int | None, arch: str | None = None) -> Network:
    """Read a checkpoint for export; None is the released `unet_lite`, at the size that the checkpoint was trained for.

    `arch` is FILE.py:function for a checkpoint of a network of your own.

    Raises `InputError` for a checkpoint that cannot be used, and for a size that the networks cannot take.
    """
    path = checkpoint or RELEASED_CHECKPOINT
    loaded = load_checkpoint(path, arch)
    chosen = Size.parse(str(loaded.size if size is None else size))
    for side in (chosen.width, chosen.height):
        if not STRIDE <= side <= MAX_SIDE or side % STRIDE:
            raise InputError(
                f"got --size {size}, expected multiples of {STRIDE} up to {MAX_SIDE}: the networks halve their input five times"
            )
    limit_threads(1)  # converters gain nothing from more, and they share the machine
    network = loaded.build().requires_grad_(False)
    return Network(
        checkpoint=loaded,
        sha256=file_sha256(path),
        size=chosen,
        reference=SkyProbability(network).eval(),
        folded=SkyProbability(fold_batch_norm(network)).eval(),
        parameters=count_parameters(network),
        macs=sum(macs_by_layer(network, chosen.height, chosen.width).values()),
    )


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Return a copy of `network`, in eval mode, whose batch norms are part of the convolutions before them.

    Each converter would do this in its own way. Done once here, all formats hold the same weights. Pools round down.
    """
    whole = copy.deepcopy(network).eval().requires_grad_(False)
    folded = copy.deepcopy(whole)
    for part in folded.modules():
        if isinstance(part, nn.MaxPool2d):
            part.ceil_mode = False  # the same at multiples of 32; WebGPU refuses ceil mode, and OpenCV computes it wrongly
        # In an nn.Sequential, and in torchvision's blocks (conv1, bn1, ...), a batch norm stands right after its convolution.
        for (name, first), (after, second) in itertools.pairwise(list(part.named_children())):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d) and first.out_channels == second.num_features:
                setattr(part, name, fuse_conv_bn_eval(first, second))
                setattr(part, after, nn.Identity())
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = whole(image), folded(image)
    # In a network of your own, layers may run in another order than they are listed: it stays as it is.
    return folded if torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max())) else whole
