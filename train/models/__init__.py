"""The networks by name, and their checkpoints."""

from __future__ import annotations

from train.models.checkpoint import Checkpoint, load_checkpoint, plan_of, save_checkpoint, save_tensors
from train.models.registry import MODELS, add_network, all_maps, count_macs, count_parameters, macs_by_layer, plain_name

__all__ = [
    "MODELS",
    "Checkpoint",
    "add_network",
    "all_maps",
    "count_macs",
    "count_parameters",
    "load_checkpoint",
    "macs_by_layer",
    "plain_name",
    "plan_of",
    "save_checkpoint",
    "save_tensors",
]
