"""Train under int8: `python quantize/qat.py --checkpoint FILE --data DIR [DIR ...] --out DIR`.

NNCF puts fake quantization around the weights and activations of the torch network. A short training, on labels mixed with the
predictions of the float network, then moves the weights to where rounding costs less (Jacob et al. 2018, "Quantization and
training of neural networks for efficient integer-arithmetic-only inference", section 3). The saved checkpoint holds these weights
without NNCF's nodes: `quantize/int8.py` and all exporters take it like any other. Batch norm keeps its statistics. Its scales
commute with weight scales per output channel, so folding it later changes no rounding.

NNCF compiles C++ functions at the first use: that takes a compiler, and minutes.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

import copy
import dataclasses
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import nn

from edge_runtime.cores import limit_threads
from edge_runtime.errors import InputError
from edge_runtime.files import check_free, write_json
from export.pipeline import quiet
from train.data.datasets import Samples, gather
from train.engine.limits import TRAINING_LIMITS, check_limits
from train.engine.loop import load_batches, optimize
from train.engine.losses import sky_loss, soften_batch
from train.models import Checkpoint, load_checkpoint, save_checkpoint

CALIBRATION_BATCHES = 16  # of `batch` views each: NNCF starts from their ranges


@dataclass(frozen=True)
class QatConfig:
    """Fine-tune a checkpoint under fake quantization."""

    checkpoint: Path
    """Checkpoint to start from; as it is, it is the teacher too."""
    data: tuple[Path, ...] = ()
    """Folders in the layout of edge_runtime/images/dataset.py; their `train` splits train."""
    out: Path = Path("runs/qat")
    """Folder for checkpoint.pt and qat.json."""
    overwrite: bool = False
    """Replace a checkpoint.pt that is there."""
    steps: int = 300
    """Optimizer steps."""
    batch: int = 8
    """Images in a step."""
    lr: float = 3e-5
    """Learning rate of AdamW, which falls linearly to zero."""
    distill: float = 0.5
    """Share of the float network's prediction in the target of a labeled pixel; for void pixels it is the whole target."""
    seed: int = 0
    """Seed of every sample."""
    threads: int = 1
    """CPU threads of torch."""
    workers: int = 0
    """Processes that prepare the images; 0 prepares them between the steps."""
    arch: str | None = None
    """FILE.py:function, which runs, where the checkpoint is of a network of your own."""


def train(config: QatConfig) -> Path:
    """Fine-tune and return the path of the checkpoint; raises `InputError` for bad values or data."""
    check_limits(config, TRAINING_LIMITS)
    start = load_checkpoint(config.checkpoint, config.arch)
    pairs = gather(config.data, "train")
    if not pairs:
        raise InputError("got no labeled image in --data, expected DIR/train/images and DIR/train/masks")
    if not config.overwrite:
        check_free([config.out / "checkpoint.pt"])
    limit_threads(config.threads)
    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    total = (config.steps + CALIBRATION_BATCHES) * config.batch
    samples = Samples(pairs, np.full(total, start.size), config.seed)
    batches = [list(range(first, first + config.batch)) for first in range(0, total, config.batch)]
    teacher = start.build().to(device)
    console = Console(stderr=True)
    model = wrap(
        start.build().to(device), [samples[i][0][None].to(device) for group in batches[:CALIBRATION_BATCHES] for i in group]
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=0.0)
    loader = load_batches(samples, batches[CALIBRATION_BATCHES:], config.workers, device)
    losses = []
    for step, batch in enumerate(track(loader, "training under int8", total=config.steps, console=console)):
        image, target, valid = soften_batch([tensor.to(device) for tensor in batch], teacher, config.distill)
        freeze_batch_norm(model.train())
        loss = sky_loss([model(image)], target, valid)
        losses.append(round(optimize(model, optimizer, loss, config.lr * (1.0 - step / config.steps), step), 5))
    plain = {key: value for key, value in dataclasses.asdict(config).items() if key not in ("out", "threads", "workers", "data")}
    training = {"qat": plain | {"checkpoint": config.checkpoint.name}, "before": start.training}
    trained = dataclasses.replace(start, weights=plain_weights(model, start), training=training)
    save_checkpoint(trained, config.out / "checkpoint.pt")
    write_json(config.out / "qat.json", {"loss": losses})
    return config.out / "checkpoint.pt"


def wrap(model: nn.Module, inputs: list[torch.Tensor]) -> nn.Module:
    """Return a copy of `model` with NNCF's fake quantization, its ranges taken from (1, 3, size, size) `inputs`.

    Weights are symmetric per output channel, activations per tensor: what quantize/int8.py will do.
    """
    os.environ.setdefault("NNCF_EXTENSION_LOAD_TIMEOUT", "1800")  # minutes of a C++ compiler, on a busy machine
    # Its build needs ninja, which lies beside this interpreter.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    with quiet():
        import nncf

        return nncf.quantize(
            copy.deepcopy(model).eval(),
            nncf.Dataset(inputs),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(inputs),
            # It would change biases that training sets anyway.
            advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=True),
        )


def plain_weights(model: nn.Module, start: Checkpoint) -> dict[str, torch.Tensor]:
    """Return the network's own weights out of a state dict that holds NNCF's ranges too."""
    state = model.state_dict()
    missing = [name for name in start.weights if name not in state]
    assert not missing, f"NNCF renamed {missing[:3]}"
    return {name: state[name].detach().cpu().contiguous() for name in start.weights}


def freeze_batch_norm(model: nn.Module) -> None:
    """Make every batch norm use, and keep, the statistics that it has."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()


def main(config: QatConfig) -> None:
    """Train and print the checkpoint's path."""
    print(train(config))


if __name__ == "__main__":
    run_command(main, QatConfig)
