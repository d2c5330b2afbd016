"""List the released networks that are installed, with their terms: `skyedge models`."""

from __future__ import annotations
from edge_runtime.cli import run_command

from collections.abc import Iterator
from dataclasses import dataclass

from edge_runtime.artifact.artifact import Artifact, read_artifact
from edge_runtime.models import released_roots


@dataclass(frozen=True)
class Models:
    """List the networks whose names `--model` and `Segmenter.load` take here."""


def installed() -> Iterator[tuple[str, Artifact]]:
    """Yield the name of every released artifact, such as `unet_lite/onnx-int8`, and the artifact; each name once."""
    seen = set()
    for root in released_roots():
        for spec in sorted(root.glob("*/*/model.json")):
            name = "/".join(spec.parts[-3:-1])
            if name not in seen:
                seen.add(name)
                yield name, read_artifact(spec.parent)


def main(_: Models) -> None:
    """Print a line for every artifact: name, input size, size of its files, terms of its weights."""
    for name, artifact in installed():
        height, width = artifact.size
        print(f"{name:36} {width:4} x {height:<4} {artifact.size_bytes / 1e6:6.2f} MB  {artifact.spec.weights_license}")


if __name__ == "__main__":
    run_command(main, Models)
