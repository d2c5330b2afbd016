"""Segment videos, cameras and streams: `python -m edge_runtime.video INPUT... --model DIR --out FILE`."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from edge_runtime.backends import Device
from edge_runtime.errors import InputError
from edge_runtime.masks.refine import DEFAULTS
from edge_runtime.progress import one_line
from edge_runtime.segmenter import DEFAULT_MODEL, load_models
from edge_runtime.video.pipeline import Part, VideoOptions, segment_video
from edge_runtime.video.read import VIDEO_SUFFIXES
from edge_runtime.video.write import CODECS


@dataclass(frozen=True)
class Video:
    """Write the sky masks of videos, frame by frame, as gray videos: round(255 p)."""

    inputs: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Video files, folders of them, the number of a camera, or the URL of a stream."""
    out: Path
    """File to write: .mp4, .mov, .avi, .webm or .mkv (lossless); of several videos the folder for STEM.mp4."""
    model: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Artifact folder or name, as in `segment`; several are averaged. Default: unet_lite_s."""
    overlay: bool = False
    """Write the video with its sky tinted and the contour drawn instead of the gray masks."""
    remove: Part | None = None
    """Write the video with its sky, or its ground, transparent: .mov (ProRes 4444), .webm (VP9) or .mkv (lossless); of several
    videos STEM.webm."""
    refine: bool = False
    """Follow the frame's edges: branches, wires, roofs (edge_runtime/masks/refine.py)."""
    stabilize: bool = True
    """Take the flicker out along the motion of the camera (edge_runtime/masks/stabilize.py)."""
    seconds: float = 0.0
    """Stop after so many; 0 = at the end, of a camera with Ctrl-C."""
    reconnect: float = 30.0
    """Seconds in which a stream that drops out is tried again; 0 = never."""
    overwrite: bool = False
    """Also replace an --out that exists."""
    threads: int = 1
    """CPU threads of the interpreter."""
    device: Device = "cpu"
    """cuda is for artifacts of the formats torch and onnx, tensorrt for onnx."""


def main(config: Video) -> None:
    """Segment the videos; summaries go to stdout. A failure costs one video, is named, and ends the run with `InputError`."""
    targets = plan(config)
    segmenter = load_models(config.model or (DEFAULT_MODEL,), config.threads, config.device, check=True)
    given = {field.name: getattr(config, field.name) for field in dataclasses.fields(VideoOptions) if hasattr(config, field.name)}
    options = VideoOptions(**given, refinement=DEFAULTS if config.refine else None)
    failed = 0
    for out, source in targets.items():
        try:
            segment_video(source, segmenter, dataclasses.replace(options, out=out))
        except (InputError, OSError, MemoryError) as error:
            if len(targets) == 1:
                raise
            failed += 1
            print(f"error: {one_line(str(error))}", file=sys.stderr, flush=True)
    if failed:
        raise InputError(f"{failed} of {len(targets)} videos failed, named above; all others are done")


def plan(config: Video) -> dict[Path, str]:
    """Return the file to write for every video; raises `InputError` where two would write the same."""
    videos: list[str] = []
    for name in config.inputs:
        inside = (
            sorted(path for path in Path(name).iterdir() if path.suffix.lower() in VIDEO_SUFFIXES) if Path(name).is_dir() else []
        )
        if Path(name).is_dir() and not inside:
            raise InputError(f"got no video in {name}, expected at least one; name a file or another folder")
        videos += map(str, inside) if inside else [name]
    if not videos:
        raise InputError("got no input, expected a video, a camera's number or a stream's URL")
    if len(videos) == 1 and not Path(config.inputs[0]).is_dir():
        return {config.out: videos[0]}
    if config.out.suffix.lower() in CODECS or config.out.is_file():
        raise InputError(f"got --out {config.out} for {len(videos)} videos, expected a folder; name one")
    targets: dict[Path, str] = {}
    for name in videos:
        out = config.out / f"{Path(name).stem}.{'mp4' if config.remove is None else 'webm'}"
        if out in targets:
            raise InputError(f"{targets[out]} and {name} would both give {out}, expected inputs of different stems; rename one")
        targets[out] = name
    return targets
