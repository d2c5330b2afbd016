"""The networks by name, and their checkpoints."""

from __future__ import annotations

from train.models.checkpoint import Checkpoint, load_checkpoint, plan_of, save_checkpoint, save_tensors
from train.models.cost import count_macs, count_parameters, macs_by_layer
from train.models.registry import MODELS

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
