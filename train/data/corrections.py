"""Corrections of labels: regions that become void, in a CSV file beside the data, so that the masks stay as they are.

Columns: id (of the image), height and width of a grid over the image, runs, reason. `runs` are lengths, row by row over the
grid: cells that stay, cells that become void, cells that stay, and so on.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Pair
from edge_runtime.records import read_text

MOST_CELLS = 1 << 20


@dataclass(frozen=True)
class Correction:
    """A region of the image `id` that becomes void; `cells` is (h, w) bool over the image, stretched."""

    id: str
    cells: np.ndarray
    reason: str


def read_corrections(path: Path) -> dict[str, Correction]:
    """Read the file, by id; raises `InputError` that names the line that is not right."""
    rows = csv.DictReader(io.StringIO(read_text(path, "a file of corrections")))
    found: dict[str, Correction] = {}
    for row in _lines(path, rows):
        try:
            height, width = int(row["height"]), int(row["width"])
            runs = np.array(row["runs"].split(), dtype=np.int64)
            if not 0 < height * width <= MOST_CELLS or height < 1 or (runs < 0).any() or runs.sum() != height * width:
                raise ValueError(f"runs of {runs.sum()} cells for {height} x {width}")
            if row["id"] in found:
                raise ValueError(f"{row['id']} a second time")
            flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
            found[row["id"]] = Correction(row["id"], flat.reshape(height, width), row["reason"])
        except (KeyError, ValueError, AttributeError, TypeError, OverflowError) as error:
            raise _wrong(path, rows.line_num, error) from error
    return found


def _lines(path: Path, rows: csv.DictReader[str]) -> Iterator[dict[str, str]]:
    try:
        yield from rows
    except csv.Error as error:
        raise _wrong(path, rows.line_num, error) from error


def _wrong(path: Path, line: int, error: Exception) -> InputError:
    return InputError(
        f"{path}, line {line}: got {error}, expected id, height, width, runs, reason with runs that add up to height times "
        "width; correct the line or remove it"
    )


def correct(pairs: Sequence[Pair], path: Path | None) -> list[Pair]:
    """Return `pairs` with the void regions of a file of corrections; as they are where `path` is None."""
    known = read_corrections(path) if path else {}
    return [dataclasses.replace(pair, void=known[pair.id].cells) if pair.id in known else pair for pair in pairs]
