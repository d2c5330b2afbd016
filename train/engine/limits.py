"""Ranges of the numbers of a config, checked before anything is read or written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_runtime.errors import InputError

Range = tuple[float, float]  # both ends belong to it
MANY = 10_000_000
TRAINING_LIMITS: dict[str, Range] = {
    "steps": (1, MANY),
    "epochs": (1, 100_000),
    "batch": (1, 65536),
    "batches": (1, 65536),
    "lr": (1e-9, 1.0),
    "warmup": (0, MANY),
    "weight_decay": (0.0, 1.0),
    "ema": (0.0, 0.999999),
    "distill": (0.0, 1.0),
    "resident": (0, 4096),
    "boundary": (0.0, 100.0),
    "seed": (0, 2**63 - 1),
    "threads": (1, 1024),
    "workers": (0, 256),
    "val_every": (1, MANY),
    "val_count": (1, MANY),
    "save_minutes": (0.0, 1e6),
    "stop_at_step": (1, MANY),
}


def check_limits(config: Any, limits: Mapping[str, Range]) -> None:
    """Raise `InputError` where a number of `config`, or one of several in a field, is outside its range or not a number.

    Fields that the config does not have, and values of None, are passed over.
    """
    for name, (low, high) in limits.items():
        values = getattr(config, name, None)
        for value in values if isinstance(values, tuple) else (values,):
            if value is not None and not low <= value <= high:  # NaN is outside every range
                raise InputError(f"got --{name.replace('_', '-')} {value}, expected {low} to {high}")


def check_sizes(sizes: tuple[int, ...]) -> None:
    """Raise `InputError` unless all sides of the input are multiples of 32 that the networks can take."""
    wrong = [size for size in sizes if not 32 <= size <= 4096 or size % 32]
    if wrong:
        raise InputError(f"got size {wrong[0]}, expected multiples of 32 up to 4096: the networks halve their input five times")
