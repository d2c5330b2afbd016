"""The config of a training run, and presets: the released weights, and the runs of published documents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from train.engine.losses import Loss


@dataclass(frozen=True)
class FitConfig:
    """Train a sky network on folders of images and masks."""

    arch: str
    """Network, by its name in train/models/registry.py."""
    data: tuple[Path, ...] = ()
    """Folders in the layout of edge_runtime/images/dataset.py; their `train` splits train, `val` makes the curve."""
    sources: tuple[str, ...] = ()
    """Train on images of these sources of the manifests alone, such as those whose terms allow what you plan. Default: all."""
    val: tuple[Path, ...] = ()
    """Folders whose `val` splits make the curve. Default: those of --data."""
    corrections: Path | None = None
    """File of regions whose labels are wrong, left out of training and curve (train/data/corrections.py)."""
    out: Path | None = None
    """Run folder (checkpoint.pt, resume.pt, log.jsonl, curves.png). Default: runs/fit-ARCH."""
    init: Path | None = None
    """Start from the weights of this checkpoint instead of ImageNet's."""
    encoder_weights: Path | None = None
    """ImageNet state dict of torchvision for the ResNet-50 or VGG encoder (resnet50, vgg16_bn, vgg19_bn). Default: random."""
    only_sky: bool = False
    """Train on those images alone whose masks hold sky."""
    conditions: tuple[str, ...] = ()
    """Conditions that some of the views are changed to: other_sky, night, fog, fisheye (train/data/conditions.py)."""
    resident: int = 0
    """Hold all images in memory, stretched to this side, and make the views in batches on the device that trains
    (train/data/resident.py, with a night and a fisheye lens of its own). For GPUs. 0 reads an image for each view."""
    balance: Literal["source", "condition"] = "source"
    """What --resident draws first: a source, or a condition such as night or street (train/data/balance.py)."""
    boundary: float = 0.0
    """Weight that pixels near the edge of the sky get in addition, in the cross-entropy."""
    sizes: tuple[int, ...] = (256,)
    """Input side of each stage, in pixels; more than one makes training progressive."""
    steps: tuple[int, ...] = (3000,)
    """Optimizer steps of each stage."""
    epochs: int | None = None
    """Passes over the training images, which set the steps of a run of one stage instead of --steps."""
    batches: tuple[int, ...] = (16,)
    """Images in a step, for each stage."""
    loss: Loss = "bce_dice"
    """Loss, see train/engine/losses.py."""
    lr: float = 1e-3
    """Peak learning rate of AdamW, after a linear warm-up."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Learning rate after the warm-up: falling to zero over all stages, or constant."""
    warmup: int = 100
    """Steps of linear warm-up."""
    weight_decay: float = 1e-2
    """AdamW's decoupled weight decay; with 0 it is Adam."""
    ema: float = 0.998
    """Decay of the averaged weights, which are the ones that are saved and evaluated; 0 saves the last weights."""
    seed: int = 0
    """Seed of the initial weights and of every sample."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """bf16 runs the forward pass under autocast."""
    compile: bool = False
    """Run the network through torch.compile; it needs a C++ compiler and takes minutes to start."""
    threads: int = 1
    """CPU threads of torch."""
    workers: int = 0
    """Processes that prepare the images; 0 prepares them between steps. A GPU needs several."""
    val_every: int = 250
    """Steps between points of the validation curve."""
    val_count: int = 120
    """Images of the validation split, evenly spaced in it, that are measured for a point."""
    save_minutes: float = 3.0
    """Minutes between resume states."""
    stop_at_step: int | None = None
    """Save the resume state at this step and end there, for long runs in slices."""
    resume: bool = False
    """Go on from resume.pt in the run folder, with the same config."""
    overwrite: bool = False
    """Replace the run that --out holds."""
    store: Literal["fp32", "fp16"] = "fp32"
    """Type of the weights in the checkpoint. fp16 halves the file; readers compute in float32."""
    weights_license: str = "research, non-commercial"
    """Terms of the trained weights, which follow from the data."""


# The runs of today's weights: minutes on a GPU, hours on a CPU.
ON_GPU = FitConfig("unet_lite", resident=320, balance="condition", boundary=3.0, warmup=60, val_every=500)
HELPFUL = ("night", "fisheye")  # the conditions that gained in results/ablation/ablation.md; the teacher was trained before it
PRESETS: dict[str, FitConfig] = {
    "unet_lite": FitConfig("unet_lite", conditions=HELPFUL, sizes=(256,), steps=(2000,), batches=(16,), precision="fp32"),
    "unet_lite_s": FitConfig("unet_lite_s", conditions=HELPFUL, sizes=(192,), steps=(2000,), batches=(16,), precision="fp32"),
    "u2netp": FitConfig("u2netp", conditions=HELPFUL, sizes=(160, 224), steps=(1600, 1000), batches=(10, 8), val_count=60),
    "teacher": FitConfig(
        "teacher",
        conditions=("other_sky", "night", "fog", "fisheye"),
        sizes=(224, 384),
        steps=(2000, 2500),
        batches=(16, 8),
        precision="fp32",
        store="fp16",
    ),
    "unet_lite_gpu": replace(ON_GPU, sizes=(192, 256), steps=(940, 1287), batches=(160, 128), lr=1.5e-3, seed=12),
    "unet_lite_s_gpu": replace(
        ON_GPU, arch="unet_lite_s", sizes=(160, 192), steps=(713, 1202), batches=(224, 192), lr=1.5e-3, seed=13
    ),
    "u2netp_gpu": replace(
        ON_GPU, arch="u2netp", sizes=(160, 224), steps=(2000, 1000), batches=(64, 40), lr=8e-4, seed=14, val_count=60
    ),
    "teacher_gpu": replace(
        ON_GPU, arch="teacher", sizes=(256, 384), steps=(960, 569), batches=(64, 40), lr=8e-4, seed=11, store="fp16"
    ),
    # Images whose terms allow commercial use: MIT, CC0, and scenes of our own.
    "unet_lite_s_open": replace(
        ON_GPU,
        arch="unet_lite_s",
        sources=("horizon_uav", "sea_liao", "neon_snow", "canopy_imageseg", "scenes"),
        balance="source",
        sizes=(160, 192),
        steps=(600, 900),
        batches=(224, 192),
        lr=1.5e-3,
        seed=15,
        weights_license="CC BY 4.0",
    ),
}


def _as_published(arch: str, batch: int, epochs: int, lr: float, **more: Any) -> FitConfig:
    """Return a run with Adam at a constant rate and without averaged weights, at 256 pixels."""
    adam: dict[str, Any] = {"lr": lr, "warmup": 0, "schedule": "constant", "weight_decay": 0.0, "ema": 0.0}
    return FitConfig(arch, sizes=(256,), batches=(batch,), epochs=epochs, **adam, **more)


# The runs of the documents that this project grew from; docs/seeds.md says what they state and what they leave open.
PRESETS |= {
    "seed000_fcn_resnet50": _as_published("fcn_resnet50", 12, 50, 1e-4, loss="bce"),
    "seed000_unet": _as_published("unet", 12, 50, 1e-4, loss="bce"),
    "seed000_u2net": _as_published("u2net", 12, 50, 1e-4, loss="bce"),
    "seed001_unet_resnet50": _as_published("unet_resnet50", 8, 20, 1e-4, loss="dice"),
    "seed001_deeplabv3_resnet50": _as_published("deeplabv3_resnet50", 8, 20, 1e-4, loss="dice"),
    "seed002_fcn_resnet50": _as_published("fcn_resnet50", 4, 10, 1e-5, loss="bce"),
    "seed003_unet_vgg19": _as_published("unet_vgg19", 8, 20, 1e-4, loss="bce", only_sky=True),
}
