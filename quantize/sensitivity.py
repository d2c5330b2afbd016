"""Which layers suffer from int8: `python quantize/sensitivity.py --data DIR [--checkpoint FILE] [--out DIR]`.

Every convolution in turn is quantized alone, as all formats do it: weights with a scale per output channel, its input with a
scale per tensor, the range found on calibration images. `int8.py --keep-float AUTO` follows this ranking and measures the
exported network itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import write_json, write_text
from edge_runtime.images.dataset import find_pairs, splits
from export.network import load_network
from quantize.calibration.calibration_set import divide, read_resized
from quantize.calibration.labeled import LabeledSet
from quantize.calibration.ranges import Method
from quantize.calibration.ranking import LayerScore, rank

SHOWN = 10  # layers in the table on stdout


@dataclass(frozen=True)
class SensitivityConfig:
    """Rank the convolutions of a checkpoint by what int8 does to them."""

    data: Path
    """Labeled images (images/ and masks/, or splits of them); calibration takes some, the others score."""
    checkpoint: Path | None = None
    """Checkpoint of train/fit.py. Default: the released models/unet_lite/checkpoint.pt."""
    split: str | None = None
    """Split of --data. Default: val where there is one."""
    source: str = ""
    """Score only images of sources whose names begin so, such as ade20k."""
    calib_count: int = 50
    """Images to calibrate on."""
    count: int = 40
    """Images to score on, spread evenly."""
    method: Method = "minmax"
    """How ranges are found."""
    seed: int = 0
    """Seed of the calibration images."""
    out: Path = Path("results/sensitivity")
    """Folder for NETWORK.json, .md and .png."""


def plot(scores: Sequence[LayerScore], title: str, path: Path) -> None:
    """Draw disagreement and signal-to-noise ratio of all layers, the most sensitive first."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (top, bottom) = pyplot.subplots(2, 1, figsize=(max(7.0, 0.17 * len(scores)), 6.5), sharex=True)
    places = range(len(scores))
    top.bar(places, [100 * (1 - score.agreement) for score in scores], color="#3b6fb6")
    top.set_ylabel("mask disagreement, %")
    top.set_title(f"{title}: one convolution at a time in int8")
    bottom.bar(places, [score.sqnr_db for score in scores], color="#8a8f98")
    bottom.set_ylabel("SQNR of its output, dB")
    bottom.set_xticks(list(places), [score.name for score in scores], rotation=90, fontsize=6)
    for axis in (top, bottom):
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.01)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def markdown(scores: Sequence[LayerScore]) -> str:
    """Return the ranked table."""
    lines = ["| layer | share of MACs | SQNR dB | agreement | IoU drop, points |", "|---|---:|---:|---:|---:|"]
    for score in scores:
        figures = f"{score.macs_share:.1%} | {score.sqnr_db:.1f} | {score.agreement:.4f} | {score.drop_points:+.2f}"
        lines.append(f"| {score.name} | {figures} |")
    return "\n".join(lines) + "\n"


def measure(config: SensitivityConfig) -> dict[str, Any]:
    """Rank, write the three files and return what the JSON file holds; raises `InputError` for bad words or images."""
    if config.count < 1:
        raise InputError(f"got --count {config.count}, expected 1 or more images")
    split = config.split or ("val" if "val" in splits(config.data) else None)
    network = load_network(config.checkpoint, None)
    chosen = divide(config.data / split if split else config.data, config.calib_count, config.seed)
    used = {path.stem for path in chosen.calibration}
    pairs = [pair for pair in find_pairs(config.data, split) if pair.source.startswith(config.source) and pair.id not in used]
    if not pairs:
        raise InputError(
            f"got no image of --source {config.source!r} beside those that calibrate; expected a source of {config.data}"
        )
    pairs = pairs[:: -(-len(pairs) // config.count)]
    scores = rank(network, read_resized(chosen.calibration, network.size), LabeledSet(pairs, network.size), config.method)
    result = {
        "network": network.checkpoint.name, "size": network.size.width, "checkpoint_sha256": network.sha256,
        "method": config.method, "calibration_images": len(chosen.calibration), "images": len(pairs), "source": config.source,
        "layers": [dataclasses.asdict(score) for score in scores],
    }  # fmt: skip
    config.out.mkdir(parents=True, exist_ok=True)
    path = config.out / f"{network.checkpoint.name}.json"
    write_json(path, result)
    write_text(path.with_suffix(".md"), markdown(scores))
    plot(scores, f"{network.checkpoint.name}, {network.size} pixels", path.with_suffix(".png"))
    return result


def main(config: SensitivityConfig) -> None:
    """Print the most sensitive layers and the folder."""
    scores = [LayerScore(**layer) for layer in measure(config)["layers"]]
    print(markdown(scores[:SHOWN]), end="")
    print(config.out)


if __name__ == "__main__":
    run_command(main, SensitivityConfig)
