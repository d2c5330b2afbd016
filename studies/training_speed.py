"""Training speed on this machine: `python studies/training_speed.py` times steps in fp32, bf16 and compiled.

Variants of a network take turns, so that other work on the machine slows all of them alike. Their ratio is what counts.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_runtime.benchmark.machine import describe_machine
from edge_runtime.errors import InputError
from studies.harness import RESULTS, Figures, Study, StudyConfig, require, table
from train.engine.loop import Schedule, train_step
from train.engine.parallel import World
from train.engine.presets import PRESETS, FitConfig
from train.engine.run import Run

VARIANTS: dict[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "fp32, compiled": {"precision": "fp32", "compile": True},
    "bf16, compiled": {"precision": "bf16", "compile": True},
}


@dataclass(frozen=True, kw_only=True)
class TrainingSpeedConfig(StudyConfig):
    """Time training steps on random images: forward, loss, backward, optimizer; no decoding, no augmentation."""

    networks: tuple[str, ...] = ("unet_lite", "unet_lite_s", "u2netp")
    """Networks, each at the first input size of its preset."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """Precisions, with and without torch.compile."""
    batch: int = 8
    """Images in a step."""
    rounds: int = 8
    """Timed steps of each variant, which take turns; the first two steps of each are not timed."""
    threads: int = 1
    """CPU threads of torch."""
    out: Path = RESULTS / "training_speed"


def measure(config: TrainingSpeedConfig) -> Iterator[tuple[str, Figures]]:
    """Yield, for each network, images per second of every variant with the raw step times."""
    require(config, 1, "batch", "rounds", "threads")
    for flag, given, known in (("networks", config.networks, PRESETS), ("variants", config.variants, VARIANTS)):
        unknown = [name for name in given if name not in known]
        if unknown:
            raise InputError(f"got --{flag} {', '.join(unknown)}, expected some of {', '.join(known)}")
    torch.set_num_threads(config.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for network in config.networks:
        size = PRESETS[network].sizes[0]
        steps = {name: _stepper(network, size, config.batch, VARIANTS[name], device) for name in config.variants}
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for round_ in range(config.rounds + 2):
            for name, step in steps.items():
                start = time.perf_counter()
                step()
                if device.type == "cuda":
                    torch.cuda.synchronize()
                if round_ >= 2:
                    seconds[name].append(round(time.perf_counter() - start, 5))
        rows = [
            {"network": network, "size": size, "variant": name, "images_per_s": config.batch / float(np.median(taken))}
            | {"step_s": taken}
            for name, taken in seconds.items()
        ]
        facts = {"batch": config.batch, "threads": config.threads, "device": device.type, "torch": torch.__version__}
        yield network, {"machine": dataclasses.asdict(describe_machine()), **facts, "rows": rows}


def _stepper(network: str, size: int, batch: int, variant: dict[str, Any], device: torch.device) -> Callable[[], None]:
    config = FitConfig(network, sizes=(size,), steps=(1_000_000,), batches=(batch,), **variant)
    run, schedule = Run(config, World(0, 1, device)), Schedule(config)
    draw = torch.Generator().manual_seed(0)
    image = torch.rand(batch, 3, size, size, generator=draw) * 2 - 1
    sky = (torch.rand(batch, 1, size, size, generator=draw) > 0.5).float()
    tensors = [image, sky, torch.ones_like(sky)]

    def step() -> None:
        train_step(run, schedule, config, tensors, device)

    return step


def page(figures: Figures) -> list[str]:
    """Return the table: images per second, and the gain over fp32 of the same network."""
    full = {row["network"]: row["images_per_s"] for row in figures["rows"] if row["variant"] == "fp32"}
    rows = [
        [
            row["network"],
            row["size"],
            row["variant"],
            f"{row['images_per_s']:.1f}",
            f"{row['images_per_s'] / full[row['network']]:.2f}" if row["network"] in full else None,
        ]
        for row in figures["rows"]
    ]
    about = f"On {figures['machine']['name']} ({figures['device']}), {figures['threads']} threads, torch {figures['torch']}, "
    about += f"{figures['batch']} images a step; median of the steps."
    return [about, "", *table(["network", "input", "variant", "images/s", "gain over fp32"], "lrlrr", rows)]


STUDY = Study("training_speed", "Training speed", TrainingSpeedConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
