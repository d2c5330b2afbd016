"""What all exporters share: the flags, the conversion in a temporary folder, the parity gate, and the artifact."""

from __future__ import annotations
from edge_runtime.cli import DEBUG, run_command

import contextlib
import dataclasses
import importlib.metadata
import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edge_runtime.artifact.artifact import (
    SCHEMA_VERSION,
    Artifact,
    Golden,
    GoldenPair,
    InputSpec,
    ModelSpec,
    OutputSpec,
    Quant,
    Quantization,
    check_replaceable,
    write_artifact,
)
from edge_runtime.backends import open_backend
from edge_runtime.images.network_input import MEAN, STD, Size
from edge_runtime.progress import say
from export import parity
from export.network import PROJECT_ROOT, Network, load_network


@dataclass(frozen=True)
class ExportConfig:
    """Export a checkpoint as an artifact, after comparing it with torch."""

    checkpoint: Path | None = None
    """Checkpoint of train/fit.py. Default: the released models/unet_lite/checkpoint.pt."""
    size: str | None = None
    """Input size in pixels, multiples of 32: 256, or WIDTHxHEIGHT such as 256x192. Default: the checkpoint's own."""
    precision: Literal["fp32", "fp16"] = "fp32"
    """fp16 stores weights as float16."""
    out: Path | None = None
    """The artifact's folder. Default: build/NAME-SIZE-PRECISION-FORMAT in the project."""
    arch: str | None = None
    """FILE.py:function, which runs, where the checkpoint is of a network of your own."""


@dataclass(frozen=True)
class Converted:
    """What a converter made.

    Attributes
    ----------
    files
        Role -> file, with the roles of the format (`model`; `param` and `bin` for ncnn).
    input, output
        Their tensors as the interpreter sees them.
    weights, activations
        How they are stored, for `quantization` of model.json.
    tools
        Packages whose versions decide the files.
    """

    files: dict[str, Path]
    input: InputSpec
    output: OutputSpec
    weights: str
    activations: str
    tools: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(path.stat().st_size for path in self.files.values())


Convert = Callable[[Network, str, Path], Converted]  # network, precision, folder for the files
Write = Callable[[frozenset[str], Path], Converted]  # of a calibrated network: convolutions that stay float, folder
STORED = {"fp32": "float32", "fp16": "float16"}


def converted(
    network: Network,
    files: dict[str, Path],
    weights: str,
    tools: tuple[str, ...],
    layout: str = "NCHW",
    names: tuple[str, str] = ("image", "sky"),
    activations: str = "float32",
) -> Converted:
    """Return files whose input and output are float32; `names` are those of the two ends."""
    return Converted(files, input_spec(names[0], network.size, layout), output_spec(names[1]), weights, activations, tools)


def int8_weights(kept: Collection[str]) -> str:
    """Return how the weights of an int8 network are stored, whose convolutions `kept` stay float."""
    return "per_channel_symmetric" + (f", {len(kept)} layers float32" if kept else "")


def export_command(export: Callable[[ExportConfig], Artifact]) -> None:
    """Run an exporter as a command, which prints what was written."""
    run_command(lambda config: print_artifact(export(config)), ExportConfig)


def run_export(
    config: ExportConfig,
    artifact_format: str,
    convert: Convert,
    check: Callable[[Artifact], None] | None = None,
    not_run: str = "",
) -> Artifact:
    """Convert, compare with torch, and write the artifact.

    Where the format's interpreter cannot run on this system, `not_run` says why: then `check` looks at the candidate instead,
    and the golden output is torch's.

    Raises `InputError` for a bad checkpoint, size or --out. Raises `GateError` where parity does not hold: nothing is written
    then, and what was at --out stays.
    """
    if config.out is not None:
        check_replaceable(config.out)
    network = load_network(config.checkpoint, config.size, config.arch)
    say(f"{network.checkpoint.name} at {network.size}: converting to {artifact_format} {config.precision}")
    images = parity.parity_images(network.size)
    expected = parity.run_torch(network.reference, images)
    with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
        with quiet():
            made = convert(network, config.precision, Path(folder))
        quantization = Quantization(config.precision, made.weights, made.activations, None)
        command = " ".join([f"python export/to_{artifact_format}.py", *shown_flags(config)])
        spec = draft_spec(network, artifact_format, made, quantization, command)
        if check is None:
            say(f"comparing with torch on {len(images)} images")
            return write_compared(config.out, spec, made, images, expected, "torch fp32")
        with quiet():
            check(write_candidate(Path(folder), spec, made, images[0]))
        say(f"not compared with torch: {not_run}")
        parity.check_parity(parity.compare(expected, expected), config.precision)
        spec = dataclasses.replace(spec, metrics={"parity": {"to": "torch fp32", "not_run": not_run}})
        return write_artifact(config.out or default_out(spec.name), spec, made.files, GoldenPair(images[0], expected[0]))


def write_compared(
    out: Path | None, spec: ModelSpec, made: Converted, images: list[np.ndarray], expected: np.ndarray, to: str
) -> Artifact:
    """Run what was converted on `images`, and write the artifact if it gives `expected`, the output of the network `to`.

    The first image becomes the golden input. Raises `GateError` where parity does not hold: nothing is written then.
    """
    with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
        with quiet():
            backend = open_backend(write_candidate(Path(folder), spec, made, images[0]))
        got = parity.run_backend(backend, images)
    measured = parity.compare(expected, got)
    parity.check_parity(measured, spec.quantization.precision)
    spec = dataclasses.replace(spec, metrics={"parity": {"to": to, **dataclasses.asdict(measured)}})
    return write_artifact(out or default_out(spec.name), spec, made.files, GoldenPair(images[0], got[0]))


def print_artifact(artifact: Artifact) -> None:
    """Print, as one line on stdout, what was written and how near to torch it is."""
    near = artifact.spec.metrics["parity"]
    measured = "max_abs" in near
    figures = (
        f"max-abs {near['max_abs']:.1e}  agreement {near['agreement']:.5f}" if measured else f"parity not run: {near['not_run']}"
    )
    print(f"{from_here(artifact.folder)}  {artifact.size_bytes / 1e6:.2f} MB  {figures}")


def from_here(path: Path) -> Path:
    """Return `path` relative to the current folder where it lies below that, else as it is."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def draft_spec(network: Network, artifact_format: str, made: Converted, quantization: Quantization, command: str) -> ModelSpec:
    """Return the spec of an artifact whose files are not written yet."""
    facts = {"checkpoint_sha256": network.sha256, "parameters": network.parameters, "macs": network.macs}
    name, terms = network.checkpoint.name, network.checkpoint.weights_license
    made = dataclasses.replace(made, tools=("torch", *made.tools))
    return draft(name, network.size, terms, {"command": command, **facts}, artifact_format, made, quantization)


def draft(
    name: str, size: Size, terms: str, facts: dict[str, Any], artifact_format: str, made: Converted, quantization: Quantization
) -> ModelSpec:
    """Return the spec of an artifact of any network; `terms` are of its weights, `facts` go to `provenance`."""
    versions = {name: importlib.metadata.version(name) for name in sorted(set(made.tools))}
    return ModelSpec(
        schema_version=SCHEMA_VERSION,
        name=f"{name}-{size}-{quantization.precision}-{artifact_format}",
        arch=name,
        format=artifact_format,
        files={},
        input=made.input,
        output=made.output,
        quantization=quantization,
        golden=Golden("", "", parity.GOLDEN_ATOL[quantization.precision]),
        provenance=facts | {"versions": {"python": platform.python_version()} | versions},
        metrics={},
        weights_license=terms,
    )


def write_candidate(folder: Path, spec: ModelSpec, made: Converted, image: np.ndarray) -> Artifact:
    """Write an artifact to be measured under the temporary `folder`; its golden output is a stand-in."""
    blank = np.zeros(image.shape[:2], np.float32)
    return write_artifact(folder / "candidate", spec, made.files, GoldenPair(image, blank))


def input_spec(name: str, size: Size, layout: str, quant: Quant | None = None, dtype: str = "float32") -> InputSpec:
    """Return the input of every network here: RGB, (pixel - 127) / 128, in `layout` NCHW or NHWC."""
    sides = (size.height, size.width)
    shape = (1, 3, *sides) if layout == "NCHW" else (1, *sides, 3)
    return InputSpec(name, shape, layout, dtype, "RGB", "pillow_bilinear", (MEAN,) * 3, (STD,) * 3, quant)


def output_spec(name: str, quant: Quant | None = None, dtype: str = "float32") -> OutputSpec:
    """Return the one output of every network here: the probability of sky."""
    return OutputSpec(name, "probability", 0.5, dtype, quant)


def default_out(name: str) -> Path:
    """Return the folder for the artifact NAME where --out was not given."""
    return PROJECT_ROOT / "build" / name


def shown_flags(config: Any) -> list[str]:
    """Return the flags of a config dataclass that are not at their defaults; of paths outside the project, the last name."""
    words: list[str] = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name == "out" or value == field.default:
            continue
        values = value if isinstance(value, tuple) else (value,)
        words += ["--" + field.name.replace("_", "-"), *(str(_shown(item)) for item in values)]
    return words


def _shown(value: Any) -> Any:
    if not isinstance(value, Path):
        return value
    resolved = value.resolve()
    return resolved.relative_to(PROJECT_ROOT) if resolved.is_relative_to(PROJECT_ROOT) else resolved.name


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what converters print, C++ and subprocesses included.

    It goes to stderr if they fail, and nothing is held back with `--debug` on the command line.
    """
    if DEBUG in sys.argv:
        yield
        return
    # The file descriptors are turned, not sys.stdout and sys.stderr: loggers that converters set up keep those for good.
    with tempfile.TemporaryFile("w+", errors="replace") as log, warnings.catch_warnings(action="ignore"):
        streams = ((sys.stdout, 1), (sys.stderr, 2))
        for stream, _ in streams:
            stream.flush()
        saved = [os.dup(number) for _, number in streams]
        failed = True
        try:
            for _, number in streams:
                os.dup2(log.fileno(), number)
            yield
            failed = False
        finally:
            for (stream, number), original in zip(streams, saved, strict=True):
                stream.flush()
                os.dup2(original, number)
                os.close(original)
            if failed:
                log.seek(0)
                sys.stderr.write(log.read())
