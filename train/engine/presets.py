"""The configs of training and pruning runs, and their presets: the recipes of the released weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from train.data.balance import Balance
from train.engine.losses import Loss
from train.models import MODELS


@dataclass(frozen=True)
class FitConfig:
    """Train a sky network on folders of images and masks."""

    arch: str
    """Network, by its name in train/models/registry.py, or FILE.py:function, which returns one of your own."""
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
    only_sky: bool = False
    """Train on those images alone whose masks hold sky."""
    conditions: tuple[str, ...] = ()
    """Conditions that some of the views are changed to: other_sky, night, fog, fisheye (train/data/conditions.py)."""
    resident: int = 0
    """Hold all images in memory, stretched to this side, and make the views in batches on the device that trains
    (train/data/resident.py). For GPUs. 0 reads an image for each view."""
    balance: Balance = "source"
    """What is drawn first: a source, or a condition such as night or street (train/data/balance.py)."""
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


# The runs of today's weights (NAME_gpu): minutes on a GPU, hours on a CPU.
HELPFUL = ("night", "fisheye")  # the conditions that gained in cross-validation; the teacher was trained before it
ON_GPU = FitConfig("unet_lite", conditions=HELPFUL, resident=320, balance="condition", boundary=3.0, warmup=60, val_every=500)
OPEN = FitConfig("unet_lite", conditions=("other_sky", "night", "fog", "fisheye"), store="fp16", weights_license="CC BY 4.0")
OPEN_SOURCES = (
    "azure", "carnd", "comma10k", "dali", "edge", "edgecity", "elem", "lomiri", "ls", "max", "mscomp", "mslearn", "mstoolkit",
    "msxaml", "polyhaven", "trapai", "trident", "uwp", "weavly", "winui", "wp",
    "horizon_uav", "sea_liao", "neon_snow", "canopy_imageseg", "scenes",
)  # fmt: skip
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
    # Images whose terms allow commercial use alone; the students see them with masks that u2netp_open softened.
    "u2netp_open": replace(
        OPEN,
        arch="u2netp",
        sources=OPEN_SOURCES,
        sizes=(320,),
        steps=(480,),
        batches=(6,),
        lr=1e-4,
        warmup=30,
        ema=0.985,
        seed=21,
    ),
    "unet_lite_open": replace(
        OPEN, boundary=3.0, sizes=(192, 256), steps=(1000, 1100), batches=(16, 16), seed=22, precision="fp32"
    ),
    "unet_lite_s_open": replace(
        OPEN, arch="unet_lite_s", boundary=3.0, sizes=(160, 192), steps=(1000, 1400), batches=(16, 16), seed=23, precision="fp32"
    ),
}
PRESETS |= {name: FitConfig(name) for name in MODELS if name not in PRESETS}


@dataclass(frozen=True)
class PruneConfig:
    """Prune a checkpoint in rounds, each followed by training with distillation."""

    checkpoint: Path
    """Checkpoint to prune; it is the teacher too, unless --teacher names another."""
    data: tuple[Path, ...] = ()
    """Folders in the layout of edge_runtime/images/dataset.py; their `train` splits train, `val` makes the curve."""
    macs: float = 0.15
    """Share of the unpruned network's MACs that remains, 0 to 1, at --size."""
    size: int | None = None
    """Side of the square input in pixels. Default: the checkpoint's own."""
    rounds: int = 4
    """How often to prune and train."""
    steps: int = 200
    """Optimizer steps of every round but the last."""
    final_steps: int = 1000
    """Optimizer steps of the last round."""
    batch: int = 8
    """Images in a step."""
    multiple: int = 4
    """Remaining widths are multiples of this. In onnxruntime fp32 on one x86 core with AVX-512, u2netp with 15 % of its MACs at
    224 pixels is 2.4 times as fast as the whole network with multiples of 2, 3.2 times with 4, 3.4 times with 8."""
    teacher: Path | None = None
    """Checkpoint whose prediction is mixed into the labels."""
    distill: float = 0.5
    """Share of the teacher in the target of a labeled pixel, 0 to 1; void pixels get its prediction alone."""
    lr: float = 5e-4
    """Peak learning rate of AdamW in each round."""
    ema: float = 0.99
    """Decay of the averaged weights, which are the ones that are saved and pruned further."""
    conditions: tuple[str, ...] = ()
    """Conditions that some of the views are changed to, see train/data/conditions.py."""
    seed: int = 0
    """Seed of every sample."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 runs the forward pass under autocast."""
    threads: int = 1
    """CPU threads of torch."""
    workers: int = 0
    """Processes that prepare the images; 0 prepares them between steps."""
    val_count: int = 120
    """Images of the validation split that score the end of a round."""
    save_minutes: float = 3.0
    """Minutes between resume states."""
    stop_at_step: int | None = None
    """Save the resume state at this step and end there."""
    resume: bool = False
    """Go on from resume.pt in the run folder, with the same config."""
    overwrite: bool = False
    """Replace the run that --out holds."""
    out: Path | None = None
    """Run folder (checkpoint.pt, resume.pt, rounds.json). Default: runs/prune-ARCH."""
    arch: str | None = None
    """FILE.py:function, which runs, where the checkpoint is of a network of your own."""


RELEASED = Path(__file__).resolve().parent.parent.parent / "models"
PRUNE_PRESETS: dict[str, PruneConfig] = {
    "u2netp": PruneConfig(RELEASED / "u2netp" / "checkpoint.pt", macs=0.15, batch=8, multiple=8, precision="bf16"),
    # As many MACs as unet_lite_s has at its 192 pixels: which of the two is better?
    "unet_lite_s": PruneConfig(RELEASED / "unet_lite" / "checkpoint.pt", macs=0.54, size=192, rounds=3, batch=16),
}
