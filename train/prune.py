"""Prune a trained network: `python train/prune.py PRESET --data DIR [DIR ...]`.

Each round removes channels (train/engine/channel_choice.py), then trains the rest with the loss of train/fit.py on labels mixed
with the prediction of the unpruned network (distillation, see train/distill.py).
The MACs fall by the same factor in every round. The learning rate warms up and falls once in a round.
The checkpoint that comes out holds its widths and loads without the pruning library; `train/fit.py ARCH --init CHECKPOINT`
trains it for longer, on a GPU too.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import nn
from torch.utils.data import DataLoader

from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import write_json
from edge_runtime.images.dataset import Pair
from train.data.datasets import Samples, gather
from train.engine.channel_choice import Importance, Rule, prune_to
from train.engine.losses import sky_loss
from train.engine.parallel import World
from train.engine.presets import FitConfig
from train.fit import Run, Schedule, pooled_iou, save_average, train_step
from train.models import MODELS, Checkpoint, count_macs, load_checkpoint, plan_of, save_state
from train.models.channel_plan import apply_plan

SLICING = {"out", "resume", "stop_at_step", "save_minutes", "threads", "workers"}  # as in train/fit.py
WARMUP = 0.1  # share of a round in which the learning rate rises


@dataclass(frozen=True)
class PruneConfig:
    """Prune a checkpoint in rounds, each followed by training with distillation."""

    checkpoint: Path
    """Checkpoint to prune; it is the teacher too, unless --teacher names another."""
    data: tuple[Path, ...] = ()
    """Folders in the layout of edge_runtime/images/dataset.py; their `train` splits train, `val` makes the curve."""
    macs: float = 0.15
    """What is to be left of the MACs of the network as its builder makes it, 0 to 1, at --size."""
    size: int | None = None
    """Side of the square input in pixels. Default: the checkpoint's own."""
    rounds: int = 4
    """How often to prune and train."""
    steps: int = 200
    """Optimizer steps of every round but the last."""
    final_steps: int = 1000
    """Optimizer steps of the last round."""
    batch: int = 8
    """Pictures in a step."""
    importance: Importance = "taylor"
    """What makes a channel important, see train/engine/channel_choice.py. Straight after a quarter of the MACs of unet_lite
    was pruned, val IoU (0.940 before) was 0.852 by taylor, 0.833 by fisher, 0.19 by l1, 0.16 by l2 and by bn."""
    power: float = 1.0
    """Importance is divided by the MACs saved to this power."""
    multiple: int = 4
    """Widths that are left are multiples of this. u2netp at 15 % of its MACs and 224 pixels is, in onnxruntime fp32 on one x86
    core with AVX-512, 2.4 times as fast as the whole with multiples of 2, 3.2 of 4, 3.4 of 8."""
    weights: dict[str, float] = field(default_factory=dict)
    """Module -> factor on its importance, such as decoder.0 0.5 to prune De1 harder."""
    teacher: Path | None = None
    """Checkpoint whose opinion is mixed into the labels."""
    distill: float = 0.5
    """Share of the teacher in the target of a labeled pixel, 0 to 1; void pixels get its opinion alone."""
    lr: float = 5e-4
    """Peak learning rate of AdamW in each round."""
    ema: float = 0.99
    """Decay of the averaged weights, which are the ones that are saved and pruned further."""
    conditions: tuple[str, ...] = ()
    """Conditions that are put on some of the views, see train/fit.py."""
    seed: int = 0
    """Seed of every sample."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 runs the forward pass under autocast."""
    threads: int = 1
    """CPU threads of torch."""
    workers: int = 0
    """Processes that prepare the pictures; 0 does it in between."""
    val_count: int = 120
    """Pictures of the validation split that score the end of a round."""
    save_minutes: float = 3.0
    """Minutes between resume states."""
    stop_at_step: int | None = None
    """Save the resume state at this step and leave, as if killed there."""
    resume: bool = False
    """Go on from resume.pt in the run folder, with the same config."""
    out: Path | None = None
    """Run folder (checkpoint.pt, resume.pt, rounds.json). Default: runs/prune-ARCH."""


RELEASED = Path(__file__).resolve().parent.parent / "models"
PRESETS: dict[str, PruneConfig] = {
    "u2netp": PruneConfig(RELEASED / "u2netp" / "checkpoint.pt", macs=0.15, batch=8, multiple=8, precision="bf16"),
    # As many MACs as unet_lite_s has at its 192 pixels: which of the two is better?
    "unet_lite_s": PruneConfig(RELEASED / "unet_lite" / "checkpoint.pt", macs=0.54, size=192, rounds=3, batch=16),
}


def prune(config: PruneConfig) -> Path:
    """Prune and train as `config` says; return the path of the checkpoint.

    Raises
    ------
    InputError
        Bad values, no data, a target that cannot be reached, or a resume state of another run.
    """
    start = load_checkpoint(config.checkpoint)
    _check(config, start)
    pairs, val_pairs = gather(config.data, "train"), gather(config.data, "val")
    if not pairs:
        raise InputError("got no labeled picture in --data, expected DIR/train/images and DIR/train/masks")
    torch.set_num_threads(config.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher = load_checkpoint(config.teacher).build().to(device) if config.teacher else start.build().to(device)
    job = Pruning(config, start, teacher, pairs, val_pairs[:: max(1, -(-len(val_pairs) // config.val_count))], device)
    if config.resume:
        job.load()
    while not job.finished:
        job.advance()
    return job.out / "checkpoint.pt"


class Pruning:
    """A pruning run and all that changes in it."""

    def __init__(
        self, config: PruneConfig, start: Checkpoint, teacher: nn.Module, pairs: list[Pair], val: list[Pair], device: torch.device
    ) -> None:
        self.config, self.start, self.teacher, self.val, self.device = config, start, teacher.eval(), val, device
        self.size = config.size or start.size
        self.full_macs = count_macs(MODELS[start.arch](), self.size)
        lengths = [config.steps] * (config.rounds - 1) + [config.final_steps]
        self.ends = np.cumsum(lengths).tolist()
        self.samples = Samples(pairs, np.full(self.ends[-1] * config.batch, self.size), config.seed, config.conditions)
        self.out = config.out or Path("runs") / f"prune-{start.arch}"
        self.out.mkdir(parents=True, exist_ok=True)
        self.console = Console(stderr=True)
        self.model = start.build()
        self.macs = count_macs(self.model, self.size)
        self.first_macs = self.macs
        self.step, self.history = 0, [self._row(0, self.model)]
        self.saved = time.monotonic()
        self.run: Run | None = None

    @property
    def finished(self) -> bool:
        """Whether the last step, or the one to stop at, is done."""
        return self.step >= min(self.ends[-1], self.config.stop_at_step or self.ends[-1])

    def advance(self) -> None:
        """Do the rest of the round that the next step belongs to; prune first where it is the round's first step."""
        number = next(index for index, end in enumerate(self.ends) if self.step < end)
        begin = self.ends[number - 1] if number else 0
        if self.run is None or self.step == begin:
            self._prune(number)
            self.run = self._start_run(number)
        self._train(number, begin)
        if self.step == self.ends[number]:
            self.model = self.run.average
            self.history.append(self._row(number + 1, self.model))
            write_json(self.out / "rounds.json", self.history)
        self._save()

    def _prune(self, number: int) -> None:
        share = (number + 1) / self.config.rounds
        target = self.first_macs ** (1 - share) * (self.config.macs * self.full_macs) ** share
        rule = Rule(self.config.importance, self.config.power, self.config.multiple, self.config.weights)
        model = self.model.cpu()
        prune_to(model, self.size, target, rule, lambda pruned: self._gradients(pruned, number))
        self.macs = count_macs(model, self.size)
        self.history.append(self._row(number + 1, model) | {"trained": False})
        self.console.print(f"round {number + 1}: {self.macs / 1e6:.0f} million MACs, {self.macs / self.full_macs:.1%}")

    def _gradients(self, model: nn.Module, number: int) -> None:
        """Leave the mean gradient, for fisher the mean of its squares, of 32 small batches in `grad`."""
        model.eval()
        squared = self.config.importance == "fisher"
        sums = [torch.zeros_like(parameter) for parameter in model.parameters()]
        drawn = np.random.default_rng((self.config.seed, number)).integers(len(self.samples), size=(32, 4))
        for rows in track(drawn, "importance", console=self.console):
            image, sky, valid = (torch.stack(parts) for parts in zip(*(self.samples[int(row)] for row in rows), strict=True))
            model.zero_grad(set_to_none=True)
            sky_loss(model.forward_all(image), sky, valid).backward()  # type: ignore[operator]
            for total, parameter in zip(sums, model.parameters(), strict=True):
                if parameter.grad is not None:
                    total += parameter.grad.square() if squared else parameter.grad
        for total, parameter in zip(sums, model.parameters(), strict=True):
            parameter.grad = total / len(drawn)

    def _fit_config(self, number: int) -> FitConfig:
        length = self.ends[number] - (self.ends[number - 1] if number else 0)
        return FitConfig(
            self.start.arch, sizes=(self.size,), steps=(length,), batches=(self.config.batch,), lr=self.config.lr,
            warmup=round(WARMUP * length), ema=self.config.ema, seed=self.config.seed, precision=self.config.precision,
        )  # fmt: skip

    def _start_run(self, number: int) -> Run:
        return Run(self._fit_config(number), World(0, 1, self.device), self.model.train())

    def _train(self, number: int, begin: int) -> None:
        run, config = self.run, self._fit_config(number)
        assert run is not None
        last = min(self.ends[number], self.config.stop_at_step or self.ends[number])
        schedule = Schedule(config)
        batches = [list(range(s * self.config.batch, (s + 1) * self.config.batch)) for s in range(self.step, last)]
        loader = DataLoader(self.samples, batch_sampler=batches, num_workers=self.config.workers)
        for batch in track(loader, f"round {number + 1}", total=len(batches), console=self.console):
            run.step = self.step - begin
            train_step(run, schedule, config, self._soften(batch), self.device)
            self.step += 1
            if time.monotonic() - self.saved > 60.0 * self.config.save_minutes:
                self._save()

    def _soften(self, batch: list[torch.Tensor]) -> list[torch.Tensor]:
        """Mix the teacher's opinion into the labels, and put it alone where there is none; see train/distill.py."""
        image, sky, valid = (tensor.to(self.device) for tensor in batch)
        if self.config.distill == 0.0:
            return [image, sky, valid]
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            opinion = torch.sigmoid(self.teacher(image.contiguous(memory_format=torch.channels_last)).float())
        share = self.config.distill
        return [image, torch.where(valid > 0, (1.0 - share) * sky + share * opinion, opinion), torch.ones_like(valid)]

    def _row(self, number: int, model: nn.Module) -> dict[str, Any]:
        iou = pooled_iou(model.eval(), self.val, self.size) if self.val else None
        if iou is not None:
            self.console.print(f"after round {number}: val IoU {iou:.4f}")
        return {"round": number, "macs": self.macs, "macs_left": self.macs / self.full_macs, "val_iou": iou, "trained": True}

    def _deciding(self) -> dict[str, Any]:
        plain = json.loads(json.dumps(dataclasses.asdict(self.config), default=lambda path: path.name))
        return {key: value for key, value in plain.items() if key not in SLICING}

    def _save(self) -> None:
        assert self.run is not None
        plan = plan_of(self.run.model, self.start.arch)
        state = {"deciding": self._deciding(), "step": self.step, "plan": plan, "run": self.run.state(self._fit_config(0))}
        save_state(state | {"history": self.history}, self.out / "resume.pt")
        training = {"pruned": self._deciding(), "history": self.history, "before": self.start.training}
        save_average(self.run, self.start.arch, self.size, self.start.weights_license, training, self.out / "checkpoint.pt")
        self.saved = time.monotonic()

    def load(self) -> None:
        """Take the state of an earlier part of the same run."""
        path = self.out / "resume.pt"
        if not path.is_file():
            raise InputError(f"got --resume without {path}; start the run without --resume")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            changed = [key for key, value in self._deciding().items() if state["deciding"].get(key) != value]
            self.step, self.history = state["step"], state["history"]
        except Exception as error:  # torch raises many kinds for a damaged file; all mean the same to the user
            raise InputError(f"cannot read {path}: {error}; start the run again without --resume") from error
        if changed:
            raise InputError(f"--resume with another {', '.join(changed)} than {path} was made with; use the same or a new --out")
        self.model = apply_plan(MODELS[self.start.arch](), state["plan"])
        number = next((index for index, end in enumerate(self.ends) if self.step < end), len(self.ends) - 1)
        self.run = self._start_run(number)
        for part in ("model", "average", "optimizer"):
            getattr(self.run, part).load_state_dict(state["run"][part])
        self.macs = count_macs(self.run.model, self.size)
        if self.step in self.ends:
            self.model = self.run.average


def parts_left(checkpoint: Checkpoint) -> Iterator[tuple[str, float]]:
    """Yield the name of each part of the network, and what is left of its convolutions' weights, 0 to 1."""
    full, model = MODELS[checkpoint.arch](), checkpoint.build()
    for name, part in model.named_children():
        parts = part.named_children() if isinstance(part, nn.ModuleList) else [("", part)]
        for number, each in parts:
            path = f"{name}.{number}".rstrip(".")
            before = sum(parameter.numel() for parameter in full.get_submodule(path).parameters())
            if before:  # pooling has none
                yield path, sum(parameter.numel() for parameter in each.parameters()) / before


def _check(config: PruneConfig, start: Checkpoint) -> None:
    size = config.size or start.size
    if size < 32 or size % 32:
        raise InputError(f"got --size {size}, expected a multiple of 32: the networks halve their input five times")
    if not 0.0 < config.macs < 1.0 or not 0.0 <= config.distill <= 1.0:
        raise InputError(f"got --macs {config.macs} and --distill {config.distill}, expected shares between 0 and 1")
    if min(config.rounds, config.steps, config.final_steps, config.batch, config.multiple, config.threads, config.val_count) < 1:
        raise InputError(f"got {config}, expected counts of 1 or more")
    if config.teacher is not None and not config.distill:
        raise InputError("got --teacher with --distill 0, which leaves it out; drop one of them")


def main(config: PruneConfig) -> None:
    """Prune and print the checkpoint's path with what is left of each part."""
    path = prune(config)
    checkpoint = load_checkpoint(path)
    left = "  ".join(f"{name} {share:.0%}" for name, share in parts_left(checkpoint))
    print(f"{path}  {checkpoint.name}\nparameters left: {left}")


if __name__ == "__main__":
    run_command(main, PruneConfig, PRESETS)
