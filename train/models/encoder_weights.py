"""ImageNet weights of torchvision for the encoders of resnet.py and vgg.py, made to fit the input of our networks."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from edge_runtime.errors import InputError
from edge_runtime.images.network_input import MEAN, STD
from train.models.checkpoint import check_finite, load_tensors

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of pixels / 255, as torchvision feeds them
CLASSIFIERS = ("fc.", "classifier.")
REMEDY = "Download the state dict that is published for this network"


def load_encoder_weights(network: nn.Module, path: Path) -> None:
    """Fill the encoder of `network` with a state dict of torchvision's names; its classifier is left out.

    Every other parameter must be there with its shape, and nothing else. The first convolution is changed so that it takes
    (pixel - 127) / 128 instead of ImageNet's normalization.
    """
    encoder = getattr(network, getattr(network, "encoder_name", ""), None)
    if not isinstance(encoder, nn.Module):
        raise InputError(f"got --encoder-weights for {type(network).__name__}, expected a network with a ResNet or VGG encoder")
    encoder.load_state_dict(read_weights(path, encoder, CLASSIFIERS), strict=False)
    _take_our_input(encoder)


def read_weights(path: Path, module: nn.Module, left_out: tuple[str, ...]) -> dict[str, Tensor]:
    """Return a state dict that fits `module` exactly, without names that begin with one of `left_out`."""
    if not path.is_file():
        raise InputError(f"got {path}, expected a file with a state dict. {REMEDY}")
    found = load_tensors(path, "a state dict", REMEDY)
    given = {name: value for name, value in found.items() if not name.startswith(left_out)}
    check_finite(given, path, REMEDY)
    known = module.state_dict()
    wanted = {name: value for name, value in known.items() if not name.endswith("num_batches_tracked")}
    wrong = sorted((wanted.keys() - given.keys()) | (given.keys() - known.keys()))
    wrong += [name for name, value in wanted.items() if name in given and given[name].shape != value.shape]
    if wrong:
        kind = type(module).__name__
        raise InputError(f"{path} does not fit {kind}: {len(wrong)} parameters differ, such as {wrong[0]}. {REMEDY}")
    return given


def _take_our_input(encoder: nn.Module) -> None:
    """Fold the change of normalization into the first convolution; exact but for the pixels at the border."""
    layers = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)]
    first, norm = layers[:2]
    assert isinstance(first, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    scale, shift = STD / 255.0 / std, (MEAN / 255.0 - mean) / std  # theirs = scale ours + shift
    with torch.no_grad():
        constant: Tensor = (first.weight.sum((2, 3)) * shift).sum(1)
        if first.bias is not None:
            first.bias += constant
        else:
            norm.running_mean -= constant
        first.weight *= scale[None, :, None, None]
