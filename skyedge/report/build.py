"""Make a page of result files: `python -m skyedge.report results.json --out DIR`.

`DIR` gets `index.html` (one self-contained page that asks nothing of the network), `pareto.svg` and `table.md`.
`--readme FILE` and `--table FILE` put the short and the full Markdown table into pages, whose figures are then those of the file.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from markupsafe import Markup

from edge_runtime.benchmark.results import Results, read_results
from edge_runtime.benchmark.table import format_table
from edge_runtime.errors import InputError
from edge_runtime.files import check_free, write_text
from edge_runtime.records import read_text
from skyedge.report.advice import Choice, ask_which, choose
from skyedge.report.markdown import full_tables, replace_section, short_tables
from skyedge.report.page import MARK, is_ours, render
from skyedge.report.plots import latency_svg, network_colors, pareto_svg, standalone
from skyedge.report.rows import Line, count_threads, int8_sentences, make_lines, pareto_front, precision_effects


@dataclass(frozen=True)
class ReportConfig:
    """Make an HTML page, a plot and a Markdown table from result files of edge_runtime.benchmark."""

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Result files; several make one page with a part for each."""
    out: Path
    """Folder for index.html, pareto.svg and table.md."""
    overwrite: bool = False
    """Replace files of these names in --out that are of no report."""
    readme: Path | None = None
    """Page whose part between <!-- benchmark:begin --> and <!-- benchmark:end --> is replaced by a table of at most 8 rows."""
    table: Path | None = None
    """Page whose part between these marks is replaced by the full table."""


@dataclass(frozen=True)
class Part:
    """The part of the page about one result file."""

    file: str
    results: Results
    lines: list[Line]
    front: set[tuple[str, int]]
    pareto: list[Markup]
    latency: list[Markup]
    choices: list[Choice]


@dataclass(frozen=True)
class Report:
    """The written page, the lines of its tables, and these as text."""

    page: Path
    lines: list[Line]
    table: str


def report(config: ReportConfig) -> Report:
    """Write the report as `config` says. Everything that can be refused is checked before the first file is written."""
    if not config.results:
        raise InputError("got no result file, expected at least one; make it with edge_runtime.benchmark")
    loaded = {path.name: read_results(path) for path in config.results}
    if len(loaded) != len(config.results):
        raise InputError("got result files of the same name, expected different ones: the page tells them apart by name")
    lines = make_lines(loaded)
    shown = _shown_files(config.results)
    full = full_tables(loaded, lines, shown)
    pages: dict[Path, str] = {}
    for path, text in ((config.readme, short_tables(lines, shown)), (config.table, full)):
        if path is not None:
            pages[path] = replace_section(read_text(path, "a page with the marks for the table"), text, path)
    parts = [_part(name, results, lines) for name, results in loaded.items()]
    page, table, plot = (config.out / name for name in ("index.html", "table.md", "pareto.svg"))
    if not config.overwrite:
        check_free((page, table, plot), is_ours)
    write_text(page, _page(parts, lines))
    write_text(table, f"{full}\n<!-- {MARK} -->\n")
    plots = list(itertools.chain.from_iterable(part.pareto for part in parts))
    if plots:
        write_text(plot, standalone(plots[0]).replace(">", f"><!-- {MARK} -->", 1))
    else:
        plot.unlink(missing_ok=True)  # of an earlier report
    for path, text in pages.items():
        write_text(path, text)
    return Report(page, lines, "\n\n".join(map(format_table, loaded.values())))


def _page(parts: Sequence[Part], lines: Sequence[Line]) -> str:
    """Return the page as HTML."""
    effects = precision_effects(lines)
    return render(
        "page.html.j2",
        parts=parts,
        lines=lines,
        effects=effects,
        ask_which=ask_which,
        int8=int8_sentences(effects),
        colors=network_colors(lines),
        quick=any(part.results.quick for part in parts),
    )


def _part(name: str, results: Results, all_lines: Sequence[Line]) -> Part:
    lines = [line for line in all_lines if line.file == name]
    colors = network_colors(all_lines)
    iou_name = results.data.iou_name if results.data else "unnamed data"
    front: set[tuple[str, int]] = set()
    pareto, latency = [], []
    for threads in sorted({line.threads for line in lines}):
        group = [line for line in lines if line.threads == threads]
        machine = results.machine
        where = f"{machine.name} ({machine.instruction_set}), {count_threads(threads)}{', quick' * results.quick}"
        measured = [line for line in group if line.iou is not None]
        best = pareto_front(measured)
        front |= {(line.key, line.threads) for line in best}
        if measured:
            title = f"Latency and accuracy: {where}"
            pareto.append(Markup(pareto_svg(measured, best, iou_name, title, colors)))
        latency.append(Markup(latency_svg(group, f"Latency of the network alone: {where}", colors)))
    return Part(name, results, lines, front, pareto, latency, choose(lines))


def _shown_files(results: Sequence[Path]) -> dict[str, str]:
    """Return name -> how the tables name the result file: relative to the current folder where it lies below it."""
    relative = {path.name: Path(os.path.relpath(path)) for path in results}
    return {name: name if path.parts[0] == ".." or path.is_absolute() else path.as_posix() for name, path in relative.items()}


def main(config: ReportConfig) -> None:
    """Write the report, print the table and the page's path."""
    written = report(config)
    print(written.table)
    print(written.page)
