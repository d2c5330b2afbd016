"""Count the Arm instructions of one inference of each released ncnn artifact: `python studies/arm_instructions.py`.

Runs the aarch64 build (`make cpp-arm`) in qemu-user with the plugin in qemu/, once with N and once with N + K inferences. The
difference, divided by K, is what one inference executes, without loading and first allocations. The same build gives the same
number, so a rise is a regression. It is no latency: instructions differ in cost, and the emulator has no caches, pipelines or
memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import InputError
from edge_runtime.escape import markdown
from studies.harness import PROJECT_ROOT, RESULTS, Figures, Study, StudyConfig, require, table

PROGRAM = PROJECT_ROOT / "cpp_demo" / "build" / "aarch64" / "tests" / "infer_times"
PLUGIN_SOURCE = PROJECT_ROOT / "studies" / "qemu" / "count_instructions.c"
CPUS = ("cortex-a53", "cortex-a76")  # Armv8.0; and with dot products, for which ncnn has int8 kernels of their own
LIMIT_SECONDS = 3600  # for one run in the emulator
WHAT = (
    "Instructions that one inference executes on an emulated 64-bit Arm CPU, one thread. Not a latency: a figure to find "
    "regressions by, the same on every machine for the same build."
)


@dataclass(frozen=True, kw_only=True)
class ArmInstructionsConfig(StudyConfig):
    """Count the instructions of one inference on emulated Arm CPUs."""

    models: tuple[Path, ...] = ()
    """Artifact folders of format ncnn. Default: the released ones."""
    first: int = 1
    """Inferences of the shorter run."""
    more: int = 1
    """How many more the longer run has."""
    out: Path = RESULTS / "arm_instructions"


def build_plugin(folder: Path) -> Path:
    """Compile the plugin into `folder`; return its path."""
    plugin = folder / "libcount.so"
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(plugin), str(PLUGIN_SOURCE)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    if built.returncode != 0:
        raise InputError(f"the plugin does not compile: {built.stderr.strip()}")
    return plugin


def count(plugin: Path, cpu: str, *words: str | Path | int) -> int:
    """Return how many instructions a program executes."""
    command = ["qemu-aarch64", "-cpu", cpu, "-plugin", str(plugin), "-d", "plugin", *map(str, words)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT_SECONDS, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    found = re.search(r"^instructions: (\d+)$", done.stderr, re.MULTILINE)
    if done.returncode != 0 or found is None:
        raise InputError(f"`{' '.join(command)}` failed (exit {done.returncode}): {done.stderr.strip()[-300:]}")
    return int(found[1])


def per_inference(plugin: Path, cpu: str, model: Path, first: int, more: int) -> int:
    """Return the instructions of one inference."""
    few, many = (count(plugin, cpu, PROGRAM, model, times) for times in (first, first + more))
    return round((many - few) / more)


def first_line(*command: str) -> str:
    """Return the first line that a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_SECONDS).stdout.splitlines()[0]


def measure(config: ArmInstructionsConfig) -> Iterator[tuple[str, Figures]]:
    """Yield the counts of all artifacts on all CPUs."""
    require(config, 1, "first", "more")
    for tool, package in (("qemu-aarch64", "qemu-user"), ("cc", "gcc"), ("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu")):
        if shutil.which(tool) is None:
            raise InputError(f"got no {tool}, expected it; apt-get install {package}")
    if not PROGRAM.is_file():
        raise InputError(f"got no {PROGRAM.relative_to(PROJECT_ROOT)}, expected the build for Arm; run `make cpp-arm`")
    models = config.models or sorted(path.parent for path in (PROJECT_ROOT / "models").glob("*/ncnn-*/model.json"))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        plugin = build_plugin(Path(folder))
        for model in models:
            spec = json.loads((model / "model.json").read_text())
            for cpu in CPUS:
                print(f"{spec['name']} on {cpu}", file=sys.stderr, flush=True)
                number = per_inference(plugin, cpu, model, config.first, config.more)
                digests = {role: entry["sha256"] for role, entry in sorted(spec["files"].items())}
                macs = spec["provenance"].get("macs")
                rows.append({
                    "artifact": spec["name"], "files": digests, "cpu": cpu, "instructions": number,
                    "instructions_per_mac": round(number / macs, 3) if macs else None,
                })  # fmt: skip
    yield (
        "arm_instructions",
        {
            "inferences": {"first": config.first, "more": config.more},
            "emulator": first_line("qemu-aarch64", "--version"),
            "compiler": first_line("aarch64-linux-gnu-g++", "--version"),
            "ncnn": re.search(r'VERSION_DATE = "(\d+)"', (PROJECT_ROOT / "cpp_demo" / "tools" / "get_ncnn.py").read_text())[1],  # type: ignore[index]
            "program_sha256": hashlib.sha256(PROGRAM.read_bytes()).hexdigest(),
            "rows": rows,
        },
    )


def page(figures: Figures) -> list[str]:
    """Return the table: a row for each artifact and CPU."""
    rows = [
        [row["artifact"], row["cpu"], f"{row['instructions'] / 1e6:.1f}", row["instructions_per_mac"]] for row in figures["rows"]
    ]
    facts = f"ncnn {figures['ncnn']}, {figures['compiler']}, {figures['emulator']}."
    head = ["artifact", "CPU", "million instructions", "instructions per MAC"]
    return [f"{WHAT} {markdown(facts)}", "", *table(head, "llrr", rows)]


STUDY = Study("arm_instructions", "Arm instructions of one inference", ArmInstructionsConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
