"""Which programs take an artifact, and why others do not: `python export/lint.py ARTIFACT [ARTIFACT ...] [--page FILE]`.

Programs that install here are run on the golden pair. For others, the checker or the list of operators of their makers decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from edge_runtime.artifact.artifact import Artifact, read_artifact
from edge_runtime.backends import open_backend
from edge_runtime.cli import run_command
from edge_runtime.errors import GateError, InputError
from edge_runtime.files import write_text
from export.consumers import onnx_checks, tflite_checks
from export.consumers.verdict import Verdict, compared
from export.pipeline import quiet, say

BEGIN, END = "<!-- consumers:begin -->", "<!-- consumers:end -->"
TITLES = {"onnx": "ONNX", "tflite": "TFLite", "ncnn": "ncnn", "torch": "torch"}


@dataclass(frozen=True)
class LintConfig:
    """Say which programs take artifacts. Exit code 1 where one gives wrong masks without an error."""

    artifacts: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Artifact folders."""
    page: Path | None = None
    """Markdown page that gets the tables, between its marks <!-- consumers:begin --> and <!-- consumers:end -->."""


def lint(artifact: Artifact) -> list[Verdict]:
    """Return the verdict of every consumer of the artifact's format."""
    with quiet():
        if artifact.spec.format == "onnx":
            return onnx_checks.check(artifact)
        if artifact.spec.format == "tflite":
            return tflite_checks.check(artifact)
        backend = open_backend(artifact)
        return [compared(backend.name, artifact, backend.run(artifact.golden().input))]


def markdown(found: Sequence[tuple[Artifact, list[Verdict]]]) -> str:
    """Return a table for every format, artifacts in rows and consumers in columns, and the reasons below it."""
    parts = []
    for artifact_format, title in TITLES.items():
        rows = [(artifact, verdicts) for artifact, verdicts in found if artifact.spec.format == artifact_format]
        if not rows:
            continue
        names = [verdict.consumer for verdict in rows[0][1]]
        lines = [f"### {title}", "", f"| artifact | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        reasons: dict[tuple[str, str], list[str]] = {}
        for artifact, verdicts in rows:
            lines.append(f"| {_name(artifact)} | {' | '.join(map(_cell, verdicts))} |")
            for verdict in verdicts:
                if verdict.why:
                    reasons.setdefault((verdict.consumer, verdict.why), []).append(_name(artifact))
        notes = [f"- {consumer}: {why} ({', '.join(names)})" for (consumer, why), names in reasons.items()]
        parts.append("\n".join([*lines, "", *notes]))
    return "\n\n".join(parts) + "\n"


def _name(artifact: Artifact) -> str:
    """Return the folder, as in unet_lite_s/onnx-int8: networks of one kind share the name in `model.json`."""
    return "/".join(artifact.folder.resolve().parts[-2:])


def _cell(verdict: Verdict) -> str:
    word = {True: "yes", False: "**no**", None: "?"}[verdict.takes]
    if verdict.agreement is not None:
        return f"{word}, {verdict.agreement:.4f}"
    return word if verdict.how == "run" else f"{word} ({verdict.how})"


def _fill(page: Path, tables: str) -> None:
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"got {page} without the marks {BEGIN} and {END}, expected both; add them where the tables belong")
    write_text(page, f"{before}{BEGIN}\n{tables}{END}{after}")


def main(config: LintConfig) -> None:
    """Print the tables; `GateError` where a consumer computes something else in silence."""
    if not config.artifacts:
        raise InputError("got no artifact, expected one or more artifact folders")
    found = []
    for folder in config.artifacts:
        say(f"checking {folder}")
        artifact = read_artifact(folder)
        found.append((artifact, lint(artifact)))
    tables = markdown(found)
    print(tables, end="")
    if config.page is not None:
        _fill(config.page, tables)
    silent = [
        f"{_name(artifact)} in {verdict.consumer}"
        for artifact, verdicts in found
        for verdict in verdicts
        if verdict.takes is False and verdict.agreement is not None
    ]
    if silent:
        raise GateError(f"wrong masks without an error: {', '.join(silent)}; do not use the artifact there")


if __name__ == "__main__":
    run_command(main, LintConfig)
