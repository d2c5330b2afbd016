"""Which conditions help: `python studies/ablation.py --data DIR ...` trains with and without each, k-fold by group.

The folds part `train` and `val` together (never `test`), and never part a group. Every variant sees the same pictures
in the same order, so that only the conditions differ. A run that was killed goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import write_json, write_text
from edge_runtime.images.dataset import Pair
from edge_runtime.metrics.iou import ImageMetrics, evaluate_pairs, pool
from train.data.conditions import CONDITIONS
from train.data.datasets import gather
from train.engine.presets import FitConfig
from train.evaluate import group_by_tag, open_model
from train.fit import fit_pairs

OTHER_VARIANTS = ("none", "all", "without_extra")
SHOWN = ("iou", "iou_per_image", "boundary_iou", "mae", "nosky_fpr")


@dataclass(frozen=True)
class Config:
    """Train one network with and without each condition, and measure it on the pictures that it did not see."""

    data: tuple[Path, ...]
    """Labeled folders; their `train` and `val` are parted into folds."""
    extra: tuple[Path, ...] = ()
    """Folders that are trained on in every fold and never measured, such as scenes."""
    variants: tuple[str, ...] = ("none", *CONDITIONS, "all")
    """Conditions to try, each alone; `none` is the baseline, `all` takes all of them, and `without_extra` is `none`
    without the folders of --extra."""
    folds: int = 3
    """Parts of the data; each is held out once."""
    arch: str = "unet_lite_s"
    """Network to train."""
    size: int = 160
    """Input side in pixels."""
    steps: int = 600
    """Optimizer steps of each run."""
    batch: int = 16
    """Pictures in a step."""
    seed: int = 0
    """Seed of the folds and of every run."""
    threads: int = 1
    """CPU threads."""
    runs: Path = Path("runs/ablation")
    """Where the runs are kept."""
    out: Path = Path("results/ablation/ablation.json")
    """Result file; a Markdown table is written beside it."""


def part_by_group(pairs: Sequence[Pair], folds: int, seed: int) -> list[list[Pair]]:
    """Part pictures into `folds` lists of nearly equal length per source, with every group in one of them.

    Groups of a source are dealt largest first (ties in a seeded order) to the fold that has the fewest of that source.
    """
    rng = np.random.default_rng(seed)
    parts: list[list[Pair]] = [[] for _ in range(folds)]
    for source in sorted({pair.source for pair in pairs}):
        groups: dict[str, list[Pair]] = {}
        for pair in pairs:
            if pair.source == source:
                groups.setdefault(pair.group, []).append(pair)
        names = sorted(groups)
        rng.shuffle(names)
        held = [0] * folds
        start = int(rng.integers(folds))  # small sources must not all fill the first fold
        for name in sorted(names, key=lambda name: -len(groups[name])):
            fold = min(range(folds), key=lambda number: (held[number], (number - start) % folds))
            parts[fold] += groups[name]
            held[fold] += len(groups[name])
    return parts


def ablate(config: Config) -> dict[str, Any]:
    """Do all the runs that are not done yet and return the table.

    Raises
    ------
    InputError
        An unknown variant, no pictures, or too few groups for the folds.
    """
    _check(config)
    pairs = [*gather(config.data, "train"), *gather(config.data, "val")]
    extra = gather(config.extra, "train")
    parts = part_by_group(pairs, config.folds, config.seed)
    if min(map(len, parts)) == 0:
        raise InputError(f"got {len(pairs)} pictures in too few groups for {config.folds} folds, expected more; use fewer folds")
    table = {}
    for variant in config.variants:
        images: list[ImageMetrics] = []
        measured: list[Pair] = []
        per_fold = []
        for number, held_out in enumerate(parts):
            training = [pair for part in parts if part is not held_out for pair in part]
            if variant != "without_extra":
                training += extra
            checkpoint = _train(config, variant, number, training)
            found = evaluate_pairs(open_model(checkpoint, config.threads).predict, held_out)
            per_fold.append(pool(found).iou)
            images += found
            measured += held_out
        table[variant] = {"per_fold_iou": per_fold, **_figures(measured, images)}
    return {"config": _plain(config), "pictures": len(pairs), "variants": table}


def _train(config: Config, variant: str, fold: int, pairs: list[Pair]) -> Path:
    conditions = {"none": (), "without_extra": (), "all": tuple(CONDITIONS)}.get(variant, (variant,))
    out = config.runs / f"{variant}-{fold}"
    run = FitConfig(
        config.arch, out=out, conditions=conditions, sizes=(config.size,), steps=(config.steps,), batches=(config.batch,),
        seed=config.seed, precision="fp32", threads=config.threads,
    )  # fmt: skip
    done = out / "checkpoint.pt"
    log = out / "log.jsonl"
    if done.is_file() and sum(1 for _ in log.open()) == config.steps:
        return done
    return fit_pairs(dataclasses.replace(run, resume=(out / "resume.pt").is_file()), pairs, [])


def _figures(pairs: Sequence[Pair], images: Sequence[ImageMetrics]) -> dict[str, Any]:
    pooled = pool(images)
    figures: dict[str, Any] = {name: getattr(pooled, name) for name in SHOWN}
    tags = {tag: (len(group), pool(group)) for tag, group in group_by_tag(pairs, images).items()}
    figures["tags"] = {
        tag: {"count": count, "iou": figure.iou, "nosky_fpr": figure.nosky_fpr, "mae": figure.mae}
        for tag, (count, figure) in tags.items()
    }
    return figures


def markdown(result: dict[str, Any]) -> str:
    """Return the table with the difference of every variant to `none`, in points of pooled IoU, per fold and over all."""
    lines = ["| conditions | " + " | ".join(SHOWN) + " | gain per fold, points |", "|---" * (len(SHOWN) + 2) + "|"]
    base = result["variants"].get("none")
    for name, row in result["variants"].items():
        gains = "–"
        if base and name != "none":
            pairs = zip(row["per_fold_iou"], base["per_fold_iou"], strict=True)
            gains = ", ".join(f"{100 * (value - reference):+.2f}" for value, reference in pairs)
        lines.append(f"| {name} | " + " | ".join(f"{row[key]:.4f}" for key in SHOWN) + f" | {gains} |")
    return "\n".join(lines) + "\n"


def _plain(config: Config) -> dict[str, Any]:
    values = dataclasses.asdict(config)
    return {
        key: [item.name if isinstance(item, Path) else item for item in value] if isinstance(value, tuple) else value
        for key, value in values.items()
        if key not in ("runs", "out", "threads")
    }


def _check(config: Config) -> None:
    unknown = [name for name in config.variants if name not in (*CONDITIONS, *OTHER_VARIANTS)]
    if unknown or not config.variants:
        raise InputError(
            f"got variants {', '.join(unknown) or 'none at all'}, expected some of {', '.join((*CONDITIONS, *OTHER_VARIANTS))}"
        )
    if config.folds < 2:
        raise InputError(f"got folds {config.folds}, expected 2 or more")


def main(config: Config) -> None:
    """Run, write the result file and its table, and print the table."""
    result = ablate(config)
    config.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(config.out, result)
    write_text(config.out.with_suffix(".md"), markdown(result))
    print(markdown(result), end="")


if __name__ == "__main__":
    run_command(main, Config)
