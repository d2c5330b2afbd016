"""Pin what requirements.in asks for, with hashes: `python -m tools.lock [--upgrade NAME...]` (`make lock`).

uv resolves for every platform and Python and writes the hash of every file that the index lists. requirements.txt gets all
packages but CUDA's, which requirements-cuda.txt gets: PyPI's torch for Linux needs them, a CPU build does not. Where pip's
configuration names a place that has a CPU build, requirements-cpu.txt gets the hash of the file that pip takes here.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.files import write_text
from export.consumers import environments
from tools.licenses import blocks
from tools.shell import PROJECT, run

INPUT = PROJECT / "requirements.in"
LOCK = PROJECT / "requirements.txt"
CUDA_LOCK = PROJECT / "requirements-cuda.txt"
CPU_LOCK = PROJECT / "requirements-cpu.txt"
CUDA = re.compile(r"(cuda|nvidia|triton)\b")
HEADERS = {
    LOCK: "# Made from requirements.in by `make lock`.\n",
    CUDA_LOCK: "# Made from requirements.in by `make lock`: what PyPI's torch for Linux needs beside requirements.txt.\n",
    CPU_LOCK: "# Made from requirements.in by `make lock`: the CPU build that `make setup` takes where pip finds this file.\n",
}


@dataclass(frozen=True)
class LockConfig:
    """Write requirements.txt, requirements-cuda.txt and requirements-cpu.txt. Versions stay where requirements.in allows it."""

    upgrade: tuple[str, ...] = ()
    """Packages whose version may rise."""


def resolve(upgrade: tuple[str, ...]) -> str:
    """Return what uv pins; it keeps the versions and hashes of the present lock."""
    draft = PROJECT / "build" / "lock.txt"
    draft.parent.mkdir(exist_ok=True)
    draft.write_text("".join(path.read_text() for path in (LOCK, CUDA_LOCK) if path.is_file()))
    uv = environments.make("lock").with_name("uv")
    flags = [word for name in upgrade for word in ("--upgrade-package", name)]
    flags += ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--output-file", str(draft)]
    run(uv, "pip", "compile", INPUT.name, *flags)
    return draft.read_text()


def cpu_build(torch: str) -> str:
    """Return the line of the CPU build that pip takes on this machine, or what the lock has where there is none."""
    words = ("install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps", "--report", "-")
    (item,) = json.loads(run(sys.executable, "-m", "pip", *words, torch.split(maxsplit=1)[0]))["install"]
    version, digest = item["metadata"]["version"], item["download_info"]["archive_info"]["hashes"]["sha256"]
    if "+cpu" in version:
        return f"torch=={version} \\\n    --hash=sha256:{digest}\n"
    return blocks(CPU_LOCK.read_text())["torch"]


def main(config: LockConfig) -> None:
    """Resolve, split and write."""
    packages = blocks(resolve(config.upgrade))
    parts: dict[Path, list[str]] = {LOCK: [], CUDA_LOCK: [], CPU_LOCK: [cpu_build(packages["torch"])]}
    for name, block in packages.items():
        parts[CUDA_LOCK if CUDA.match(name) else LOCK].append(block)
    for path, chosen in parts.items():
        write_text(path, HEADERS[path] + "".join(chosen))
        print(f"{len(chosen)} packages: {path.name}")


if __name__ == "__main__":
    run_command(main, LockConfig)
