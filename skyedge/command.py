"""The command `skyedge`: its first word is a verb, everything behind it is what `python -m` with its module takes."""

from __future__ import annotations
from edge_runtime.cli import EXIT_INPUT, run_command

import importlib
import sys

import skyedge

VERBS = {  # verb -> module, its config dataclass, what it does
    "models": ("skyedge.models", "Models", "list the networks that are installed, with their terms"),
    "segment": ("edge_runtime.segment.run", "Segment", "write the sky masks of images"),
    "video": ("edge_runtime.video.run", "Video", "write the sky masks of a video, camera or stream"),
    "replace": ("skyedge.replace.run", "Replace", "put another sky into an image or a video"),
    "correct": ("skyedge.correct.run", "Correct", "repair a mask with strokes"),
    "verify": ("edge_runtime.verify", "Verify", "replay the golden pairs of artifacts"),
    "benchmark": ("edge_runtime.benchmark.run", "BenchmarkConfig", "measure artifacts on this machine"),
    "devices": ("skyedge.devices.run", "Devices", "measure ncnn artifacts on a phone or board"),
    "report": ("skyedge.report.build", "ReportConfig", "make a page of benchmark results"),
    "batch": ("skyedge.batch.run", "Batch", "segment archives of images, on one machine or several"),
    "serve": ("skyedge.serve.run", "Serve", "answer images with masks over HTTP"),
    "skyseg": ("skyedge.skyseg", "Skyseg", "make a file in place of the public skyseg.onnx"),
}
# What a verb needs beyond the lean installation.
EXTRAS = {
    "video": "video",
    "skyseg": "skyseg",
    "serve": "serve",
    "batch": "batch",
    "report": "host",
    "benchmark": "host",
    "devices": "host",
}


def usage() -> str:
    """Return the help text."""
    lines = [f"  {verb:10} {what}" for verb, (_, _, what) in VERBS.items()]
    return "\n".join(["usage: skyedge VERB ...", "", *lines, "", "skyedge VERB --help lists its flags; skyedge --version"])


def main() -> None:
    """Run a verb; the exit codes are those of `edge_runtime.cli.run_command`."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word in ("-h", "--help"):
        print(usage())
    elif word == "--version":
        print(f"skyedge {skyedge.__version__}")
    elif word in VERBS:
        module_name, config, _ = VERBS[word]
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            sys.exit(_missing(word, error))
        sys.argv[:2] = [f"skyedge {word}"]
        run_command(module.main, getattr(module, config))
    else:
        print(f"error: got {word or 'no verb'!r}, expected one of {', '.join(VERBS)}\n{usage()}", file=sys.stderr)
        sys.exit(EXIT_INPUT)


def _missing(verb: str, error: ModuleNotFoundError) -> int:
    """Say what to install for a verb, and return its exit code."""
    extra = EXTRAS.get(verb, "opencv")
    print(f"error: skyedge {verb} needs {error.name}; install it: pip install 'skyedge[{extra}]'", file=sys.stderr)
    return EXIT_INPUT
