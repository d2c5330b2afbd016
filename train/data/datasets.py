"""Training samples: sources balanced, every sample a pure function of (seed, its number in the run).

The folders that this reads (layout: `edge_runtime.images.dataset`) come from `scenes/render.py`, which paints them, or from
`train/adapters.py NAME SOURCE --out DIR`, which reads a public data set as its owners publish it. Details are in the
docstrings of `train.data.sources`; read the owners' terms yourself before you use or release anything.

=============== ================================================= ====================================================
NAME            where to get it                                   terms
=============== ================================================= ====================================================
ade20k          sceneparsing.csail.mit.edu                        images: non-commercial; annotations: BSD-3-Clause
ade20k_outdoors the same, or Kaggle residentmario/ade20k-outdoors as ade20k
cityscapes      www.cityscapes-dataset.com, with registration     non-commercial; not to be passed on
skyfinder       zenodo.org/records/5884485                        CC BY 4.0
coco, labelme   regions of your own, as these tools write them    yours
folder          images and masks of your own                      yours
=============== ================================================= ====================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Pair, find_pairs, read_pair, splits
from edge_runtime.images.network_input import normalize
from train.data.augment import random_view
from train.data.balance import Balance, shares


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """Turn (H, W, 3) uint8 RGB into (3, H, W) float32, (pixel - 127) / 128."""
    return torch.from_numpy(normalize(image)).permute(2, 0, 1)


def gather(folders: tuple[Path, ...], split: str, sources: tuple[str, ...] = ()) -> list[Pair]:
    """List the labeled images of several folders: of `split` where there are splits, else (to train on) all."""
    pairs: list[Pair] = []
    for folder in folders:
        if split in splits(folder):
            pairs += find_pairs(folder, split)
        elif not splits(folder) and split == "train":
            pairs += find_pairs(folder)
    return of_sources(pairs, sources)


def of_sources(pairs: list[Pair], sources: tuple[str, ...]) -> list[Pair]:
    """Keep the images of `sources`, or all where none is named; raises `InputError` for a source that no image is from."""
    unknown = sorted(set(sources) - {pair.source for pair in pairs})
    if unknown:
        raise InputError(f"got --sources {' '.join(unknown)}, which no image of --data is from; the manifests name the sources")
    return [pair for pair in pairs if not sources or pair.source in sources]


class Samples(Dataset[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]):
    """Sample n of a run: an image drawn as `balance` says, read from its file, and a random view of it.

    There is no state between samples: a run resumed at sample n sees exactly what it would have seen.

    Items are image (3, size, size), sky (1, size, size) and valid (1, size, size; 0 at void pixels), all float32.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        sizes: np.ndarray,
        seed: int,
        conditions: Sequence[str] = (),
        balance: Balance = "source",
    ) -> None:
        self.pairs, self.sizes, self.seed, self.conditions = pairs, sizes, seed, conditions
        self.ends = shares(pairs, balance).cumsum()

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng((self.seed, index))
        pair = self.pairs[int(np.searchsorted(self.ends[:-1], rng.random(), side="right"))]
        views = random_view(read_pair(pair), int(self.sizes[index]), int(rng.integers(2**62)), self.conditions)
        image, sky, valid = (plane[0] for plane in views)
        return image, sky, valid
