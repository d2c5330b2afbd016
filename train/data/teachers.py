"""Which networks wrote the masks of a folder: distillation notes it there, and training puts it into its checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_runtime.errors import InputError
from train.models import load_checkpoint

RECORD = "distill.json"


def describe_teacher(path: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Return name, hash, terms and training of a teacher, a checkpoint or an artifact folder; `facts` are those of its model."""
    training = load_checkpoint(path).training if path.is_file() else None
    return {name: facts[name] for name in ("name", "sha256", "weights_license")} | {"training": training}


def read_record(folder: Path) -> dict[str, Any]:
    """Return what distillation noted in a folder; empty where people made the labels. `InputError` for a damaged note."""
    path = folder / RECORD
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"cannot read {path}: {error}; expected the note of train/distill.py; remove {folder} or choose another --out"
        ) from error
    return found if isinstance(found, dict) else {}


def teachers_of(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the teachers whose masks the folders hold, as `describe_teacher` tells of them."""
    found = []
    for record in map(read_record, folders):
        found += record.get("about", [{"sha256": digest} for digest in record.get("teachers", ())])
    return found
