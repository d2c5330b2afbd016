"""The process of `skyedge.batch.single`: opens the model once, then takes images on stdin and answers on stdout."""

from __future__ import annotations

import io
import json
import os
import platform
import resource
import signal
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.formats import read_reduced, read_rgb
from edge_runtime.images.opencv import set_threads
from edge_runtime.images.resize import resize_probability, to_mask8
from edge_runtime.masks.horizon import estimate_horizon
from edge_runtime.masks.presence import judge
from edge_runtime.segment.jobs import FAST_DETAIL
from edge_runtime.segmenter import Ensemble, Segmenter, load_models
from skyedge.batch.single import Settings

MIB = 1 << 20
ORPHAN_POLL_S = 1.0
# These smooth maps are as small as by default, in half the time.
PNG = {"compress_level": 1, "compress_type": zlib.Z_RLE}


def serve() -> None:
    """Answer until stdin ends or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this process
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _end_with(os.getppid())
    settings = Settings(**json.loads(sys.stdin.buffer.readline()))
    try:
        if settings.memory_mib:
            resource.setrlimit(resource.RLIMIT_DATA, (settings.memory_mib * MIB, settings.memory_mib * MIB))
        set_threads(1)
        segmenter = load_models(settings.models, 1, settings.device)
        found = "+".join(artifact.sha256 for artifact in segmenter.artifacts)
        if found != settings.model_sha256:
            got = f"got {', '.join(settings.models)} with SHA-256 {found} on {platform.node()}"
            raise InputError(f"{got}, expected {settings.model_sha256}, as the driver has; copy the same model to all machines")
        _say(answers, {"ready": True})
    except (InputError, MemoryError) as error:
        return _say(answers, {"refused": str(error) or "not enough memory to open the model"})
    while len(head := sys.stdin.buffer.read(8)) == 8:
        content = sys.stdin.buffer.read(int.from_bytes(head, "little"))
        mask = b""
        try:
            answer, mask = segment(content, segmenter, settings)
        except InputError as error:
            answer = _failure(str(error), "unreadable")
        except MemoryError:
            answer = _failure(f"not enough memory: more than {settings.memory_mib} MiB", "memory")
        _say(answers, answer | {"mask_bytes": len(mask)}, mask)


def segment(content: bytes, segmenter: Segmenter | Ensemble, settings: Settings) -> tuple[dict[str, Any], bytes]:
    """Return the answer for the bytes of an image file, and its mask as PNG."""
    start = time.perf_counter()
    image, (height, width) = _decode(content, segmenter, settings)
    decoded = time.perf_counter()
    low_res = segmenter.low_res(image)
    finding = judge(low_res, segmenter.threshold, settings.min_sky)
    inferred = time.perf_counter()
    probability = resize_probability(low_res, height, width) if finding.sky else np.zeros((height, width), np.float32)
    mask = io.BytesIO()
    Image.fromarray(to_mask8(probability)).save(mask, format="PNG", **PNG)
    ended = time.perf_counter()
    record = {
        "width": width,
        "height": height,
        "sky_share": finding.sky_share,
        "confidence": finding.confidence,
        "horizon": estimate_horizon(low_res, segmenter.threshold) if finding.sky else None,
    }
    stages = {"decode": decoded - start, "infer": inferred - decoded, "encode": ended - inferred}
    return {"record": record, "stage_seconds": stages}, mask.getvalue()


def _decode(content: bytes, segmenter: Segmenter | Ensemble, settings: Settings) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the image, reduced with `fast_decode`, and its full (height, width)."""
    with tempfile.NamedTemporaryFile() as file:  # the readers of risky formats need a file
        file.write(content)
        file.flush()
        try:
            if settings.fast_decode:
                side = FAST_DETAIL * max(side for artifact in segmenter.artifacts for side in artifact.size)
                return read_reduced(Path(file.name), side)
            image = read_rgb(file.name)
            return image, cast(tuple[int, int], image.shape[:2])
        except InputError as error:
            raise InputError(str(error).replace(file.name, f"of {len(content)} bytes")) from error


def _failure(error: str, kind: str) -> dict[str, Any]:
    return {"record": {}, "stage_seconds": {}, "error": error, "kind": kind}


def _say(answers: Any, head: dict[str, Any], content: bytes = b"") -> None:
    answers.write(json.dumps(head).encode() + b"\n" + content)
    answers.flush()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, also in the middle of an image."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(ORPHAN_POLL_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
