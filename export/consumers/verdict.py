"""What one consumer does with one artifact."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.artifact.golden import agreement
from edge_runtime.backends import open_backend
from edge_runtime.backends.tensors import InputEncoder, decode_output
from export.consumers.environments import python_of
from export.parity import holds_both, sky_share

FOREIGN = Path(__file__).with_name("foreign.py")
SOURCE = re.compile(r"/|\S+\.(cpp|h|py):")  # a word of a message that names a file
MIN_AGREEMENT_INT8 = 0.995  # mask IoU with the golden output, and on average with the masks of photographs


@dataclass(frozen=True)
class Verdict:
    """Whether a consumer takes an artifact.

    Attributes
    ----------
    consumer
        Its name.
    takes
        None where it could not be asked here.
    agreement
        Mask IoU with the golden output; None where it did not run.
    why
        What it objects to, or what is worth knowing; may be empty.
    photos
        Mask IoU with the artifact's own interpreter on each photograph that holds sky and ground; empty without any.
    """

    consumer: str
    takes: bool | None
    agreement: float | None
    why: str
    photos: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Sample:
    """An artifact, images at its input size, (H, W, 3) uint8 RGB, and its masks, (H, W) float32; the golden pair comes first."""

    artifact: Artifact
    images: list[np.ndarray]
    expected: list[np.ndarray]


def sample(artifact: Artifact, photos: Sequence[np.ndarray] = ()) -> Sample:
    """Return the golden pair, and photographs with the masks of the artifact's own interpreter."""
    golden, backend = artifact.golden(), open_backend(artifact)
    return Sample(artifact, [golden.input, *photos], [golden.output, *map(backend.run, photos)])


def own(consumer: str, given: Sample) -> Verdict:
    """Return the verdict on the artifact's own interpreter."""
    return compared(consumer, given, [open_backend(given.artifact).run(given.images[0])])


def replay(consumer: str, given: Sample, program: str, python: Path | str = sys.executable) -> Verdict:
    """Give the images to a program of foreign.py; it objects by an exception, and some crash."""
    artifact, encode = given.artifact, InputEncoder(given.artifact.spec.input)
    tensors = given.images if program == "mediapipe" else [encode(image) for image in given.images]
    with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
        inputs, outputs = Path(folder) / "inputs.npy", Path(folder) / "outputs.npy"
        np.save(inputs, np.stack(tensors))
        words = [python, FOREIGN, program, artifact.file("model"), inputs, outputs]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, errors="replace", timeout=600)
        if done.returncode < 0:
            return Verdict(consumer, False, None, f"it crashes ({signal.Signals(-done.returncode).name})")
        if done.returncode > 0:
            return Verdict(consumer, False, None, objection(done.stderr))
        made = np.load(outputs)
    try:
        if program == "mediapipe":
            return compared(consumer, given, list(made.reshape(-1, *artifact.size)))
        return compared(consumer, given, [decode_output(each, artifact.spec.output, *artifact.size) for each in made])
    except ValueError as error:  # another shape, or no probabilities
        return Verdict(consumer, False, None, objection(str(error)))


def mediapipe(given: Sample) -> Verdict:
    """Run the images through the ImageSegmenter of MediaPipe Tasks, where its environment was made."""
    python = python_of("mediapipe")
    if python is None:
        return Verdict("MediaPipe Tasks", None, None, "not installed; python -m export.consumers.environments mediapipe")
    return replay("MediaPipe Tasks", given, "mediapipe", python)


def compared(consumer: str, given: Sample, masks: Sequence[np.ndarray]) -> Verdict:
    """Return the verdict on a consumer's (H, W) probabilities for the golden input, and for photographs where it has more.

    Int8 kernels round differently, and single pixels at edges move far: there the masks decide, elsewhere the probabilities.
    """
    pairs = list(zip(masks, given.expected, strict=False))
    differences, agreed = [float(np.abs(mask - golden).max()) for mask, golden in pairs], agreement(*pairs[0])
    photos = tuple(agreement(*pair) for pair in pairs[1:] if holds_both(sky_share(pair[1])))
    if given.artifact.precision == "int8":
        takes = agreed >= MIN_AGREEMENT_INT8 and (not photos or float(np.mean(photos)) >= MIN_AGREEMENT_INT8)
    else:
        takes = max(differences) <= given.artifact.spec.golden.atol
    why = "" if takes else f"other probabilities, off by up to {max(differences):.2f}, without an error"
    return Verdict(consumer, bool(takes), agreed, why, photos)


def objection(stderr: str) -> str:
    """Return what a traceback ends with, without folders of this machine."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    starts = [number for number, line in enumerate(lines) if re.match(r"[\w.]*(Error|Exception|error)\b", line)]
    words = [word for word in " ".join(lines[starts[-1] :] if starts else lines[-1:]).split() if not SOURCE.match(word)]
    return " ".join(words)[:200] or "it fails without a word"
