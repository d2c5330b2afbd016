"""How often `segment --min-sky SHARE` is wrong: `python studies/min_sky.py --data DIR`.

For each of several shares: the part of images without sky in which some is found (false alarms), and of images with sky in
which none is found (misses). Images without sky come from the data and from generated rooms. `val` chooses the recommended
share; `test` and rooms of other seeds give its error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from edge_runtime.errors import InputError
from edge_runtime.escape import markdown
from edge_runtime.images.dataset import find_pairs, read_pair, spread
from edge_runtime.masks.presence import judge
from edge_runtime.segmenter import Ensemble, Segmenter, load_models
from scenes.render import generate
from studies.harness import RESULTS, Figures, Study, StudyConfig, require, table

SHARES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2)  # 0: never says "no sky"
LITTLE = 0.05  # misses in images with a smaller share of sky are counted apart
ROOM_SIZE = (288, 384)  # height, width in pixels
RELEASED = ("models/unet_lite_s/tflite-int8", "models/unet_lite/tflite-int8", "models/u2netp_p5/tflite-int8")


@dataclass(frozen=True, kw_only=True)
class MinSkyConfig(StudyConfig):
    """Measure false alarms and misses of the decision "no sky here" over a table of shares."""

    data: Path | None = None  # labeled images with the splits val and test
    models: tuple[str, ...] = (*RELEASED, f"{RELEASED[0]}+{RELEASED[1]}")  # artifacts; A+B is the average of two
    out: Path = RESULTS / "min_sky"
    rooms: int = 500  # generated indoor images for test, and a fifth as many for val
    seed: int = 900_000  # of the first room; training used seeds below 201000
    limit: int = 0  # use only this many images of each split; 0: all


@dataclass(frozen=True)
class Judged:
    """One image: its true share of sky, and the share that a model finds."""

    true_share: float
    found_share: float


@dataclass(frozen=True)
class Found:
    """What a model finds in the images of a split, and in the generated rooms that go with it."""

    real: list[Judged]
    rooms: list[Judged]


def judge_split(
    config: MinSkyConfig, segmenters: Sequence[Segmenter | Ensemble], split: str, step: Callable[[], None]
) -> list[Found]:
    """Judge every image and room of a split with every model, in the order of `segmenters`."""
    found = [Found([], []) for _ in segmenters]
    for pair in pick(config, split):
        labeled = read_pair(pair)
        # An image is without sky only if its labels have not one pixel of it. Void does not count.
        true_share = float(np.mean((labeled.sky >= 0.5) & labeled.valid))
        for segmenter, each in zip(segmenters, found, strict=True):
            each.real.append(_look(segmenter, labeled.image, true_share))
        step()
    for seed in room_seeds(config, split):
        image = generate(seed, ROOM_SIZE, kind="indoor").image
        for segmenter, each in zip(segmenters, found, strict=True):
            each.rooms.append(_look(segmenter, image, 0.0))
        step()
    return found


def _look(segmenter: Segmenter | Ensemble, image: np.ndarray, true_share: float) -> Judged:
    return Judged(true_share, judge(segmenter.low_res(image), segmenter.threshold).sky_share)


def pick(config: MinSkyConfig, split: str) -> list[Any]:
    """Return the pairs of a split; with `limit` that many, spread evenly."""
    if config.data is None:
        raise InputError("got no --data, expected a folder of labeled images with the splits val and test")
    pairs = find_pairs(config.data, split)
    return spread(pairs, config.limit or len(pairs))


def room_seeds(config: MinSkyConfig, split: str) -> range:
    """Return the seeds of the rooms that go with a split; those of val and test differ."""
    if split == "test":
        return range(config.seed, config.seed + config.rooms)
    return range(config.seed + config.rooms, config.seed + config.rooms + -(-config.rooms // 5))


def rates(real: Sequence[Judged], rooms: Sequence[Judged], share: float) -> dict[str, Any]:
    """Return the errors of one share, each as a part of its images; None without images."""
    empty = [image for image in real if image.true_share == 0]
    sky = [image for image in real if image.true_share > 0]
    little = [image for image in sky if image.true_share < LITTLE]
    more = [image for image in sky if image.true_share >= LITTLE]

    def part(images: Sequence[Judged], predicted_sky: bool) -> float | None:
        wrong = sum((image.found_share >= share) == predicted_sky for image in images)
        return round(wrong / len(images), 5) if images else None

    return {
        "min_sky": share,
        "false_alarms_real": part(empty, True),
        "false_alarms_rooms": part(rooms, True),
        "misses": part(sky, False),
        "misses_little_sky": part(little, False),
        "misses_more_sky": part(more, False),
    }


def recommend(rows: Sequence[dict[str, Any]]) -> float:
    """Return the share with the lowest sum of false alarms on images and misses (Youden 1950); of equals the largest."""
    if any(row["misses"] is None or row["false_alarms_real"] is None for row in rows):
        raise InputError("got no image with sky, or none without, in val; expected both: they choose the share")
    best: float = min(rows, key=lambda row: (row["misses"] + row["false_alarms_real"], -row["min_sky"]))["min_sky"]
    return best


def counts(real: Sequence[Judged], rooms: Sequence[Judged]) -> dict[str, int]:
    """Return the number of images of each sort."""
    sky = [image.true_share for image in real if image.true_share > 0]
    little = sum(share < LITTLE for share in sky)
    return {"empty": len(real) - len(sky), "rooms": len(rooms), "sky": len(sky), "little_sky": little}


def summarize(model: str, segmenter: Segmenter | Ensemble, val: Found, test: Found) -> dict[str, Any]:
    """Return all figures of one model, or of the average of several."""
    by_share = {name: [rates(each.real, each.rooms, share) for share in SHARES] for name, each in (("val", val), ("test", test))}
    recommended = recommend(by_share["val"])
    return {
        "model": model,
        "model_sha256": [artifact.sha256 for artifact in segmenter.artifacts],
        "recommended_min_sky": recommended,
        "test_at_recommended": next(row for row in by_share["test"] if row["min_sky"] == recommended),
        **by_share,
        "images": {name: counts(each.real, each.rooms) for name, each in (("val", val), ("test", test))},
    }


def measure(config: MinSkyConfig) -> Iterator[tuple[str, Figures]]:
    """Yield the figures of all models."""
    require(config, 1, "rooms")
    require(config, 0, "limit")
    segmenters = [load_models(model.split("+")) for model in config.models]
    total = sum(len(pick(config, split)) + len(room_seeds(config, split)) for split in ("val", "test"))
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("images", total=total)
        val, test = (judge_split(config, segmenters, split, lambda: progress.advance(task)) for split in ("val", "test"))
    models = [summarize(*each) for each in zip(config.models, segmenters, val, test, strict=True)]
    settings = {**asdict(config), "data": config.data and config.data.name, "out": config.out.name}
    yield "min_sky", {"schema_version": 1, "settings": settings, "models": models}


def page(figures: Figures) -> list[str]:
    """Return a table of each model at its recommended share, then a table of each model's shares on test."""
    sizes = figures["models"][0]["images"]["test"]
    lines = [
        f"Test: {sizes['empty']} images without sky, {sizes['rooms']} generated rooms, {sizes['sky']} images with sky "
        f"({sizes['little_sky']} of them with less than 5 %). False alarm: an image without sky in which some is found. Miss: an "
        "image with sky in which none is found. The recommended share has the lowest sum of misses and false alarms on images in "
        "val. Sky that fills less than the share is missed on purpose. The networks were trained on rooms of the same generator "
        "with other seeds, so the images say more than the rooms.",
        "",
        *_rows(
            "model, recommended share",
            [(f"{_short(m['model'])}, {m['recommended_min_sky']:g}", m["test_at_recommended"]) for m in figures["models"]],
        ),
    ]
    for model in figures["models"]:
        shares = [(f"{row['min_sky']:g}", row) for row in model["test"]]
        lines += ["", f"## {markdown(_short(model['model']))}, test", "", *_rows("share", shares)]
    return lines


def _short(model: str) -> str:
    return " + ".join(" ".join(Path(part).parts[-2:]) for part in model.split("+"))


def _rows(first: str, rows: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    head = (first, "false alarms, images", "false alarms, rooms", "misses", "misses, sky < 5 %", "misses, sky >= 5 %")
    keys = ("false_alarms_real", "false_alarms_rooms", "misses", "misses_little_sky", "misses_more_sky")
    cells = [[name, *(None if row[key] is None else f"{100 * row[key]:.1f} %" for key in keys)] for name, row in rows]
    return table(head, "lrrrrr", cells)


STUDY = Study("min_sky", "No sky here: segment --min-sky SHARE", MinSkyConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
