"""How often `segment --min-sky SHARE` is wrong: `python studies/min_sky.py --data DIR --out FILE`.

For a table of shares: of the pictures without sky, how many are said to have some (false alarms); of those with sky, how
many are said to have none (misses). Pictures without sky are those of the data and generated rooms; `val` chooses the
share that is recommended, `test` and rooms of other seeds tell its error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import write_json, write_text
from edge_runtime.images.dataset import find_pairs, read_pair
from edge_runtime.masks.presence import judge
from edge_runtime.segmenter import Ensemble, Segmenter, load_models
from scenes.render import generate

SHARES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2)  # 0: never says "no sky"
LITTLE = 0.05  # of the picture: misses among pictures with less sky than this are told apart
ROOM_SIZE = (288, 384)  # height, width in pixels
RELEASED = ("models/unet_lite_s/tflite-int8", "models/unet_lite/tflite-int8", "models/u2netp/tflite-int8")


@dataclass(frozen=True)
class Config:
    """Measure false alarms and misses of the decision "no sky here" over a table of shares."""

    data: Path  # labeled pictures with the splits val and test (edge_runtime/images/dataset.py)
    models: tuple[str, ...] = (*RELEASED, f"{RELEASED[0]}+{RELEASED[1]}")  # artifacts; A+B is the average of two
    out: Path = Path("results/min_sky/min_sky.json")  # result file; the table goes beside it with the suffix .md
    rooms: int = 500  # generated indoor pictures for test, and a fifth as many for val
    seed: int = 900_000  # of the first room; training used seeds below 201000
    limit: int = 0  # only so many pictures of each split; 0 = all


@dataclass(frozen=True)
class Picture:
    """What is known of one picture, and what a model finds in it, as shares of the picture."""

    true_share: float
    found_share: float
    confidence: float


@dataclass(frozen=True)
class Found:
    """What a model finds in the pictures of a split, and in the generated rooms that go with it."""

    real: list[Picture]
    rooms: list[Picture]


def measure(config: Config, segmenters: Sequence[Segmenter | Ensemble], split: str, step: Callable[[], None]) -> list[Found]:
    """Show every picture and room of a split to every model; the result is in the order of `segmenters`."""
    found = [Found([], []) for _ in segmenters]
    for pair in pick(config, split):
        labeled = read_pair(pair)
        # One pixel of sky is enough, so a picture is empty only where its labels are. Void is not counted.
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


def _look(segmenter: Segmenter | Ensemble, image: np.ndarray, true_share: float) -> Picture:
    found = judge(segmenter.coarse(image), segmenter.threshold)
    return Picture(true_share, found.sky_share, found.confidence)


def pick(config: Config, split: str) -> list[Any]:
    """Return the pairs of a split, spread evenly where `limit` asks for fewer."""
    pairs = find_pairs(config.data, split)
    count = min(config.limit or len(pairs), len(pairs))
    return [pairs[index * len(pairs) // count] for index in range(count)]


def room_seeds(config: Config, split: str) -> range:
    """Return the seeds of the rooms that go with a split; those of val and test differ."""
    if split == "test":
        return range(config.seed, config.seed + config.rooms)
    return range(config.seed + config.rooms, config.seed + config.rooms + -(-config.rooms // 5))


def rates(real: Sequence[Picture], rooms: Sequence[Picture], share: float) -> dict[str, Any]:
    """Return the error of one share: each a part of its pictures, None where there are none."""
    empty = [picture for picture in real if picture.true_share == 0]
    sky = [picture for picture in real if picture.true_share > 0]
    little = [picture for picture in sky if picture.true_share < LITTLE]
    more = [picture for picture in sky if picture.true_share >= LITTLE]

    def part(pictures: Sequence[Picture], said_sky: bool) -> float | None:
        wrong = sum((picture.found_share >= share) == said_sky for picture in pictures)
        return round(wrong / len(pictures), 5) if pictures else None

    return {
        "min_sky": share,
        "false_alarms_real": part(empty, True),
        "false_alarms_rooms": part(rooms, True),
        "misses": part(sky, False),
        "misses_little_sky": part(little, False),
        "misses_more_sky": part(more, False),
    }


def recommend(rows: Sequence[dict[str, Any]]) -> float:
    """Return the share whose false alarms on pictures and misses together are fewest (Youden 1950); of equals the largest.

    Raises
    ------
    InputError
        There is no picture with sky, or none without.
    """
    if any(row["misses"] is None or row["false_alarms_real"] is None for row in rows):
        raise InputError("got no picture with sky, or none without, in val; expected both: they choose the share")
    best: float = min(rows, key=lambda row: (row["misses"] + row["false_alarms_real"], -row["min_sky"]))["min_sky"]
    return best


def counts(real: Sequence[Picture], rooms: Sequence[Picture]) -> dict[str, int]:
    """Return how many pictures of each sort there are."""
    sky = [picture.true_share for picture in real if picture.true_share > 0]
    little = sum(share < LITTLE for share in sky)
    return {"empty": len(real) - len(sky), "rooms": len(rooms), "sky": len(sky), "little_sky": little}


def confidences(real: Sequence[Picture], rooms: Sequence[Picture]) -> dict[str, float | None]:
    """Return the median confidence on each sort of picture."""
    sorts = {
        "sky": [picture for picture in real if picture.true_share > 0],
        "empty": [picture for picture in real if picture.true_share == 0],
        "rooms": rooms,
    }
    medians = {name: float(np.median([each.confidence for each in found])) if found else None for name, found in sorts.items()}
    return {name: None if value is None else round(value, 4) for name, value in medians.items()}


def summarize(model: str, segmenter: Segmenter | Ensemble, val: Found, test: Found) -> dict[str, Any]:
    """Return all figures of one model (or of several joined by +)."""
    by_share = {name: [rates(each.real, each.rooms, share) for share in SHARES] for name, each in (("val", val), ("test", test))}
    recommended = recommend(by_share["val"])
    return {
        "model": model,
        "model_sha256": [artifact.sha256 for artifact in segmenter.artifacts],
        "recommended_min_sky": recommended,
        "test_at_recommended": next(row for row in by_share["test"] if row["min_sky"] == recommended),
        "confidence_median": {name: confidences(each.real, each.rooms) for name, each in (("val", val), ("test", test))},
        **by_share,
        "pictures": {name: counts(each.real, each.rooms) for name, each in (("val", val), ("test", test))},
    }


def markdown(results: dict[str, Any]) -> str:
    """Return the result as tables: one line for each model at its recommended share, then each model's shares on test."""
    head = "| {} | false alarms, pictures | false alarms, rooms | misses | misses, sky < 5 % | misses, sky >= 5 % |"
    rule = "|---|---:|---:|---:|---:|---:|"
    sizes = results["models"][0]["pictures"]["test"]
    lines = [
        "# No sky here: `segment --min-sky SHARE`",
        "",
        f"Test: {sizes['empty']} pictures without sky, {sizes['rooms']} generated rooms, {sizes['sky']} pictures with sky "
        f"({sizes['little_sky']} of them with less than 5 %). False alarm: a picture without sky in which some is found. Miss: a "
        "picture with sky in which none is. The share is recommended on val: there, false alarms on pictures and misses add "
        "up to least. Sky that fills less than the share is missed by intent. The networks "
        "were trained on rooms of the same generator (other seeds), so the pictures say more than the rooms do.",
        "",
        head.format("model, recommended share"),
        rule,
    ]
    for model in results["models"]:
        lines.append(_line(f"{_short(model['model'])}, {model['recommended_min_sky']:g}", model["test_at_recommended"]))
    for model in results["models"]:
        lines += ["", f"## {_short(model['model'])}, test", "", head.format("share"), rule]
        lines += [_line(f"{row['min_sky']:g}", row) for row in model["test"]]
    return "\n".join(lines) + "\n"


def _short(model: str) -> str:
    return " + ".join(" ".join(Path(part).parts[-2:]) for part in model.split("+"))


def _line(name: str, row: dict[str, Any]) -> str:
    names = ("false_alarms_real", "false_alarms_rooms", "misses", "misses_little_sky", "misses_more_sky")
    cells = ["-" if row[key] is None else f"{100 * row[key]:.1f} %" for key in names]
    return f"| {name} | " + " | ".join(cells) + " |"


def main(config: Config) -> None:
    """Measure every model, write the result file and the table, print the table's first part."""
    if config.rooms < 1 or config.limit < 0:
        raise InputError(f"got --rooms {config.rooms} --limit {config.limit}, expected rooms >= 1, limit >= 0")
    segmenters = [load_models(model.split("+")) for model in config.models]
    total = sum(len(pick(config, split)) + len(room_seeds(config, split)) for split in ("val", "test"))
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("pictures", total=total)
        val, test = (measure(config, segmenters, split, lambda: progress.advance(task)) for split in ("val", "test"))
    models = [summarize(*each) for each in zip(config.models, segmenters, val, test, strict=True)]
    settings = {**asdict(config), "data": config.data.name, "out": config.out.name}
    results = {"schema_version": 1, "settings": settings, "models": models}
    text = markdown(results)
    write_json(config.out, results)
    write_text(config.out.with_suffix(".md"), text)
    print(text.partition("\n## ")[0].rstrip())
    print(config.out)


if __name__ == "__main__":
    run_command(main, Config)
