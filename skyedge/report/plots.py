"""The plots of the report as SVG text: colors that serve light and dark pages, real text, a tooltip on every point."""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from edge_runtime.backends import FORMATS
from edge_runtime.escape import plain
from edge_runtime.escape import svg as escaped
from skyedge.report.rows import Line, count_threads

# They stand out on white and on near-black and differ for the color-blind. Networks take them in order.
COLORS: tuple[str, ...] = ("#2f7fd8", "#e08a00", "#12a07a", "#d6457e", "#8a63d2", "#7d8590", "#4db6d0", "#9a6324", "#a3ad00")
COLORS += ("#3d4fb8", "#c0392b", "#e29ac4", "#4f7a28", "#c2a36b", "#00686f")
MARKERS = dict(zip(FORMATS, itertools.cycle("os^v<>DP*Xhp"), strict=False))  # format -> shape
FILLS = {"fp32": "full", "fp16": "left", "int8": "none", "uint8": "full"}
INK = "#12345e"  # a placeholder for the page's text color, used for nothing else
REAL_TIME_MS = 1000.0 / 30.0
LONGEST_LABEL = 90  # characters
NAME_ROOM = 0.5  # of the latencies' range, left of the fastest, for its name
STANDALONE_STYLE = (
    "<style>svg{color:#1f2328;background:#ffffff}@media(prefers-color-scheme:dark){svg{color:#e6edf3;background:#0d1117}}</style>"
)
RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "skyedge",
    "text.parse_math": False,  # names of devices are plain text, dollar signs included
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.labelcolor": INK,
}


def pareto_svg(lines: Sequence[Line], front: Sequence[Line], iou_name: str, title: str, colors: dict[str, str]) -> str:
    """Draw end-to-end latency (log) against IoU; the Pareto front has names, the others have the legend and tooltips.

    `lines` are of one machine and thread count, all with an IoU; `front` is their Pareto front, fastest first.
    """
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(9.2, 5.2), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots()
        _latency_axis(axes, [line.end_to_end_ms for line in lines], "end_to_end, p50, ms (log scale)", NAME_ROOM)
        axes.set_ylabel(f"pooled IoU ({_label(iou_name)})")
        axes.set_title(_label(title), loc="left", fontsize=11, fontweight="bold")
        axes.margins(y=0.12)
        axes.yaxis.grid(True, color=INK, alpha=0.12, linewidth=0.6)
        for index, line in enumerate(lines):
            _point(axes, line, line.end_to_end_ms, _iou(line), colors[line.network], f"pareto-{line.threads}-{index}")
        if len(front) > 1:
            x, y = [line.end_to_end_ms for line in front], [_iou(line) for line in front]
            axes.plot(x, y, drawstyle="steps-post", color=INK, alpha=0.55, linewidth=1.1, zorder=1)
        _real_time(axes)
        _legend(axes, lines, colors, with_front=len(front) > 1)
        canvas.draw()
        _write_labels(axes, canvas, front)
        tips = {f"pareto-{line.threads}-{index}": _tip(line) for index, line in enumerate(lines)}
        return as_svg(figure, title, tips)


def latency_svg(lines: Sequence[Line], title: str, colors: dict[str, str]) -> str:
    """Draw `infer` of every line as a bar from p50 to p95 with a mark at p50, by network, fastest first."""
    with matplotlib.rc_context(RC):
        order = list(colors)
        rows = sorted(lines, key=lambda line: (order.index(line.network), line.infer_ms))
        figure = Figure(figsize=(9.2, 1.1 + 0.24 * len(rows)), layout="constrained")
        axes = figure.subplots()
        _latency_axis(
            axes,
            [value for line in rows for value in (line.infer_ms, line.row.infer.p95_ms)],
            "infer, p50 to p95, ms (log scale)",
        )
        axes.set_title(_label(title), loc="left", fontsize=11, fontweight="bold")
        for index, line in enumerate(rows):
            color = colors[line.network]
            axes.plot(
                [line.infer_ms, line.row.infer.p95_ms],
                [index, index],
                color=color,
                alpha=0.5,
                linewidth=3.5,
                solid_capstyle="round",
            )
            _point(axes, line, line.infer_ms, index, color, f"latency-{line.threads}-{index}")
        axes.set_yticks(range(len(rows)), [_label(line.short) for line in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines.left.set_visible(False)
        return as_svg(figure, title, {f"latency-{line.threads}-{index}": _tip(line) for index, line in enumerate(rows)})


def standalone(svg: str) -> str:
    """Return a complete SVG file, with a light or dark background after the reader's system."""
    end = svg.index(">", svg.index("<svg")) + 1
    return f'<?xml version="1.0" encoding="utf-8"?>\n{svg[:end]}{STANDALONE_STYLE}{svg[end:]}'


def network_colors(lines: Sequence[Line]) -> dict[str, str]:
    """Return network -> color, the same in all plots of a page."""
    return dict(zip(sorted({line.network for line in lines}), itertools.cycle(COLORS), strict=False))


def _label(text: str) -> str:
    shown = plain(text)
    return shown if len(shown) <= LONGEST_LABEL else f"{shown[:LONGEST_LABEL]}…"


def _iou(line: Line) -> float:
    assert line.iou is not None, "callers pass rows with an IoU"
    return line.iou


def _tip(line: Line) -> str:
    iou = "" if line.iou is None else f", IoU {line.iou:.4f}"
    return (
        f"{line.network}, {line.row.label}, {count_threads(line.threads)}: "
        f"infer {line.infer_ms:.2f} ms, end_to_end {line.end_to_end_ms:.2f} ms{iou}"
    )


def _point(axes: Axes, line: Line, x: float, y: float, color: str, gid: str) -> None:
    style: dict[str, Any] = {"color": color, "marker": MARKERS[line.artifact.format], "fillstyle": FILLS[line.artifact.precision]}
    axes.plot(x, y, linestyle="none", markersize=8, markeredgewidth=1.6, markerfacecoloralt="none", zorder=3, gid=gid, **style)


def _latency_axis(axes: Axes, values: list[float], label: str, room: float = 0.0) -> None:
    high = max(values) * 1.35
    low = min(values) / 1.25 * (min(values) / high) ** room
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    if high / low < 6:
        ticks = [tick for tick in MaxNLocator(7).tick_values(low, high) if low <= tick <= high]
    else:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 2, 5) if high / low < 300 else (1,)
        ticks = [tick for decade in decades for step in steps if low <= (tick := step * 10.0**decade) <= high]
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.grid(True, color=INK, alpha=0.12, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(label)


def _real_time(axes: Axes) -> None:
    low, high = axes.get_xlim()
    if low < REAL_TIME_MS < high:
        axes.axvline(REAL_TIME_MS, color=INK, alpha=0.4, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        at = (REAL_TIME_MS, 1.0)
        axes.annotate(
            "30 images/s",
            at,
            (3, -2),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            va="top",
            fontsize=8,
            alpha=0.7,
        )


def _legend(axes: Axes, lines: Sequence[Line], colors: dict[str, str], with_front: bool) -> None:
    def handle(label: str, **style: Any) -> Line2D:
        return Line2D(
            [], [], label=label, markersize=7, markeredgewidth=1.4, markerfacecoloralt="none", **({"linestyle": "none"} | style)
        )

    formats = [name for name in MARKERS if any(line.artifact.format == name for line in lines)]
    precisions = [name for name in FILLS if any(line.artifact.precision == name for line in lines)]
    present = {line.network for line in lines}
    handles = [handle(_label(name), marker="o", color=color) for name, color in colors.items() if name in present]
    handles += [handle(name, marker=MARKERS[name], color=INK) for name in formats]
    handles += [handle(name, marker="o", color=INK, fillstyle=FILLS[name]) for name in precisions]
    if with_front:
        handles.append(handle("Pareto front", linestyle="-", color=INK, alpha=0.55))
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, handletextpad=0.6, labelspacing=0.55
    )


def _write_labels(axes: Axes, canvas: FigureCanvasAgg, front: Sequence[Line]) -> None:
    """Name the front at the upper left of its points, where no other point can lie; a name without room is left to its tip."""
    taken: list[Bbox] = []
    for line in reversed(front):
        at, offset = (line.end_to_end_ms, _iou(line)), (-5, 4)
        text = axes.annotate(
            _label(line.short), at, offset, textcoords="offset points", ha="right", va="bottom", fontsize=8.5, zorder=4
        )
        box = text.get_window_extent(canvas.get_renderer())
        if any(map(box.overlaps, taken)):
            text.remove()
        else:
            taken.append(box)


def as_svg(figure: Figure, title: str, tips: dict[str, str]) -> str:
    """Return the figure as an `<svg>` element with the text color of its surroundings."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = svg.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for gid, tip in tips.items():
        svg = svg.replace(f'<g id="{gid}">', f"<g><title>{escaped(tip)}</title>", 1)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # nothing refers to them, and a page holds several plots
    head, _, rest = svg.partition(">")
    return f'{head} role="img" aria-label="{escaped(title)}">{rest}'
