"""Segment a video, a camera or a stream: `python -m edge_runtime.video INPUT --model DIR --out FILE`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from edge_runtime.backends import Device
from edge_runtime.masks.refine import DEFAULTS
from edge_runtime.segmenter import DEFAULT_MODEL, load_models
from edge_runtime.video.pipeline import VideoOptions, segment_video


@dataclass(frozen=True)
class Video:
    """Write the sky masks of a video, frame by frame, as a gray video: round(255 p)."""

    input: Annotated[str, tyro.conf.Positional]
    """Video file, number of a camera, or URL of a stream."""
    out: Path
    """File to write: .mp4, .mov, .avi, .webm or .mkv (lossless)."""
    model: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Artifact folder or name, as in `segment`; several are averaged. Default: unet_lite_s."""
    overlay: bool = False
    """Write the video with its sky tinted and the contour drawn instead of the gray masks."""
    refine: bool = False
    """Follow the frame's edges: branches, wires, roofs (edge_runtime/masks/refine.py)."""
    stabilize: bool = True
    """Take the flicker out along the motion of the camera (edge_runtime/masks/stabilize.py)."""
    show: bool = False
    """Show the result as it is made; q ends the run. Needs opencv-python and a screen."""
    seconds: float = 0.0
    """Stop after so many; 0 = at the end, of a camera with Ctrl-C."""
    overwrite: bool = False
    """Also replace an --out that exists."""
    threads: int = 1
    """CPU threads of the interpreter."""
    device: Device = "cpu"
    """cuda is for artifacts of the formats torch and onnx, tensorrt for onnx."""


def main(config: Video) -> None:
    """Segment one video; the summary goes to stdout."""
    refinement = DEFAULTS if config.refine else None
    options = VideoOptions(
        config.out, config.overlay, config.stabilize, refinement, config.show, config.seconds, config.overwrite
    )
    segment_video(config.input, load_models(config.model or (DEFAULT_MODEL,), config.threads, config.device, check=True), options)
