"""Prune a trained network: `python train/prune.py PRESET --data DIR [DIR ...]`.

Each round removes channels (train/engine/channel_choice.py), then trains the rest with the loss of train/fit.py on labels mixed
with the prediction of the unpruned network (distillation, see train/distill.py).
The MACs fall by the same factor in every round. The learning rate warms up and falls once in a round.
The checkpoint that comes out holds its widths and loads without the pruning library; `train/fit.py ARCH --init CHECKPOINT`
trains it for longer, on a GPU too.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import nn

from edge_runtime.cores import limit_threads
from edge_runtime.errors import InputError
from edge_runtime.files import write_json
from edge_runtime.images.dataset import Pair
from train.data.datasets import Samples, gather
from train.engine.channel_choice import prune_to
from train.engine.limits import TRAINING_LIMITS, check_limits, check_sizes
from train.engine.loop import Batch, Pace, Schedule, load_batches, pooled_iou, run_loop, train_step
from train.engine.losses import sky_loss, soften_batch
from train.engine.presets import PRUNE_PRESETS, FitConfig, PruneConfig
from train.engine.run import CHECKPOINT_FILE, DEVICE, REMEDY, STATE_FILE, Run, claim_folder, fingerprint, plain_facts, read_state
from train.engine.stopping import Stop
from train.models import MODELS, Checkpoint, all_maps, count_macs, load_checkpoint, plan_of
from train.models.channel_plan import apply_plan

LIMITS = TRAINING_LIMITS | {
    "macs": (1e-6, 0.999999),
    "rounds": (1, 1000),
    "final_steps": TRAINING_LIMITS["steps"],
    "multiple": (1, 1024),
}
WARMUP = 0.1  # share of a round in which the learning rate rises


def prune(config: PruneConfig) -> Path:
    """Prune and train as `config` says; return the path of the checkpoint.

    Raises `InputError` for bad values, no data, a share of MACs that cannot be reached, a folder that holds another run, or a
    resume state of another run, and `GateError` where the loss is not finite.
    """
    start = load_checkpoint(config.checkpoint, config.arch)
    _check(config, start)
    pairs, val_pairs = gather(config.data, "train"), gather(config.data, "val")
    if not pairs:
        raise InputError("got no labeled image in --data, expected DIR/train/images and DIR/train/masks")
    limit_threads(config.threads)
    teacher = load_checkpoint(config.teacher).build() if config.teacher else start.build()
    job = Pruning(config, start, teacher, pairs, val_pairs[:: max(1, -(-len(val_pairs) // config.val_count))])
    if config.resume:
        job.load()
    while not job.finished:
        job.advance()
    return job.out / CHECKPOINT_FILE


class Pruning:
    """A pruning run: the rounds, and the `Run` of the round that is being trained."""

    def __init__(self, config: PruneConfig, start: Checkpoint, teacher: nn.Module, pairs: list[Pair], val: list[Pair]) -> None:
        self.config, self.start, self.teacher, self.val = config, start, teacher.to(DEVICE).eval(), val
        self.size = config.size or start.size
        self.full_macs = count_macs(MODELS[start.arch](), self.size)
        self.lengths = [config.steps] * (config.rounds - 1) + [config.final_steps]
        self.begins = [0, *np.cumsum(self.lengths).tolist()]
        self.samples = Samples(pairs, np.full(self.begins[-1] * config.batch, self.size), config.seed, config.conditions)
        self.facts = json.loads(json.dumps(plain_facts(config)))
        self.state_facts = self.facts | {"content of --data": fingerprint(pairs, (config.checkpoint, config.teacher))}
        self.out = config.out or Path("runs") / f"prune-{start.name}"
        claim_folder(self.out, config.resume, config.overwrite)
        self.console = Console(stderr=True)
        self.model = start.build()
        self.first_macs = self.macs = count_macs(self.model, self.size)
        self.round, self.run = 0, None  # type: tuple[int, Run | None]
        self.history = [self._row(0, self.model)]

    @property
    def step(self) -> int:
        """Steps done over all rounds."""
        return self.begins[self.round] + (self.run.step if self.run else 0)

    @property
    def finished(self) -> bool:
        """Whether the last step, or the one to stop at, is done."""
        return self.step >= min(self.begins[-1], self.config.stop_at_step or self.begins[-1])

    def advance(self) -> None:
        """Do the rest of the current round, pruning first unless the round was resumed."""
        if self.run is None:
            self._prune()
            self.run = self._start_run()
        self._train(self.run)
        self._end_round()

    def _prune(self) -> None:
        share = (self.round + 1) / self.config.rounds
        target = self.first_macs ** (1 - share) * (self.config.macs * self.full_macs) ** share
        model = self.model.cpu()
        self._gradients(model)
        prune_to(model, self.size, target, self.config.multiple)
        self.macs = count_macs(model, self.size)
        self.history.append(self._row(self.round + 1, model) | {"trained": False})
        self.console.print(f"round {self.round + 1}: {self.macs / 1e6:.0f} million MACs, {self.macs / self.full_macs:.1%}")

    def _gradients(self, model: nn.Module) -> None:
        """Leave the mean gradient of 32 small batches in `grad`."""
        model.eval()
        sums = [torch.zeros_like(parameter) for parameter in model.parameters()]
        drawn = np.random.default_rng((self.config.seed, self.round)).integers(len(self.samples), size=(32, 4))
        for rows in track(drawn, "importance", console=self.console):
            image, sky, valid = (torch.stack(parts) for parts in zip(*(self.samples[int(row)] for row in rows), strict=True))
            model.zero_grad(set_to_none=True)
            sky_loss(all_maps(model, image), sky, valid).backward()
            for total, parameter in zip(sums, model.parameters(), strict=True):
                if parameter.grad is not None:
                    total += parameter.grad
        for total, parameter in zip(sums, model.parameters(), strict=True):
            parameter.grad = total / len(drawn)

    def _fit_config(self) -> FitConfig:
        length = self.lengths[self.round]
        return FitConfig(
            self.start.arch, sizes=(self.size,), steps=(length,), batches=(self.config.batch,), lr=self.config.lr,
            warmup=round(WARMUP * length), ema=self.config.ema, seed=self.config.seed, precision=self.config.precision,
        )  # fmt: skip

    def _start_run(self) -> Run:
        return Run(self._fit_config(), self.model.train())

    def _train(self, run: Run) -> None:
        config, length, begin = self._fit_config(), self.lengths[self.round], self.begins[self.round]
        schedule, batch = Schedule(config), self.config.batch
        last = min(begin + length, self.config.stop_at_step or self.begins[-1])
        numbers = [list(range(s * batch, (s + 1) * batch)) for s in range(begin + run.step, last)]

        def step(batch: Batch, _stop: Stop) -> float:
            batch = [tensor.to(run.device) for tensor in batch]
            batch = soften_batch(batch, self.teacher, self.config.distill, self.config.precision == "bf16")
            loss = train_step(run, schedule, config, batch)
            run.log.append({"step": run.step, "loss": loss})
            if run.step == length:
                self.history.append(self._row(self.round + 1, run.average))
            return loss

        pace = Pace(f"round {self.round + 1}", length, run.step, self.config.save_minutes)
        loader = load_batches(self.samples, numbers, self.config.workers, run.device)
        run_loop(loader, step, lambda: self._save(run), pace, self.console)

    def _end_round(self) -> None:
        if self.run is not None and self.run.step == self.lengths[self.round]:
            self.model, self.run = self.run.average, None
            self.round += 1

    def _row(self, number: int, model: nn.Module) -> dict[str, Any]:
        iou = pooled_iou(model.eval(), self.val, self.size) if self.val else None
        if iou is not None:
            self.console.print(f"after round {number}: val IoU {iou:.4f}")
        return {"round": number, "macs": self.macs, "macs_left": self.macs / self.full_macs, "val_iou": iou, "trained": True}

    def _save(self, run: Run) -> None:
        plan = plan_of(run.model, self.start.arch)
        run.save(self.out / STATE_FILE, self.state_facts, round=self.round, plan=plan, history=self.history)
        training = {"pruned": self.facts, "history": self.history, "before": self.start.training}
        run.save_average(self.start.arch, self.size, self.start.weights_license, training, self.out / CHECKPOINT_FILE)
        write_json(self.out / "rounds.json", self.history)

    def load(self) -> None:
        """Take the state of an earlier part of the same run."""
        path = self.out / STATE_FILE
        state = read_state(path, self.state_facts, {"round": int, "plan": dict, "history": list})
        if not 0 <= state["round"] < self.config.rounds:
            raise InputError(f"got round {state['round']} in {path}, expected one of {self.config.rounds}. {REMEDY}")
        self.round, self.history = state["round"], state["history"]
        self.model = apply_plan(MODELS[self.start.arch](), state["plan"])
        self.run = self._start_run()
        self.run.load(state, path, self.lengths[self.round])
        self.macs = count_macs(self.run.model, self.size)
        self._end_round()


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
    check_sizes((config.size or start.size,))
    check_limits(config, LIMITS)
    if config.teacher is not None and not config.distill:
        raise InputError("got --teacher with --distill 0, which leaves it out; drop one of them")


def main(config: PruneConfig) -> None:
    """Prune and print the checkpoint's path with what is left of each part."""
    path = prune(config)
    checkpoint = load_checkpoint(path)
    left = "  ".join(f"{name} {share:.0%}" for name, share in parts_left(checkpoint))
    print(f"{path}  {checkpoint.name}\nparameters left: {left}")


if __name__ == "__main__":
    run_command(main, PruneConfig, PRUNE_PRESETS)
