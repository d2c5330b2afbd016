"""The state of a training run: weights, their average, optimizer, log; how it is saved, and how a later call takes it up."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_runtime.errors import GateError, InputError
from edge_runtime.images.dataset import Pair
from train.engine.presets import FitConfig
from train.models import MODELS, Checkpoint, load_checkpoint, plan_of, save_checkpoint, save_tensors
from train.models.checkpoint import check_finite, check_types, load_tensors
from train.models.unet_lite import UNetLite

# Fields that say how a run is sliced, watched and stored; all others decide its weights and must not change on --resume.
SLICING = {"val", "out", "resume", "overwrite", "stop_at_step", "save_minutes", "threads", "workers", "store"}
STATE_TYPES: dict[str, type] = {"facts": dict, "step": int, "model": dict, "average": dict, "optimizer": dict, "log": list}
REMEDY = "Start the run again with --overwrite"
HASHED_BYTES = 1 << 16  # of each file, beside its size: enough to tell two compressed images apart
STATE_FILE, CHECKPOINT_FILE = "resume.pt", "checkpoint.pt"
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Run:
    """Everything of a run that changes with its steps; it starts from `model`, or from the weights that the config names."""

    def __init__(self, config: FitConfig, model: nn.Module | None = None) -> None:
        torch.manual_seed(config.seed)
        model = _initial(config) if model is None else model
        self.device = DEVICE
        self.model = model.to(DEVICE).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.model).eval()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
        self.step = 0
        self.log: list[dict[str, Any]] = []

    def save(self, path: Path, facts: dict[str, Any], **more: Any) -> None:
        """Write the whole state; `facts` are the plain values that decide every later weight, see `facts_of`.

        Raises `GateError`, and writes nothing, where a weight is not finite.
        """
        for name, value in self.average.state_dict().items():
            if not torch.isfinite(value).all():
                raise GateError(f"{name} holds NaN or infinity after step {self.step}; nothing was saved. Lower --lr")
        parts = {part: getattr(self, part).state_dict() for part in ("model", "average", "optimizer")}
        save_tensors({"facts": facts, "step": self.step, "log": self.log, **parts, **more}, path)

    def load(self, state: dict[str, Any], path: Path, steps: int) -> None:
        """Take a state that `read_state` returned, of a run of `steps` steps."""
        step, log = state["step"], state["log"]
        if not 0 <= step <= steps:
            raise InputError(f"got step {step} in {path}, expected at most {steps}, the length of the run. {REMEDY}")
        if not all(isinstance(row, dict) and isinstance(row.get("loss"), float) for row in log) or len(log) != step:
            raise InputError(
                f"got a log of {len(log)} rows in {path}, expected a row with a loss for each of {step} steps. {REMEDY}"
            )
        try:
            for part in ("model", "average"):
                check_finite(state[part], path, REMEDY)
                getattr(self, part).load_state_dict(state[part])
            self.optimizer.load_state_dict(state["optimizer"])
            self._check_optimizer()
        except InputError:
            raise
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise InputError(f"the state in {path} does not fit this network: {error}. {REMEDY}") from error
        self.step, self.log = step, log

    def _check_optimizer(self) -> None:
        for parameter, moments in self.optimizer.state.items():
            for name, value in moments.items():
                if value.numel() > 1 and value.shape != parameter.shape or not torch.isfinite(value).all():
                    raise ValueError(f"{name} of the optimizer has shape {tuple(value.shape)} or is not finite")

    def update_average(self, decay: float) -> None:
        """Move the averaged weights toward the current ones; faster in the first steps, which are worth little."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, value in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(value, 1.0 - decay)
                else:
                    mean.copy_(value)

    def save_average(
        self, arch: str, size: int, terms: str, training: dict[str, Any], path: Path, dtype: torch.dtype = torch.float32
    ) -> None:
        """Write the averaged weights as a checkpoint; `training` says in plain values how they were made."""
        weights = {
            key: value.detach().cpu().to(dtype if value.is_floating_point() else value.dtype).contiguous()
            for key, value in self.average.state_dict().items()
        }
        done = {"steps_done": self.step, **training}
        save_checkpoint(Checkpoint(arch, size, weights, terms, done, plan_of(self.average, arch)), path)


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


def claim_folder(out: Path, resume: bool, overwrite: bool) -> None:
    """Make the folder of a run; raises `InputError` where it holds a run that is neither resumed nor to be overwritten."""
    held = [name for name in (CHECKPOINT_FILE, STATE_FILE) if (out / name).exists()]
    if held and not resume and not overwrite:
        raise InputError(
            f"got --out {out}, which holds {' and '.join(held)} of another run, expected a new folder; "
            "--resume goes on with that run, --overwrite replaces it"
        )
    if resume and not (out / STATE_FILE).is_file():
        raise InputError(f"got --resume without {out / STATE_FILE}; start the run without --resume")
    if out.exists() and not out.is_dir():
        raise InputError(f"got the file {out} as --out, expected a folder; choose another name")
    out.mkdir(parents=True, exist_ok=True)


def plain_facts(config: Any) -> dict[str, Any]:
    """Return the fields of a config that decide the weights, as plain values. Of paths only the names, since places differ."""
    facts = {}
    for field in dataclasses.fields(config):
        if field.name not in SLICING:
            value = getattr(config, field.name)
            value = [item.name if isinstance(item, Path) else item for item in value] if isinstance(value, tuple) else value
            facts[field.name] = value.name if isinstance(value, Path) else value
    return facts


def fingerprint(pairs: Iterable[Pair], files: Iterable[Path | None] = ()) -> str:
    """Return a hash of what a run reads: ids, sources, corrections, and size and first 64 kB of all images, masks and `files`."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(repr((pair.id, pair.source)).encode() + (b"" if pair.void is None else pair.void.tobytes()))
        for path in (pair.image, pair.mask):
            _add_file(digest, path)
    for path in files:
        _add_file(digest, path)
    return digest.hexdigest()


def _add_file(digest: Any, path: Path | None) -> None:
    if path is not None:
        with path.open("rb") as file:
            digest.update(repr(path.stat().st_size).encode())
            digest.update(file.read(HASHED_BYTES))


def read_state(path: Path, facts: dict[str, Any], more: dict[str, type] | None = None) -> dict[str, Any]:
    """Read what `Run.save` wrote; raises `InputError` where it is damaged, or `facts` are not those that it was made with."""
    state = load_tensors(path, "the state of a training run", REMEDY)
    check_types(state, STATE_TYPES | (more or {}), path, REMEDY)
    changed = sorted(name for name in facts.keys() | state["facts"].keys() if state["facts"].get(name) != facts.get(name))
    if changed:
        what = ", ".join(map(str, changed))
        raise InputError(f"got --resume with another {what} than {path} was made with; use the same, or a new --out")
    return state
