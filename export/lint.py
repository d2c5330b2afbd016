"""Which programs take an artifact, and why others do not: `python export/lint.py ARTIFACT [ARTIFACT ...] [--data DIR]`.

They are run on the golden pair, and with --data on photographs.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from edge_runtime.artifact.artifact import Artifact, read_artifact
from edge_runtime.errors import GateError, InputError
from edge_runtime.files import write_text
from edge_runtime.images.dataset import find_pairs, splits
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.resize import resize_rgb
from edge_runtime.progress import say
from export.consumers.verdict import Verdict, mediapipe, own, replay, sample
from export.network import PROJECT_ROOT
from export.pipeline import quiet

BEGIN, END = "<!-- consumers:begin -->", "<!-- consumers:end -->"
TITLES = {"onnx": "ONNX", "tflite": "TFLite", "ncnn": "ncnn", "torch": "torch"}
INTERPRETERS = {"onnx": "onnxruntime", "tflite": "LiteRT, XNNPACK"}  # names of others are those of their formats
MIN_PHOTOS = 50
Found = Sequence[tuple[Artifact, list[Verdict]]]


@dataclass(frozen=True)
class LintConfig:
    """Say which programs take artifacts. Exit code 1 where one gives other masks without an error."""

    artifacts: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Artifact folders."""
    data: Path | None = None
    """Photographs to compare masks on too: a folder of images, or with images/, or with test/images."""
    count: int = MIN_PHOTOS
    """Photographs to compare, spread evenly over the folder."""
    page: Path | None = None
    """Markdown page that gets the overview, between its marks <!-- consumers:begin --> and <!-- consumers:end -->."""
    details: Path = PROJECT_ROOT / "results" / "consumers" / "details.md"
    """With --page: the page of the verdict on every artifact."""


def lint(artifact: Artifact, photos: Sequence[Path] = ()) -> list[Verdict]:
    """Return the verdict of every consumer of the artifact's format."""
    with quiet():
        given = sample(artifact, [resize_rgb(read_rgb(path), *artifact.size) for path in photos])
        kind = artifact.spec.format
        verdicts = [own(INTERPRETERS.get(kind, kind), given)]
        if kind == "tflite":
            verdicts.append(mediapipe(given))
        if kind in INTERPRETERS:
            verdicts += [replay("OpenVINO", given, "openvino"), replay("OpenCV DNN", given, "opencv")]
        return verdicts


def photographs(config: LintConfig) -> list[Path]:
    """Return the photographs to compare masks on; raises `InputError` where --data has fewer than --count."""
    if config.data is None:
        return []
    split = "test" if "test" in splits(config.data) else None
    paths = [pair.image for pair in find_pairs(config.data, split, masks=False)]
    if config.count < MIN_PHOTOS or len(paths) < config.count:
        expected = f"{MIN_PHOTOS} or more, and as many images in the folder"
        raise InputError(f"got --count {config.count} and {len(paths)} images in {config.data}, expected {expected}")
    return paths[:: len(paths) // config.count][: config.count]


def overview(found: Found) -> str:
    """Return a table with a row for every program: how many float and int8 files it takes, and how near its masks are."""
    lines = ["| program | files | float | int8 |", "|---|---|---|---|"]
    for artifact_format, title in TITLES.items():
        groups: dict[str, dict[bool, list[Verdict]]] = {}
        for artifact, verdicts in found:
            for verdict in verdicts if artifact.spec.format == artifact_format else ():
                groups.setdefault(verdict.consumer, {True: [], False: []})[artifact.precision == "int8"].append(verdict)
        lines += [f"| {name} | {title} | {_summary(two[False])} | {_summary(two[True])} |" for name, two in groups.items()]
    return "\n".join(lines) + "\n"


def _summary(verdicts: list[Verdict]) -> str:
    if not verdicts:
        return ""
    taken = f"{sum(bool(verdict.takes) for verdict in verdicts)} of {len(verdicts)}"
    photos = _spread([value for verdict in verdicts for value in verdict.photos])
    return f"{taken}; {photos}" if photos else taken


def details(found: Found) -> str:
    """Return a table with a row for every artifact and program."""
    lines = ["| artifact | program | takes | golden | photographs | remark |", "|---|---|---|---|---|---|"]
    for artifact, verdicts in found:
        for each in verdicts:
            word = {True: "yes", False: "**no**", None: "?"}[each.takes]
            golden = "" if each.agreement is None else f"{each.agreement:.4f}"
            lines.append(f"| {_name(artifact)} | {each.consumer} | {word} | {golden} | {_spread(each.photos)} | {each.why} |")
    return "\n".join(lines) + "\n"


def _spread(photos: Sequence[float]) -> str:
    return f"mean {np.mean(photos):.4f}, worst {min(photos):.2f}" if photos else ""


def _name(artifact: Artifact) -> str:
    """Return the folder, as in unet_lite_s/onnx-int8: networks of one kind share the name in `model.json`."""
    return "/".join(artifact.folder.resolve().parts[-2:])


def _fill(page: Path, tables: str) -> None:
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"got {page} without the marks {BEGIN} and {END}, expected both; add them where the tables belong")
    write_text(page, f"{before}{BEGIN}\n{tables}{END}{after}")


def main(config: LintConfig) -> None:
    """Print the table; `GateError` where a consumer computes something else in silence."""
    if not config.artifacts:
        raise InputError("got no artifact, expected one or more artifact folders")
    found, photos = [], photographs(config)
    for folder in config.artifacts:
        say(f"checking {folder}")
        artifact = read_artifact(folder)
        found.append((artifact, lint(artifact, photos)))
    table = details(found)
    print(table, end="")
    if config.page is not None:
        _fill(config.page, overview(found))
        on = f", and on {len(photos)} photographs of the data set" if photos else ""
        write_text(config.details, f"# Programs that take the artifacts\n\nMask IoU with the golden output{on}.\n\n{table}")
    silent = [
        f"{_name(artifact)} in {verdict.consumer}"
        for artifact, verdicts in found
        for verdict in verdicts
        if verdict.takes is False and verdict.agreement is not None
    ]
    if silent:
        raise GateError(f"other masks without an error: {', '.join(silent)}; take another file there")


if __name__ == "__main__":
    run_command(main, LintConfig)
