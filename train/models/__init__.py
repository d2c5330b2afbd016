"""The networks by name, and their checkpoints."""

from __future__ import annotations

from train.models.checkpoint import Checkpoint, load_checkpoint, plan_of, save_checkpoint, save_tensors
from train.models.registry import MODELS, count_macs, count_parameters, macs_by_layer

__all__ = [
    "MODELS",
    "Checkpoint",
    "count_macs",
    "count_parameters",
    "load_checkpoint",
    "macs_by_layer",
    "plan_of",
    "save_checkpoint",
    "save_tensors",
]
