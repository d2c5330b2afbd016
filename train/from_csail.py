"""Make a checkpoint of CSAIL's ADE20K network: `python train/from_csail.py ENCODER.pth DECODER.pth --out DIR`.

ENCODER and DECODER are the two state dicts of `ade20k-resnet50dilated-ppm_deepsup`, which
github.com/CSAILVision/semantic-segmentation-pytorch publishes. The checkpoint holds the network
reduced to its sky class; every exporter, quantizer and metric here takes it.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from edge_runtime.errors import InputError
from train.engine.limits import check_sizes
from train.models import MODELS, Checkpoint, save_checkpoint
from train.models.encoder_weights import load_encoder_weights, read_weights

DEEP_SUPERVISION = ("cbr_deepsup.", "conv_last_deepsup.")  # a second head that only training uses
ARCH = "csail_resnet50_ppm"


@dataclass(frozen=True)
class FromCsailConfig:
    """Turn CSAIL's encoder and decoder files into a checkpoint of one sky network."""

    encoder: Annotated[Path, tyro.conf.Positional]
    """encoder_epoch_20.pth"""
    decoder: Annotated[Path, tyro.conf.Positional]
    """decoder_epoch_20.pth"""
    out: Path = Path("runs/csail")
    """Folder for checkpoint.pt."""
    size: int = 384
    """Side of the square input in pixels, a multiple of 96."""
    weights_license: str = "BSD-3-Clause code; trained on ADE20K: research, non-commercial"
    """Terms of the weights."""


def convert(config: FromCsailConfig) -> Path:
    """Write the checkpoint and return its path; raises `InputError` for files of another network."""
    check_sizes((config.size,))
    if config.size % 96:
        raise InputError(f"got --size {config.size}, expected a multiple of 96: the features are pooled to sides of 3 and 6")
    network = MODELS[ARCH]()
    load_encoder_weights(network, config.encoder)
    decoder = network.get_submodule("decoder")
    decoder.load_state_dict(read_weights(config.decoder, decoder, DEEP_SUPERVISION), strict=False)
    training = {"converted": [config.encoder.name, config.decoder.name]}
    path = config.out / "checkpoint.pt"
    save_checkpoint(Checkpoint(ARCH, config.size, network.state_dict(), config.weights_license, training), path)
    return path


def main(config: FromCsailConfig) -> None:
    """Convert and print the checkpoint's path."""
    print(convert(config))


if __name__ == "__main__":
    run_command(main, FromCsailConfig)
