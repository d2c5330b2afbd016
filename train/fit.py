"""Train a network: `python train/fit.py PRESET --data DIR [DIR ...]`."""

from __future__ import annotations
from edge_runtime.cli import run_command

import dataclasses
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from edge_runtime.cores import limit_threads
from edge_runtime.errors import InputError
from edge_runtime.files import write_text
from edge_runtime.images.dataset import Pair, read_pair
from train.data.conditions import CONDITIONS
from train.data.corrections import correct
from train.data.datasets import Samples, gather
from train.data.resident import keep_in_memory
from train.data.teachers import teachers_of
from train.engine.curves import plot_curves
from train.engine.limits import TRAINING_LIMITS, check_limits, check_sizes
from train.engine.loop import Batch, Pace, Schedule, load_batches, pooled_iou, run_loop, train_step
from train.engine.presets import PRESETS, FitConfig
from train.engine.run import CHECKPOINT_FILE, STATE_FILE, Run, claim_folder, fingerprint, plain_facts, read_state
from train.engine.stopping import Stop
from train.models import add_network, load_checkpoint, plain_name


def fit(config: FitConfig) -> Path:
    """Train as `config` says and return the path of the checkpoint.

    Raises `InputError` for bad values, no data, a folder that holds another run, or a resume state of another run, and
    `GateError` where the loss is not finite.
    """
    if not config.data:
        raise InputError("got no --data, expected one or more folders with train/images and train/masks")
    pairs, val_pairs = gather(config.data, "train", config.sources), gather(config.val or config.data, "val")
    if not pairs:
        raise InputError("got no labeled image in --data, expected DIR/train/images and DIR/train/masks")
    return fit_pairs(config, correct(pairs, config.corrections), correct(val_pairs, config.corrections))


def fit_pairs(config: FitConfig, pairs: list[Pair], val_pairs: list[Pair]) -> Path:
    """Train on `pairs`, with the curve of `val_pairs`, wherever they come from; otherwise as `fit`."""
    _check(config)
    config = dataclasses.replace(config, arch=add_network(config.arch))
    if config.only_sky:
        pairs = [pair for pair in pairs if (read_pair(pair).sky >= 0.5).any()]
        if not pairs:
            raise InputError("got no image with sky in --data, expected some for --only-sky; leave it out")
    if config.epochs is not None:
        config = dataclasses.replace(config, steps=(config.epochs * math.ceil(len(pairs) / config.batches[0]),))
    limit_threads(config.threads)
    val_pairs = val_pairs[:: max(1, math.ceil(len(val_pairs) / config.val_count))]
    out = config.out or Path("runs") / f"fit-{plain_name(config.arch)}"
    facts = plain_facts(config)
    state_facts = facts | {"content of --data": fingerprint(pairs)}
    run, schedule = Run(config), Schedule(config)
    claim_folder(out, config.resume, config.overwrite)
    if config.resume:
        run.load(read_state(out / STATE_FILE, state_facts), out / STATE_FILE, schedule.total)
    console = Console(stderr=True)
    console.print(f"{config.arch}: {len(pairs)} images for training, {len(val_pairs)} for the curve, on {run.device.type}")

    def step(batch: Batch, stop: Stop) -> float:
        loss = train_step(run, schedule, config, batch)
        row: dict[str, Any] = {"step": run.step, "loss": loss, "lr": schedule.lr(run.step - 1)}
        if val_pairs and (run.step % config.val_every == 0 or run.step == schedule.total):
            size = config.sizes[schedule.stage_of[run.step - 1]]
            iou = pooled_iou(run.average, stop.until_asked(val_pairs), size)
            if stop.signal is None:
                row["val_iou"] = iou
                console.print(f"step {run.step}: val IoU {iou:.4f}")
        run.log.append(row)
        return loss

    def save() -> None:
        run.save(out / STATE_FILE, state_facts)
        origin: dict[str, Any] = {"sources_seen": sorted({pair.source for pair in pairs}), "teachers": teachers_of(config.data)}
        origin |= {"before": load_checkpoint(config.init).training} if config.init else {}
        dtype = torch.float16 if config.store == "fp16" else torch.float32
        run.save_average(config.arch, config.sizes[-1], config.weights_license, facts | origin, out / CHECKPOINT_FILE, dtype)
        write_text(out / "log.jsonl", "".join(json.dumps(row) + "\n" for row in run.log))
        plot_curves(run.log, out / "curves.png", title=config.arch)

    pace = Pace("training", schedule.total, run.step, config.save_minutes)
    run_loop(_batches(config, schedule, pairs, run), step, save, pace, console)
    return out / CHECKPOINT_FILE


def _batches(config: FitConfig, schedule: Schedule, pairs: list[Pair], run: Run) -> Iterable[Batch]:
    """Return the batches from the run's next step on."""
    if not config.resident:
        samples = Samples(pairs, schedule.sample_sizes(), config.seed, config.conditions, config.balance)
        return load_batches(samples, schedule.batches_from(run.step, config.stop_at_step), config.workers, run.device)
    images = keep_in_memory(pairs, config.resident, run.device, config.balance, config.conditions)
    last = schedule.total if config.stop_at_step is None else min(config.stop_at_step, schedule.total)

    def views(step: int) -> Batch:
        return images.views(config.sizes[schedule.stage_of[step]], int(schedule.batch_of[step]), config.seed, step)

    return (views(step) for step in range(run.step, last))


def _check(config: FitConfig) -> None:
    unknown = [name for name in config.conditions if name not in CONDITIONS]
    if unknown:
        raise InputError(f"got conditions {', '.join(unknown)}, expected some of {', '.join(CONDITIONS)}")
    if not 0 < len(config.sizes) == len(config.steps) == len(config.batches):
        raise InputError(
            f"got {len(config.sizes)} sizes, {len(config.steps)} steps and {len(config.batches)} batches, "
            "expected as many of each, 1 or more"
        )
    if config.epochs is not None and len(config.sizes) > 1:
        raise InputError(f"got --epochs with {len(config.sizes)} stages, expected one stage; set --steps instead")
    check_sizes(config.sizes)
    check_limits(config, TRAINING_LIMITS)


def main(config: FitConfig) -> None:
    """Train and print the checkpoint's path."""
    print(fit(config))


if __name__ == "__main__":
    run_command(main, FitConfig, PRESETS)
