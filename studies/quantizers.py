"""Ways to make a network small, side by side: `python studies/quantizers.py --data DIR [--checkpoint FILE] [--out DIR]`.

Every way is calibrated on the same pictures and scored on the same others: size, loss of IoU against torch in float32, and
latency. Networks take turns picture by picture, so that whatever else the machine does hits all alike; what counts is the
ratio to float32 in the same runtime. Absolute latencies come from `edge_runtime.benchmark`.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from edge_runtime.benchmark.machine import describe_machine
from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import write_json, write_text
from edge_runtime.images.dataset import find_pairs, splits
from export.network import load_network
from export.parity import pooled_agreement, run_torch
from export.pipeline import quiet
from quantize.calibration.calibration_set import divide, read_resized
from quantize.calibration.checks import worst_source
from quantize.calibration.labeled import LabeledSet
from studies.quantizer_variants import FAMILIES, Built, Material, Way, ways


@dataclass(frozen=True)
class Config:
    """Compare ways to store and run a checkpoint in fewer bits."""

    data: Path
    """Labeled pictures (images/ and masks/, or splits of them)."""
    checkpoint: Path | None = None
    """Checkpoint of train/fit.py. Default: the released models/unet_lite/checkpoint.pt."""
    split: str | None = None
    """Split of --data. Default: val where there is one."""
    families: tuple[str, ...] = tuple(FAMILIES)
    """What to compare: float, onnx, tflite, ncnn, nncf-onnx, openvino. NNCF on ONNX takes hours for u2netp."""
    calib_count: int = 100
    """Pictures to calibrate on."""
    count: int = 60
    """Pictures to score on, spread evenly; half as many others tune NNCF's accuracy control."""
    rounds: int = 20
    """Timed runs of each network; 0 leaves latency out."""
    max_drop: float = 0.3
    """Points of IoU that accuracy control is to stay under."""
    seed: int = 0
    """Seed of the calibration pictures."""
    out: Path = Path("results/quantizers")
    """Folder for NETWORK.json and NETWORK.md."""


def compare(config: Config) -> dict[str, Any]:
    """Build, score and time every way; return what the result file holds.

    Raises
    ------
    InputError
        An unknown family, too few pictures, or none with sky.
    """
    unknown = [family for family in config.families if family not in FAMILIES]
    if unknown or min(config.count, config.calib_count) < 2 or config.rounds < 0:
        known = f"families among {', '.join(FAMILIES)}, counts of 2 or more, rounds of 0 or more"
        raise InputError(f"got {', '.join(unknown) or config}, expected {known}")
    split = config.split or ("val" if "val" in splits(config.data) else None)
    network = load_network(config.checkpoint, None)
    chosen = divide(config.data / split if split else config.data, config.calib_count, config.seed)
    used = {path.stem for path in chosen.calibration}
    free = [pair for pair in find_pairs(config.data, split) if pair.id not in used]
    order = np.random.default_rng(config.seed).permutation(len(free))
    count = min(config.count, 2 * len(free) // 3)
    scored, tuned = ([free[index] for index in sorted(part)] for part in (order[:count], order[count : count + count // 2]))
    if len(tuned) < 1:
        raise InputError(f"got {len(free)} labeled pictures beside those that calibrate, expected 3 or more; lower --calib-count")
    labeled = LabeledSet(scored, network.size)
    material = Material(network, read_resized(chosen.calibration, network.size), LabeledSet(tuned, network.size), config.max_drop)
    with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
        rows = _rows(ways(config.families), material, labeled, config.rounds, Path(folder))
    facts = {
        "network": network.checkpoint.name, "size": network.size, "checkpoint_sha256": network.sha256,
        "calibration_pictures": len(chosen.calibration), "pictures": len(scored), "tuning_pictures": len(tuned),
    }  # fmt: skip
    return {"machine": dataclasses.asdict(describe_machine("", None)), **facts, "rounds": config.rounds, "rows": rows}


def _rows(found: Sequence[Way], material: Material, labeled: LabeledSet, rounds: int, folder: Path) -> list[dict[str, Any]]:
    console = Console(stderr=True)
    expected = run_torch(material.network.reference, labeled.images)
    iou, by_source = labeled.iou(expected), labeled.iou_by_source(expected)
    rows: list[dict[str, Any]] = []
    built: dict[int, Built] = {}
    for number, way in enumerate(found):
        row: dict[str, Any] = {"runtime": way.runtime, "precision": way.precision, "label": way.label}
        rows.append(row)
        place = folder / str(number)
        place.mkdir()
        start = time.monotonic()
        try:
            with quiet():
                built[number] = way.build(material, place)
        except Exception as error:  # a converter that fails is a result too; they raise all kinds
            row["failed"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            console.print(f"{way.runtime} {way.precision} {way.label}: {row['failed']}")
            continue
        row["build_s"] = round(time.monotonic() - start, 1)
        masks = labeled.masks(built[number].run)
        worst, lost = worst_source(by_source, labeled.iou_by_source(masks))
        row |= {"size_bytes": built[number].size_bytes, "max_abs": float(np.abs(masks - expected).max())}
        row |= {"agreement": pooled_agreement(expected, masks), "iou": labeled.iou(masks), "iou_torch_fp32": iou}
        row |= {"drop_points": 100 * (iou - row["iou"]), "worst_source": worst, "worst_source_drop_points": lost}
        console.print(f"{way.runtime} {way.precision} {way.label}: drop {row['drop_points']:+.2f}, {row['build_s']} s")
    for number, samples in _time(built, labeled.images, rounds).items():
        rows[number]["infer_ms"] = samples
    return rows


def _time(built: dict[int, Built], images: Sequence[np.ndarray], rounds: int) -> dict[int, list[float]]:
    """Return milliseconds of every network; they take turns, and each has one run before that is not timed."""
    taken: dict[int, list[float]] = {number: [] for number in built}
    for turn in range(rounds):
        image = images[turn % len(images)]
        for number, each in built.items():
            each.run(image)
            start = time.perf_counter()
            each.run(image)
            taken[number].append(round(1000 * (time.perf_counter() - start), 4))
    return {number: samples for number, samples in taken.items() if samples}


def markdown(result: dict[str, Any]) -> str:
    """Return the table, a line for every way."""
    base = {row["runtime"]: row for row in result["rows"] if row["precision"] == "fp32"}
    lines = [
        f"{result['network']} at {result['size']} pixels, calibrated on {result['calibration_pictures']} pictures, scored on "
        f"{result['pictures']} others; drops are in points of pooled IoU against torch fp32; latency is the ratio of medians, "
        "one thread, to fp32 in the same runtime.",
        "",
        "| runtime | precision | how | size MB | latency ratio | agreement | max-abs | drop | drop of the worst source |",
        "|---|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in result["rows"]:
        head = f"| {row['runtime']} | {row['precision']} | {row['label'] or '-'} |"
        if "failed" in row:
            lines.append(f"{head} failed: {row['failed'].replace('|', '/')} | | | | | |")
            continue
        own, reference = row.get("infer_ms"), base.get(row["runtime"], {}).get("infer_ms")
        ratio = f"{np.median(own) / np.median(reference):.2f}" if own and reference else "-"
        figures = (
            f"{row['size_bytes'] / 1e6:.2f} | {ratio} | {row['agreement']:.4f} | {row['max_abs']:.1e} | {row['drop_points']:+.2f}"
        )
        lines.append(f"{head} {figures} | {row['worst_source_drop_points']:+.2f} ({row['worst_source']}) |")
    return "\n".join(lines) + "\n"


def main(config: Config) -> None:
    """Compare, write both files and print the table."""
    result = compare(config)
    config.out.mkdir(parents=True, exist_ok=True)
    write_json(config.out / f"{result['network']}.json", result)
    write_text(config.out / f"{result['network']}.md", markdown(result))
    print(markdown(result), end="")


if __name__ == "__main__":
    run_command(main, Config)
