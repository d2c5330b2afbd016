"""Environments for what clashes with this project's packages: `python -m export.consumers.environments NAME`."""

from __future__ import annotations
from edge_runtime.cli import run_command

import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from edge_runtime.errors import InputError
from edge_runtime.progress import say
from export.network import PROJECT_ROOT

FOLDER = PROJECT_ROOT / ".cache" / "envs"
LIMIT_S = 1800.0  # for one step, such as a download
PACKAGES = {
    "mediapipe": ("mediapipe==1.2.2",),  # brings opencv-contrib, which would replace our OpenCV
    # An S3 client and server, for skyedge.batch.
    "archives": ("s3fs==2026.9.0", "moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"),
    "rembg": ("rembg[cpu]==2.0.86",),  # its weights are no package: studies/peers.py gives it a network
    "contracts": ("schemathesis==4.32.5",),
    "notebooks": ("jupytext==1.19.6", "nbconvert==7.17.2", "ipykernel==7.4.0"),
    "coreml": ("coremltools==9.0",),
    # torchvision's wheels are made for the CUDA build of torch: 3 GB.
    "networks": ("torch===2.13.0", "torchvision==0.28.0", "segmentation-models-pytorch==0.6.0"),
    "lock": ("uv==0.13.8",),
    "audit": ("pip-audit==2.10.1",),
    # The Kotlin compiler, and parsers of Swift and of Gradle's Kotlin.
    "phones": (
        "kotlin-jupyter-kernel==0.19.0.944",
        "tree-sitter==0.26.1",
        "tree-sitter-kotlin==1.1.0",
        "tree-sitter-swift==0.7.4",
    ),
    "pyinstaller": ("pyinstaller==6.22.3", "numpy==2.4.6", "pillow==13.0.0"),
    "sbom": ("cyclonedx-bom==7.5.0",),
}
# Exporters and backends run there too: the environment sees this project and its packages behind its own.
LAYERED = frozenset({"archives", "coreml", "networks"})


@dataclass(frozen=True)
class EnvironmentsConfig:
    """Make the environment of a consumer, in .cache/envs/NAME."""

    name: Annotated[str, tyro.conf.Positional]
    """A key of `PACKAGES`."""


def python_of(name: str) -> Path | None:
    """Return the interpreter of an environment that was made completely, or None."""
    folder = FOLDER / name
    return folder / "bin" / "python" if (folder / "complete").is_file() else None


def make(name: str) -> Path:
    """Make an environment, unless it is there, and return its interpreter."""
    if name not in PACKAGES:
        raise InputError(f"got environment {name}, expected one of {', '.join(PACKAGES)}")
    folder, there = FOLDER / name, python_of(name) is not None
    python = folder / "bin" / "python"
    if not there:
        say(f"installing {' '.join(PACKAGES[name])} into {folder}")
        _run(name, sys.executable, "-m", "venv", folder)
    if name in LAYERED:  # each time: the project may have moved
        (site,) = folder.glob("lib/python*/site-packages")
        lines = [f"import site; site.addsitedir({place!r})" for place in (sysconfig.get_path("purelib"), str(PROJECT_ROOT))]
        (site / "skyedge_layers.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if not there:
        _run(name, python, "-m", "pip", "install", "--quiet", *PACKAGES[name])
        (folder / "complete").touch()
    return python


def _run(name: str, *words: str | Path) -> None:
    try:
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"cannot make the environment {name}: not done after {LIMIT_S:.0f} s; try it again") from error
    if done.returncode != 0:
        raise InputError(f"cannot make the environment {name}: {done.stderr[-500:]}")


def main(config: EnvironmentsConfig) -> None:
    """Make it and print its interpreter."""
    print(make(config.name))


if __name__ == "__main__":
    run_command(main, EnvironmentsConfig)
