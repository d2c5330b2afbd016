"""Which layers suffer from int8: `python quantize/sensitivity.py --calib DIR [--checkpoint FILE]`.

Every convolution in turn is quantized alone, as all formats do it: weights with a scale per output channel, its input with a
scale per tensor, the range found on calibration images. `int8.py --keep-float AUTO` follows this ranking and measures the
exported network itself.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

from dataclasses import dataclass
from pathlib import Path

from export.network import load_network
from quantize.calibration.calibration_set import divide, read_resized
from quantize.calibration.ranges import Method
from quantize.calibration.ranking import LayerScore, rank


@dataclass(frozen=True)
class SensitivityConfig:
    """Rank the convolutions of a checkpoint by what int8 does to them."""

    calib: Path
    """Images, labels not needed: a quarter of them compares masks, others calibrate."""
    checkpoint: Path | None = None
    """Checkpoint of train/fit.py. Default: the released models/unet_lite/checkpoint.pt."""
    count: int = 50
    """Most images to calibrate on."""
    method: Method = "minmax"
    """How ranges are found."""
    seed: int = 0
    """Seed that divides the images."""
    arch: str | None = None
    """FILE.py:function, which runs, where the checkpoint is of a network of your own."""


def measure(config: SensitivityConfig) -> list[LayerScore]:
    """Return the scores, the most sensitive layer first; raises `InputError` for bad words or images."""
    network = load_network(config.checkpoint, None, config.arch)
    chosen = divide(config.calib, config.count, config.seed)
    calibration, images = (read_resized(paths, network.size) for paths in (chosen.calibration, chosen.held_out))
    return rank(network, calibration, images, config.method)


def main(config: SensitivityConfig) -> None:
    """Print a table of all layers."""
    print("| layer | share of MACs | agreement |\n|---|---:|---:|")
    for score in measure(config):
        print(f"| {score.name} | {score.macs_share:.1%} | {score.agreement:.4f} |")


if __name__ == "__main__":
    run_command(main, SensitivityConfig)
