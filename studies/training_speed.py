"""Training speed on this machine: `python studies/training_speed.py` times steps in fp32, bf16 and compiled.

Variants of a network take turns, so that whatever else the machine does hits all alike; what counts is their ratio.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_runtime.benchmark.machine import describe_machine
from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import write_json
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


@dataclass(frozen=True)
class Config:
    """Time training steps on random pictures: forward, loss, backward, optimizer; no decoding, no augmentation."""

    networks: tuple[str, ...] = ("unet_lite", "unet_lite_s", "u2netp")
    """Networks, each at the first input size of its preset."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """Precisions, and with torch.compile."""
    batch: int = 8
    """Pictures in a step."""
    rounds: int = 8
    """Timed steps of each variant, which take turns; the first two steps of each are not timed."""
    threads: int = 1
    """CPU threads of torch."""
    out: Path = Path("results/training_speed/speed.json")
    """Result file."""


def measure(config: Config) -> dict[str, Any]:
    """Return images per second of every network and variant, with raw step times.

    Raises
    ------
    InputError
        An unknown network or variant, or a count below 1.
    """
    unknown = [name for name in config.networks if name not in PRESETS] + [n for n in config.variants if n not in VARIANTS]
    if unknown or min(config.batch, config.rounds, config.threads) < 1:
        known = f"networks {', '.join(PRESETS)}; variants {', '.join(VARIANTS)}; counts of 1 or more"
        raise InputError(f"got {', '.join(unknown) or config}, expected {known}")
    torch.set_num_threads(config.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = []
    for network in config.networks:
        size = PRESETS[network].sizes[0]
        steps = {name: _stepper(network, size, config.batch, VARIANTS[name], device) for name in config.variants}
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for turn in range(config.rounds + 2):
            for name, step in steps.items():
                start = time.perf_counter()
                step()
                if device.type == "cuda":
                    torch.cuda.synchronize()
                if turn >= 2:
                    seconds[name].append(round(time.perf_counter() - start, 5))
        rows += [
            {"network": network, "size": size, "variant": name, "images_per_s": config.batch / float(np.median(taken))}
            | {"step_s": taken}
            for name, taken in seconds.items()
        ]
    facts = {"batch": config.batch, "threads": config.threads, "device": device.type, "torch": torch.__version__}
    return {"machine": dataclasses.asdict(describe_machine("", None)), **facts, "rows": rows}


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


def markdown(result: dict[str, Any]) -> str:
    """Return the table: images per second, and the gain over fp32 of the same network."""
    lines = ["| network | input | variant | images/s | gain over fp32 |", "|---|---|---|---:|---:|"]
    for row in result["rows"]:
        base = next((each for each in result["rows"] if each["network"] == row["network"] and each["variant"] == "fp32"), None)
        gain = f"{row['images_per_s'] / base['images_per_s']:.2f}" if base else "-"
        lines.append(f"| {row['network']} | {row['size']} | {row['variant']} | {row['images_per_s']:.1f} | {gain} |")
    return "\n".join(lines) + "\n"


def main(config: Config) -> None:
    """Measure, write the result file and print the table."""
    result = measure(config)
    config.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(config.out, result)
    print(markdown(result), end="")


if __name__ == "__main__":
    run_command(main, Config)
