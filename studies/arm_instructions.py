"""Count the Arm instructions of one inference of each released ncnn artifact: `python studies/arm_instructions.py`.

Runs the aarch64 build (`make cpp-arm`) in qemu-user with the plugin in qemu/, once with N and once with N + K inferences:
the difference, by K, is what one inference executes, without loading and the first one's allocations. The same build gives
the same number, so a rise is a regression. It is no latency: instructions differ in what they cost, and the emulator knows
nothing of caches, pipelines or memory. Writes results/arm_instructions/arm_instructions.json. Standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PROGRAM = PROJECT / "cpp_demo" / "build" / "aarch64" / "tests" / "infer_times"
PLUGIN_SOURCE = PROJECT / "studies" / "qemu" / "count_instructions.c"
RESULT = PROJECT / "results" / "arm_instructions" / "arm_instructions.json"
CPUS = ("cortex-a53", "cortex-a76")  # Armv8.0; and with dot products, for which ncnn has int8 kernels of their own
WHAT = (
    "Instructions that one inference executes on an emulated 64-bit Arm CPU, one thread. Not a latency: a figure to find "
    "regressions by, the same on every machine for the same build."
)


class CountError(RuntimeError):
    """Something is missing or failed; the message says what to do next."""


def build_plugin(folder: Path) -> Path:
    """Compile the plugin into `folder`; return its path."""
    plugin = folder / "libcount.so"
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(plugin), str(PLUGIN_SOURCE)]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode != 0:
        raise CountError(f"the plugin does not compile: {built.stderr.strip()}")
    return plugin


def count(plugin: Path, cpu: str, *words: str | Path | int) -> int:
    """Return how many instructions a program executes."""
    command = ["qemu-aarch64", "-cpu", cpu, "-plugin", str(plugin), "-d", "plugin", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    found = re.search(r"^instructions: (\d+)$", done.stderr, re.MULTILINE)
    if done.returncode != 0 or found is None:
        raise CountError(f"`{' '.join(command)}` failed (exit {done.returncode}): {done.stderr.strip()[-300:]}")
    return int(found[1])


def per_inference(plugin: Path, cpu: str, model: Path, first: int, more: int) -> int:
    """Return the instructions of one inference."""
    few, many = (count(plugin, cpu, PROGRAM, model, times) for times in (first, first + more))
    return round((many - few) / more)


def first_line(*command: str) -> str:
    """Return the first line that a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def measure(models: list[Path], first: int, more: int) -> dict[str, object]:
    """Return the content of the result file."""
    for tool, package in (("qemu-aarch64", "qemu-user"), ("cc", "gcc"), ("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu")):
        if shutil.which(tool) is None:
            raise CountError(f"got no {tool}, expected it; apt-get install {package}")
    if not PROGRAM.is_file():
        raise CountError(f"got no {PROGRAM.relative_to(PROJECT)}, expected the build for Arm; run `make cpp-arm`")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        plugin = build_plugin(Path(folder))
        for model in models:
            spec = json.loads((model / "model.json").read_text())
            for cpu in CPUS:
                print(f"{spec['name']} on {cpu}", file=sys.stderr, flush=True)
                number = per_inference(plugin, cpu, model, first, more)
                digests = {role: entry["sha256"] for role, entry in sorted(spec["files"].items())}
                macs = spec["provenance"].get("macs")
                rows.append({
                    "artifact": spec["name"], "files": digests, "cpu": cpu, "instructions": number,
                    "instructions_per_mac": round(number / macs, 3) if macs else None,
                })  # fmt: skip
    return {
        "what": WHAT,
        "inferences": {"first": first, "more": more},
        "emulator": first_line("qemu-aarch64", "--version"),
        "compiler": first_line("aarch64-linux-gnu-g++", "--version"),
        "ncnn": re.search(r'VERSION_DATE = "(\d+)"', (PROJECT / "cpp_demo" / "tools" / "get_ncnn.py").read_text())[1],  # type: ignore[index]
        "program_sha256": hashlib.sha256(PROGRAM.read_bytes()).hexdigest(),
        "rows": rows,
    }


def main() -> None:
    """Measure, write, and print one line a row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, nargs="+", help="artifact folders (default: all models/*/ncnn-*)")
    parser.add_argument("--first", type=int, default=1, help="inferences of the shorter run (%(default)s)")
    parser.add_argument("--more", type=int, default=1, help="how many more the longer run has (%(default)s)")
    parser.add_argument("--out", type=Path, default=RESULT, help="(%(default)s)")
    options = parser.parse_args()
    if options.first < 1 or options.more < 1:
        parser.error(f"got --first {options.first} --more {options.more}, expected 1 or more of each")
    models = options.models or sorted(path.parent for path in (PROJECT / "models").glob("*/ncnn-*/model.json"))
    try:
        result = measure(models, options.first, options.more)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        partial = options.out.with_suffix(".partial")
        partial.write_text(json.dumps(result, indent=1) + "\n")
        partial.replace(options.out)
    except (CountError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    for row in result["rows"]:  # type: ignore[attr-defined]
        print(f"{row['artifact']:<28} {row['cpu']:<12} {row['instructions'] / 1e6:10.1f} million instructions, not a latency")


if __name__ == "__main__":
    main()
