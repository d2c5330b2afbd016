"""Train a network: `python train/fit.py PRESET --data DIR [DIR ...]`.

On several GPUs or machines: `torchrun --nproc_per_node N train/fit.py PRESET ...` (train/engine/parallel.py); `batches` stays the
number of pictures in a step over all processes. train/slurm.sh is an example for a cluster.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import write_text
from edge_runtime.images.dataset import Pair, read_pair
from edge_runtime.images.ops import resize_rgb
from train.data.conditions import CONDITIONS
from train.data.datasets import Samples, gather, to_tensor
from train.engine.curves import plot_curves
from train.engine.losses import sky_loss
from train.engine.parallel import World, join_world, leave_world, spread
from train.engine.presets import PRESETS, FitConfig
from train.models import MODELS, Checkpoint, load_checkpoint, plan_of, save_checkpoint, save_state
from train.models.unet_lite import UNetLite

# Fields that say how a run is sliced and watched; all others decide its weights and must not change on --resume.
SLICING = {"val", "out", "resume", "stop_at_step", "save_minutes", "threads", "workers", "store"}


class Schedule:
    """Stage, size, batch, first sample and learning rate of every step; pure arithmetic on the config."""

    def __init__(self, config: FitConfig) -> None:
        self.config = config
        self.stage_of = np.repeat(np.arange(len(config.steps)), config.steps)
        self.batch_of = np.asarray(config.batches)[self.stage_of]
        self.first_sample = np.concatenate(([0], np.cumsum(self.batch_of)))
        self.total = len(self.stage_of)

    def sample_sizes(self) -> np.ndarray:
        """Return the input side of every sample of the run."""
        return np.repeat(np.asarray(self.config.sizes)[self.stage_of], self.batch_of)

    def batches_from(self, step: int) -> list[list[int]]:
        """Return the sample numbers of each batch from `step` on."""
        return [list(range(self.first_sample[s], self.first_sample[s + 1])) for s in range(step, self.total)]

    def lr(self, step: int) -> float:
        """Return the learning rate of `step`: linear warm-up, then cosine to zero."""
        warmup = min(self.config.warmup, self.total // 2)
        if step < warmup:
            return self.config.lr * (step + 1) / warmup
        return self.config.lr * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, self.total - warmup)))


class Run:
    """Everything of a run that changes with its steps; it starts from `model`, or from the weights that the config names."""

    def __init__(self, config: FitConfig, world: World, model: nn.Module | None = None) -> None:
        torch.manual_seed(config.seed)
        model = _initial(config) if model is None else model
        self.model = model.to(world.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.model).eval()
        maps = spread(self.model, world)
        self.maps = torch.compile(maps) if config.compile else maps
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
        self.step = 0
        self.log: list[dict[str, Any]] = []

    def state(self, config: FitConfig) -> dict[str, Any]:
        """Return the whole state; together with the config it decides every later weight."""
        return {
            "config": _deciding(config),
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "log": self.log,
        }

    def load(self, path: Path, config: FitConfig) -> None:
        """Take the state of an earlier part of the same run."""
        if not path.is_file():
            raise InputError(f"got --resume without {path}; start the run without --resume")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            missing = set(self.state(config)) - set(state)
        except Exception as error:  # torch raises many kinds for a damaged file; all mean the same to the user
            raise InputError(f"cannot read {path}: {error}; start the run again without --resume") from error
        if missing:
            raise InputError(f"got {path} without {', '.join(sorted(missing))}, expected a resume state of fit.py")
        wanted = _deciding(config)
        changed = [name for name, value in wanted.items() if state["config"].get(name) != value]
        if changed:
            raise InputError(f"--resume with another {', '.join(changed)} than {path} was made with; use the same or a new --out")
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.log = state["step"], state["log"]

    def update_average(self, decay: float) -> None:
        """Move the averaged weights toward the current ones; faster in the first steps, which are worth little."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, value in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(value, 1.0 - decay)
                else:
                    mean.copy_(value)


def _initial(config: FitConfig) -> nn.Module:
    if config.init is not None:
        initial = load_checkpoint(config.init)
        if initial.arch != config.arch:
            raise InputError(f"--init {config.init} is for {initial.arch}, expected {config.arch}")
        return initial.build().train()
    model = MODELS[config.arch]()
    if isinstance(model, UNetLite):
        model.load_imagenet()
    return model


def fit(config: FitConfig) -> Path:
    """Train as `config` says and return the path of the checkpoint.

    Raises
    ------
    InputError
        Unknown network, no data, stages of unequal length, or a resume state of another run.
    """
    if not config.data:
        raise InputError("got no --data, expected one or more folders with train/images and train/masks")
    pairs, val_pairs = gather(config.data, "train"), gather(config.val or config.data, "val")
    if not pairs:
        raise InputError("got no labeled picture in --data, expected DIR/train/images and DIR/train/masks")
    return fit_pairs(config, pairs, val_pairs)


def fit_pairs(config: FitConfig, pairs: list[Pair], val_pairs: list[Pair]) -> Path:
    """Train on `pairs`, with the curve of `val_pairs`, wherever they come from; otherwise as `fit`."""
    _check(config)
    torch.set_num_threads(config.threads)
    world = join_world()
    if min(config.batches) < world.size:
        raise InputError(f"got batches {config.batches} for {world.size} processes, expected a picture or more for each")
    val_pairs = val_pairs[:: max(1, math.ceil(len(val_pairs) / config.val_count))]
    out = config.out or Path("runs") / f"fit-{config.arch}"
    out.mkdir(parents=True, exist_ok=True)
    run = Run(config, world)
    if config.resume:
        run.load(out / "resume.pt", config)
    schedule = Schedule(config)
    samples = Samples(pairs, schedule.sample_sizes(), config.seed, config.conditions)
    batches = [batch[world.rank :: world.size] for batch in schedule.batches_from(run.step)]
    loader = DataLoader(samples, batch_sampler=batches, num_workers=config.workers, pin_memory=world.device.type == "cuda")
    console = Console(stderr=True, quiet=not world.first)
    alike = f"{world.size} x {world.device.type}" if world.size > 1 else world.device.type
    console.print(f"{config.arch}: {len(pairs)} pictures for training, {len(val_pairs)} for the curve, on {alike}")
    last = min(schedule.total, config.stop_at_step or schedule.total)
    saved = started = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=schedule.total, completed=run.step)
        for batch in loader if run.step < last else ():
            loss = train_step(run, schedule, config, batch, world.device)
            progress.update(task, completed=run.step, description=f"loss {loss:.3f}")
            row: dict[str, Any] = {"step": run.step, "loss": loss, "lr": schedule.lr(run.step - 1)}
            if world.first and val_pairs and (run.step % config.val_every == 0 or run.step == schedule.total):
                size = config.sizes[schedule.stage_of[run.step - 1]]
                row |= {"val_iou": pooled_iou(run.average, val_pairs, size), "seconds": time.monotonic() - started}
                progress.console.print(f"step {run.step}: val IoU {row['val_iou']:.4f}")
            run.log.append(row)
            if run.step >= last:
                break
            if world.first and time.monotonic() - saved > 60.0 * config.save_minutes:
                _save(run, config, out)
                saved = time.monotonic()
    if world.first:
        _save(run, config, out)
    leave_world()
    return out / "checkpoint.pt"


def train_step(run: Run, schedule: Schedule, config: FitConfig, batch: list[torch.Tensor], device: torch.device) -> float:
    """Do one step on a batch (image, sky, valid; see `Samples`) and return its loss."""
    image, sky, valid = (tensor.to(device, non_blocking=True) for tensor in batch)
    for group in run.optimizer.param_groups:
        group["lr"] = schedule.lr(run.step)
    run.model.train()
    with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        maps = run.maps(image.contiguous(memory_format=torch.channels_last))
    loss = sky_loss(maps, sky, valid)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(run.model.parameters(), 5.0)
    run.optimizer.step()
    run.step += 1
    run.update_average(config.ema)
    return loss.item()


def pooled_iou(model: nn.Module, pairs: list[Pair], size: int) -> float:
    """Return TP / (TP + FP + FN) over all valid pixels of `pairs` at their own size, for the curve."""
    device = next(model.parameters()).device
    overlap = union = 0
    for pair in pairs:
        labeled = read_pair(pair)
        image = to_tensor(resize_rgb(labeled.image, size, size))[None].to(device)
        with torch.no_grad():
            logits = functional.interpolate(model(image), size=labeled.sky.shape, mode="bilinear", align_corners=False)
        predicted = (logits[0, 0] >= 0.0).cpu().numpy()
        truth = labeled.sky >= 0.5
        overlap += int((predicted & truth & labeled.valid).sum())
        union += int(((predicted | truth) & labeled.valid).sum())
    return overlap / union if union else 1.0


def _save(run: Run, config: FitConfig, out: Path) -> None:
    save_state(run.state(config), out / "resume.pt")
    training = _deciding(config) | ({"before": load_checkpoint(config.init).training} if config.init else {})
    dtype = torch.float16 if config.store == "fp16" else torch.float32
    save_average(run, config.arch, config.sizes[-1], config.weights_license, training, out / "checkpoint.pt", dtype)
    write_text(out / "log.jsonl", "".join(json.dumps(row) + "\n" for row in run.log))
    plot_curves(run.log, out / "curves.png", title=config.arch)


def save_average(
    run: Run, arch: str, size: int, terms: str, training: dict[str, Any], path: Path, dtype: torch.dtype = torch.float32
) -> None:
    """Write the averaged weights of a run as a checkpoint; `training` says in plain values how they were made."""
    weights = {
        key: value.detach().cpu().to(dtype if value.is_floating_point() else value.dtype).contiguous()
        for key, value in run.average.state_dict().items()
    }
    done = {"steps_done": run.step, **training}
    save_checkpoint(Checkpoint(arch, size, weights, terms, done, plan_of(run.average, arch)), path)


def _deciding(config: FitConfig) -> dict[str, Any]:
    """Return the fields that decide the weights, as plain values. Of folders only the names, since places differ."""
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        if field.name not in SLICING:
            value = getattr(config, field.name)
            value = list(value) if isinstance(value, tuple) else value
            value = [item.name if isinstance(item, Path) else item for item in value] if isinstance(value, list) else value
            plain[field.name] = value.name if isinstance(value, Path) else value
    return plain


def _check(config: FitConfig) -> None:
    if config.arch not in MODELS:
        raise InputError(f"got network {config.arch!r}, expected one of {', '.join(MODELS)}")
    unknown = [name for name in config.conditions if name not in CONDITIONS]
    if unknown:
        raise InputError(f"got conditions {', '.join(unknown)}, expected some of {', '.join(CONDITIONS)}")
    if not len(config.sizes) == len(config.steps) == len(config.batches):
        raise InputError(
            f"got {len(config.sizes)} sizes, {len(config.steps)} steps and {len(config.batches)} batches, "
            "expected as many of each"
        )
    if any(size < 32 or size % 32 for size in config.sizes):
        raise InputError(f"got sizes {config.sizes}, expected multiples of 32: the networks halve their input five times")
    if min(*config.steps, *config.batches) < 1:
        raise InputError(f"got steps {config.steps} and batches {config.batches}, expected 1 or more of each")
    if config.workers < 0:
        raise InputError(f"got workers {config.workers}, expected 0 or more")
    if min(config.threads, config.val_every, config.val_count) < 1:
        got = f"threads {config.threads}, val_every {config.val_every}, val_count {config.val_count}"
        raise InputError(f"got {got}, expected 1 or more of each")


def main(config: FitConfig) -> None:
    """Train and print the checkpoint's path."""
    path = fit(config)
    if os.environ.get("RANK", "0") == "0":
        print(path)


if __name__ == "__main__":
    run_command(main, FitConfig, PRESETS)
