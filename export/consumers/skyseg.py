"""A file for programs that load the public skyseg.onnx, of 168 MB: `python -m export.consumers.skyseg --out skyseg.onnx`.

Such programs (facebookresearch/vggt and others) stretch the image to 320 x 320, give RGB normalized by ImageNet's mean and
deviation to the first input, stretch the first output from its smallest to its largest value, and take 32 of 255 and more
for sky. The graph brings the input to the network's own normalization and size, and the probability back to 320 x 320. It then
raises the probability to the power that puts 0.5 at 32 of 255: the network's threshold is 0.5, theirs is not.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from edge_runtime.backends.tensors import import_interpreter
from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import write_bytes
from edge_runtime.images.network_input import MEAN, STD, Size
from export import parity
from export.graphs.onnx_graph import to_model_proto
from export.network import Network, SkyProbability, load_network
from export.pipeline import from_here, quiet, say

SIZE = Size.square(320)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of values in 0..1, RGB
INPUT, OUTPUT = "input.1", "1959"  # as torch names the ends of U2-Net; the known programs ask the file for its names


@dataclass(frozen=True)
class SkysegConfig:
    """Write a drop-in for the public skyseg.onnx, after comparing it with torch."""

    checkpoint: Path | None = None
    """Checkpoint of train/fit.py. Default: the released models/unet_lite/checkpoint.pt."""
    cut: float = 32 / 255
    """Value, between 0 and 1, from which the program takes the output for sky; 0.5 leaves the probability as it is."""
    out: Path = Path("build/skyseg.onnx")
    """The file."""
    overwrite: bool = False
    """Replace a file that is there, such as the public one."""


class Skyseg(SkyProbability):
    """A network between the input and the output of skyseg.onnx."""

    scale: Tensor
    shift: Tensor

    def __init__(self, probability: SkyProbability, size: Size, power: float) -> None:
        super().__init__(probability.network)
        self.size, self.power = (size.height, size.width), power
        mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        self.register_buffer("scale", 255 * std / STD)
        self.register_buffer("shift", (255 * mean - MEAN) / STD)

    def forward(self, image: Tensor) -> Tensor:
        """Map (1, 3, 320, 320) float32 RGB, normalized for ImageNet, to (1, 1, 320, 320) in [0, 1]."""
        return self.after(self.before(image * self.scale + self.shift))

    def before(self, pixels: Tensor) -> Tensor:
        """Map (1, 3, 320, 320), (pixel - 127) / 128, to the probability of sky at the size of the network."""
        return super().forward(interpolate(pixels, self.size, mode="bilinear"))

    def after(self, probability: Tensor) -> Tensor:
        """Bring the probability to the output's size and range."""
        return interpolate(probability, (SIZE.height, SIZE.width), mode="bilinear") ** self.power


@dataclass(frozen=True)
class Written:
    """A file, its size in bytes, and how near it is to torch."""

    path: Path
    size_bytes: int
    parity: parity.Parity


def export(config: SkysegConfig) -> Written:
    """Write the file; raises `GateError` where parity does not hold, and nothing is written then."""
    if not 0 < config.cut < 1:
        raise InputError(f"got --cut {config.cut}, expected a number between 0 and 1; the public file's users take 32 / 255")
    network = load_network(config.checkpoint, None)
    power = math.log(config.cut) / math.log(0.5)
    say(f"{network.checkpoint.name} at {network.size}: writing {config.out}")
    content = convert(network, power)
    images = parity.parity_images(SIZE)
    reference = Skyseg(network.reference, network.size, power)
    with torch.inference_mode():
        tensors = [torch.from_numpy(((image.astype(np.float32) - MEAN) / STD).transpose(2, 0, 1)[None]) for image in images]
        expected = np.stack([reference.after(reference.before(tensor))[0, 0].numpy() for tensor in tensors])
    measured = parity.compare(expected, run(content, images))
    parity.check_parity(measured, "fp32")
    write_bytes(config.out, content, replace=config.overwrite)
    return Written(config.out, len(content), measured)


def convert(network: Network, power: float) -> bytes:
    """Return the content of the file."""
    with quiet():
        wrapped = Skyseg(network.folded, network.size, power)
        model = to_model_proto(dataclasses.replace(network, folded=wrapped, size=SIZE))
    names = {"image": INPUT, "sky": OUTPUT}
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names[value.name]
    content: bytes = model.SerializeToString()
    return content


def run(content: bytes, images: list[np.ndarray]) -> np.ndarray:
    """Give (320, 320, 3) uint8 RGB images to the file as the programs do; return (N, 320, 320) float32."""
    session = import_interpreter("onnxruntime", "onnx").InferenceSession(content, providers=["CPUExecutionProvider"])
    outputs = []
    for image in images:
        tensor = ((image / 255 - IMAGENET_MEAN) / IMAGENET_STD).transpose(2, 0, 1)[None].astype(np.float32)
        outputs.append(session.run(None, {INPUT: tensor})[0][0, 0])
    return np.stack(outputs)


def main(config: SkysegConfig) -> None:
    """Write the file and print it."""
    written = export(config)
    print(f"{from_here(written.path)}  {written.size_bytes / 1e6:.2f} MB  max-abs {written.parity.max_abs:.1e}")


if __name__ == "__main__":
    run_command(main, SkysegConfig)
