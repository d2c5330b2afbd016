"""The training loop that fit, prune and quantization-aware training share: schedule, step, periodic saves, an end in order."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from edge_runtime.errors import GateError, InputError
from edge_runtime.images.dataset import Pair, read_pair
from edge_runtime.images.resize import resize_rgb
from train.data.datasets import to_tensor
from train.engine.losses import sky_loss
from train.engine.presets import FitConfig
from train.engine.run import Run
from train.engine.stopping import Stop, ignore_signals
from train.models import all_maps

Batch = Sequence[Tensor]  # image, sky, valid; see `train.data.datasets.Samples`
MAX_GRADIENT_NORM = 5.0


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

    def batches_from(self, step: int, end: int | None = None) -> list[list[int]]:
        """Return the sample numbers of each batch from `step` up to `end`, by default the end of the run."""
        last = self.total if end is None else min(end, self.total)
        return [list(range(self.first_sample[s], self.first_sample[s + 1])) for s in range(step, last)]

    def lr(self, step: int) -> float:
        """Return the learning rate of `step`: linear warm-up, then cosine to zero or constant."""
        warmup = min(self.config.warmup, self.total // 2)
        if step < warmup:
            return self.config.lr * (step + 1) / warmup
        if self.config.schedule == "constant":
            return self.config.lr
        return self.config.lr * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, self.total - warmup)))


def train_step(run: Run, schedule: Schedule, config: FitConfig, batch: Batch) -> float:
    """Do one step on a batch and return its loss."""
    image, sky, valid = (tensor.to(run.device, non_blocking=True) for tensor in batch)
    run.model.train()
    with torch.autocast(run.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        maps = all_maps(run.model, image.contiguous(memory_format=torch.channels_last))
    weighed = sky_loss(maps, sky, valid, config.loss, config.boundary)
    loss = optimize(run.model, run.optimizer, weighed, schedule.lr(run.step), run.step)
    run.step += 1
    run.update_average(config.ema)
    return loss


def optimize(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, lr: float, step: int) -> float:
    """Move the weights down the gradient of `loss`, its norm clipped, and return the loss.

    Raises `GateError`, before any weight changes, where the loss or a gradient is not finite.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
    value = loss.item()
    if not math.isfinite(value) or not torch.isfinite(norm):
        raise GateError(
            f"got loss {value} and gradient norm {float(norm)} in step {step + 1}, expected finite numbers; "
            "training ended there, and what was saved before is kept. Lower --lr, check the masks, or use --precision fp32"
        )
    optimizer.step()
    return value


@dataclass(frozen=True)
class Pace:
    """What a loop shows, where it starts, and how often it saves."""

    label: str
    total: int
    done: int = 0
    save_minutes: float = math.inf


def run_loop(
    batches: Iterable[Batch],
    step: Callable[[Batch, Stop], float],
    save: Callable[[], None],
    pace: Pace,
    console: Console,
) -> None:
    """Call `step` on every batch, and `save` every few minutes and at the end.

    On Ctrl-C or SIGTERM the current step ends, the state is saved, and `KeyboardInterrupt` is raised.
    """
    saved = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Stop() as stop:
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(pace.label, total=pace.total, completed=pace.done)
            for batch in _readable_errors(batches):
                loss = step(batch, stop)
                progress.update(task, advance=1, description=f"{pace.label}, loss {loss:.3f}")
                if stop.signal is not None:
                    break
                if time.monotonic() - saved > 60.0 * pace.save_minutes:
                    save()
                    saved = time.monotonic()
        save()
    if stop.signal is not None:
        console.print("the state is saved; go on with --resume")
    stop.leave()


def load_batches(
    samples: Dataset[tuple[Tensor, Tensor, Tensor]], batches: list[list[int]], workers: int, device: torch.device
) -> DataLoader[Batch]:
    """Return a loader of `batches` (lists of sample numbers), read by `workers` processes or, for 0, in between."""
    pinned = device.type == "cuda"
    return DataLoader(samples, batch_sampler=batches, num_workers=workers, pin_memory=pinned, worker_init_fn=ignore_signals)


def _readable_errors(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield `batches`; an `InputError` of a worker process loses the traceback that torch puts into its text."""
    try:
        yield from batches
    except InputError as error:
        raise InputError(str(error).rpartition("InputError: ")[2].strip()) from error


def pooled_iou(model: nn.Module, pairs: Iterable[Pair], size: int) -> float:
    """Return TP / (TP + FP + FN) over all valid pixels of `pairs` at their own size, for the curve."""
    device = next(model.parameters()).device
    overlap = union = 0
    for pair in pairs:
        labeled = read_pair(pair)
        image = to_tensor(resize_rgb(labeled.image, size, size))[None].to(device)
        with torch.no_grad():
            logits = functional.interpolate(model(image), size=labeled.sky.shape, mode="bilinear", align_corners=False)
        predicted = (logits[0, 0] >= 0.0).cpu().numpy()
        target = labeled.sky >= 0.5
        overlap += int((predicted & target & labeled.valid).sum())
        union += int(((predicted | target) & labeled.valid).sum())
    return overlap / union if union else 1.0
