"""What a training run is made of, and the runs that made the released weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class FitConfig:
    """Train a sky network on folders of images and masks."""

    arch: str
    """Network: unet_lite, unet_lite_s, u2netp, u2net or teacher."""
    data: tuple[Path, ...] = ()
    """Folders in the layout of edge_runtime/images/dataset.py; their `train` splits train, `val` makes the curve."""
    val: tuple[Path, ...] = ()
    """Folders whose `val` splits make the curve. Default: those of --data."""
    out: Path | None = None
    """Run folder (checkpoint.pt, resume.pt, log.jsonl, curves.png). Default: runs/fit-ARCH."""
    init: Path | None = None
    """Start from the weights of this checkpoint instead of ImageNet's."""
    conditions: tuple[str, ...] = ()
    """Conditions that are put on some of the views: other_sky, night, fog, fisheye (train/data/conditions.py)."""
    sizes: tuple[int, ...] = (256,)
    """Input side of each stage, in pixels; more than one makes training progressive."""
    steps: tuple[int, ...] = (3000,)
    """Optimizer steps of each stage."""
    batches: tuple[int, ...] = (16,)
    """Images in a step, for each stage."""
    lr: float = 1e-3
    """Peak learning rate of AdamW; linear warm-up, then cosine to zero over all stages."""
    warmup: int = 100
    """Steps of linear warm-up."""
    weight_decay: float = 1e-2
    """AdamW's decoupled weight decay."""
    ema: float = 0.998
    """Decay of the averaged weights, which are the ones that are saved and evaluated."""
    seed: int = 0
    """Seed of the initial weights and of every sample."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """bf16 runs the forward pass under autocast."""
    compile: bool = False
    """Run the network through torch.compile; it needs a C++ compiler and takes minutes to start."""
    threads: int = 1
    """CPU threads of torch."""
    workers: int = 0
    """Processes that prepare the images; 0 does it in between. A GPU wants several."""
    val_every: int = 250
    """Steps between points of the validation curve."""
    val_count: int = 120
    """Images of the validation split, spread evenly over it, that make a point."""
    save_minutes: float = 3.0
    """Minutes between resume states."""
    stop_at_step: int | None = None
    """Save the resume state at this step and leave, as if killed there. For long runs in slices, and for tests."""
    resume: bool = False
    """Go on from resume.pt in the run folder, with the same config."""
    overwrite: bool = False
    """Replace the run that --out holds."""
    store: Literal["fp32", "fp16"] = "fp32"
    """How the checkpoint holds its weights. fp16 halves the file; whatever reads it computes in float32 all the same."""
    weights_license: str = "research, non-commercial"
    """Terms of the weights that come out, which follow the data."""


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
}
