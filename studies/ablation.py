"""Which conditions help: `python studies/ablation.py --data DIR ...` trains with and without each.

Grouped k-fold cross-validation over `train` and `val` together, or `val` of other folders; never `test`. All variants see the
same images in the same order: only the conditions differ. A run that was killed goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Pair
from edge_runtime.metrics.iou import ImageMetrics, evaluate_pairs, pool
from studies.harness import RESULTS, Figures, Study, StudyConfig, require, table
from train.data.conditions import CONDITIONS
from train.data.datasets import gather
from train.data.folds import part_by_group
from train.engine.presets import FitConfig
from train.evaluation.model import open_model
from train.evaluation.summary import group_by_tag
from train.fit import fit_pairs

OTHER_VARIANTS = ("none", "all", "without_extra")
TAGS = ("night", "dusk", "street", "nature")
SHOWN = ("iou", "iou_per_image", "boundary_iou", "mae", "nosky_fpr")


@dataclass(frozen=True, kw_only=True)
class AblationConfig(StudyConfig):
    """Train one network with and without each condition, and measure it on the images that it did not see."""

    data: tuple[Path, ...] = ()
    """Labeled folders, of which `train` and `val` make the folds."""
    val: tuple[Path, ...] = ()
    """Train on `train` of --data and measure on `val` of these, instead of in folds."""
    extra: tuple[Path, ...] = ()
    """Folders that are trained on in every fold and never measured, such as scenes."""
    variants: tuple[str, ...] = ("none", *CONDITIONS, "all")
    """Conditions to try, each alone; `none` is the baseline, `all` takes all of them, and `without_extra` is `none`
    without the folders of --extra."""
    folds: int = 3
    """Folds; each is held out once."""
    arch: str = "unet_lite_s"
    """Network to train."""
    size: int = 160
    """Input side in pixels."""
    steps: int = 600
    """Optimizer steps of each run."""
    batch: int = 16
    """Images in a step."""
    seed: int = 0
    """Seed of the folds and of every run."""
    threads: int = 1
    """CPU threads."""
    runs: Path = Path("runs/ablation")
    """Where the runs are kept."""
    out: Path = RESULTS / "ablation"


def measure(config: AblationConfig) -> Iterator[tuple[str, Figures]]:
    """Do all the runs that are not done yet and yield the figures of every variant."""
    _check(config)
    pairs = gather(config.data, "train") + ([] if config.val else gather(config.data, "val"))
    extra = gather(config.extra, "train")
    parts = [gather(config.val, "val")] if config.val else part_by_group(pairs, config.folds, config.seed)
    if min(map(len, parts)) == 0:
        raise InputError(f"got {len(pairs)} images in too few groups for {config.folds} folds, expected more; use fewer folds")
    variants = {}
    for variant in config.variants:
        images: list[ImageMetrics] = []
        measured: list[Pair] = []
        per_fold = []
        for number, held_out in enumerate(parts):
            training = pairs if config.val else [pair for part in parts if part is not held_out for pair in part]
            if variant != "without_extra":
                training = training + extra
            checkpoint = _train(config, variant, number, training)
            found = evaluate_pairs(open_model(checkpoint, config.threads).predict, held_out)
            per_fold.append(pool(found).iou)
            images += found
            measured += held_out
        variants[variant] = {"per_fold_iou": per_fold, **_figures(measured, images)}
    yield "ablation", {"config": _plain(config), "images": len(pairs), "variants": variants}


def _train(config: AblationConfig, variant: str, fold: int, pairs: list[Pair]) -> Path:
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


def page(figures: Figures) -> list[str]:
    """Return the table with the gain of every variant over `none`, in points of pooled IoU, per fold."""
    base = figures["variants"].get("none")
    rows = []
    for name, row in figures["variants"].items():
        gains = None
        if base and name != "none":
            pairs = zip(row["per_fold_iou"], base["per_fold_iou"], strict=True)
            gains = ", ".join(f"{100 * (value - reference):+.2f}" for value, reference in pairs)
        tagged = [row["tags"].get(tag, {}).get("iou") for tag in TAGS]
        rows.append(
            [name, *(f"{row[key]:.4f}" for key in SHOWN), *("-" if iou is None else f"{iou:.3f}" for iou in tagged), gains]
        )
    config = figures["config"]
    measured_on = f"`val` of {', '.join(config['val'])}" if config.get("val") else f"{config['folds']} folds by group"
    about = f"{config['arch']} at {config['size']} pixels, {config['steps']} steps, {figures['images']} images, "
    about += f"measured on {measured_on}. Gain: points of pooled IoU over `none`, per fold; scenes have their IoU."
    align = "l" + "r" * (len(SHOWN) + len(TAGS)) + "l"
    return [about, "", *table(["conditions", *SHOWN, *TAGS, "gain per fold"], align, rows)]


def _plain(config: AblationConfig) -> dict[str, Any]:
    values = dataclasses.asdict(config)
    return {
        key: [item.name if isinstance(item, Path) else item for item in value] if isinstance(value, tuple) else value
        for key, value in values.items()
        if key not in ("runs", "out", "render", "threads")
    }


def _check(config: AblationConfig) -> None:
    unknown = [name for name in config.variants if name not in (*CONDITIONS, *OTHER_VARIANTS)]
    if unknown or not config.variants:
        raise InputError(
            f"got variants {', '.join(unknown) or 'none at all'}, expected some of {', '.join((*CONDITIONS, *OTHER_VARIANTS))}"
        )
    require(config, 2, "folds")
    if not config.data:
        raise InputError("got no --data, expected labeled folders")


STUDY = Study("ablation", "Ablation of training conditions", AblationConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
